//! The messages to a fetcher pool: requests for slots, fetches, slots that move between shards, and the intake
//! level (how much may be started).

use actix::{Message, Recipient};
use opilio_core::Group;
use opilio_core::intake::IntakeLevel;
use opilio_core::scheduling::Standing;
use opilio_fetch::FetchRequest;

use super::{Advisor, FetchFor, Report, Slot, SlotAnswer};
use crate::outbox::Outbox;

/// A host asks for a slot, because it could start a fetch now.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct AskSlot {
    pub(crate) host: Recipient<SlotAnswer>,
    /// Whether the host is proven or doubtful. A fetch from a doubtful host may last until its deadline.
    pub(crate) standing: Standing,
    /// The group of the host, if groups have a common budget.
    pub(crate) group: Option<Group>,
}

/// Tells the pool that slots have been returned: see [`Slot`].
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct SlotsBack;

/// Starts a fetch in a slot that the pool has granted.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Fetch {
    pub(crate) slot: Slot,
    pub(crate) what: FetchFor,
    pub(crate) request: FetchRequest,
    /// Holds the facts of the attempt and the retry policy for it, and proposes the verdict.
    pub(crate) advisor: Advisor,
    pub(crate) reply: Recipient<Report>,
}

/// The addresses of a shard's fetcher pool, which the hosts of that shard use.
pub(crate) struct PoolLink {
    pub(crate) slots: Recipient<AskSlot>,
    /// The outbox for fetches. The pool never refuses a fetch, since each fetch has its slot.
    pub(crate) fetches: Outbox<Fetch>,
}

/// Tells a pool how much it may start from now on, which depends on how much memory is left.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct Take(pub(crate) IntakeLevel);

/// Tells a pool to give up idle slots for the shard with the number `to`.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Lend {
    pub(crate) to: usize,
}

/// Gives this pool more slots, which the pool of another shard has given up.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct MoreSlots(pub(crate) u32);
