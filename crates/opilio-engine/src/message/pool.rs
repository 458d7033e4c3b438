//! The messages to a fetcher pool: requests for slots, fetches, slots that move between shards, the intake level.

use std::time::Duration;

use actix::{Message, Recipient};
use opilio_core::Group;
use opilio_core::intake::IntakeLevel;
use opilio_core::scheduling::Standing;
use opilio_fetch::FetchRequest;

use super::{Advisor, FetchFor, Report, Slot, SlotAnswer};
use crate::outbox::Outbox;

/// A host that could start a fetch now asks for a slot.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct AskSlot {
    pub(crate) host: Recipient<SlotAnswer>,
    /// Whether the host is proven or doubtful: the fetch of a doubtful host may last until its deadline.
    pub(crate) standing: Standing,
    /// Its group, where groups have a common budget.
    pub(crate) group: Option<Group>,
}

/// Slots have come back: see [`Slot`].
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct SlotsBack;

/// A fetch in a granted slot.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Fetch {
    pub(crate) slot: Slot,
    pub(crate) what: FetchFor,
    pub(crate) request: FetchRequest,
    /// How long the connection would be idle after the fetch, as far as the host can tell.
    pub(crate) idle: Duration,
    /// The attempt, and the retry policy that applies to it.
    pub(crate) advisor: Advisor,
    pub(crate) reply: Recipient<Report>,
}

/// How hosts reach the fetcher pool of their shard.
pub(crate) struct PoolLink {
    pub(crate) slots: Recipient<AskSlot>,
    /// Fetches are never refused, since each has its slot.
    pub(crate) fetches: Outbox<Fetch>,
}

/// How much may be started from now on, which depends on the memory that is left.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(crate) struct Take(pub(crate) IntakeLevel);

/// Give up idle slots for another shard.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Lend {
    pub(crate) to: usize,
}

/// More slots for this pool.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct MoreSlots(pub(crate) u32);
