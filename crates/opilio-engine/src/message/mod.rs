//! All messages between the actors of the engine. The last column names the limit on how many such messages can
//! wait at a time.
//!
//! | message | from → to | bounded by |
//! | --- | --- | --- |
//! | [`Assign`] | scheduler → shard (→ host's state, [`Wake`]) | the credit that hosts asked for |
//! | [`Settled`] | scheduler → shard (→ host's state, [`Wake`]) | the leases that hosts hold |
//! | [`ToScheduler`]: credit, begun, passivated, parsed, errand | shard, host, runner → scheduler | one message of each kind for each live host, and the number of slots; the pool grants no slot while results wait |
//! | [`ToScheduler`]: seeds, intake, stop, close | supervisor → scheduler | the batch size |
//! | [`ClosedHost`] | host → scheduler | the size of its channel; a message that does not fit waits in the sender's port |
//! | [`Errand`], [`AssignedErrand`] | host → scheduler → shard of another host (→ that host's state, [`Wake`]) | one for each live origin; at most 64 wait at a host |
//! | [`ErrandResult`] | the other host → scheduler → shard of the host that asked (→ that host's state, [`Wake`]) | the number of errands |
//! | [`AskSlot`] / [`SlotAnswer`], [`SlotsBack`] | host ⇄ fetcher pool | one unanswered message for each host |
//! | [`Fetch`] | host → fetcher pool | the number of granted slots |
//! | [`Report`] | fetcher → host | the number of fetches in flight |
//! | [`Deliver`] | host → spider runner | the limit of the parse backlog |
//! | [`Take`] | supervisor → fetcher pool | one for each shard |
//! | [`FromScheduler`] | scheduler → supervisor | one for each turn of the scheduler's loop |
//! | [`Drain`], [`Drained`], [`ShardReport`] | supervisor ⇄ shards | one for each shard |
//! | [`SlotsWanted`], [`Lend`], [`Lent`], [`MoreSlots`] | fetcher pools ⇄ supervisor | one for each shard |
//! | [`ToExporter`] / [`Written`](opilio_export::Written) | scheduler ⇄ exporter | the sizes of the channels; while a channel is full, the scheduler accepts no more messages |
//! | [`AskSnapshot`] | supervisor → every actor, which answers with a [`PartSnapshot`] | one for each request for a snapshot |
//! | [`HostOrder`] | supervisor → scheduler → shard (→ host's state, [`Wake`]) | 10,000 orders for hosts that are not live |
//! | [`StopHost`] | shard → host | one for each lost host |
//! | [`OutputRefused`] | spider runner → supervisor | one for each runner |
//! | [`ActorDied`] | an actor that panicked → supervisor | one for each actor |
//!
//! Between the scheduler and a shard there is one queue in each direction, so messages arrive in the order in which
//! they were sent.

mod advisor;
mod exporter;
mod host;
mod pool;
mod runner;
mod scheduler;
mod shard;
mod slot;
mod snapshot;
mod supervisor;

pub(crate) use advisor::Advisor;
pub(crate) use exporter::ToExporter;
pub(crate) use host::{FetchFor, Report, SlotAnswer, Wake};
pub(crate) use opilio_core::scheduling::{Stamp, Standing};
pub(crate) use opilio_spider::PartSnapshot;
pub(crate) use opilio_spider::counts::ShardCounts;
pub(crate) use pool::{AskSlot, Fetch, Lend, MoreSlots, PoolLink, SlotsBack, Take};
pub(crate) use runner::Deliver;
pub(crate) use scheduler::{ClosedHost, Passivated, ToScheduler};
pub use shard::OrderAnswer;
pub(crate) use shard::{
    Asker, Assign, AssignedErrand, Drain, Errand, ErrandResult, FetchFacts, Gone, HostGone, HostOrder,
    OrderKind, Settled, StopHost, Work,
};
pub(crate) use slot::{Returned, Slot};
pub(crate) use snapshot::{ANSWER_MAX, AskSnapshot, HOSTS_LISTED, Question};
pub(crate) use supervisor::{
    ActorDied, Drained, FromScheduler, Lent, OutputRefused, ShardReport, SlotsWanted,
};
