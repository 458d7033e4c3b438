//! Every message between the actors of the engine.
//!
//! | message | from → to | bounded by |
//! | --- | --- | --- |
//! | [`Assign`] | scheduler → shard (→ host's state, [`Wake`]) | the credit that was asked for |
//! | [`Settled`] | scheduler → shard (→ host's state, [`Wake`]) | leases out |
//! | [`ToScheduler`]: credit, passivated, parsed, errand | shard, host, runner → scheduler | one of each a live host, and the slots; the pool grants none while results wait |
//! | [`ToScheduler`]: seeds, intake, stop, close | supervisor → scheduler | the batch size |
//! | [`ClosedHost`] | host → scheduler | its channel; one that does not fit waits in the port |
//! | [`Errand`], [`AssignedErrand`] | host → scheduler → shard of another host (→ its state, [`Wake`]) | one a live origin; 64 requests at a host |
//! | [`ErrandResult`] | that host → scheduler → shard of the asker (→ its state, [`Wake`]) | errands |
//! | [`AskSlot`] / [`SlotAnswer`], [`SlotsBack`] | host ⇄ fetcher pool | one outstanding a host |
//! | [`Fetch`] | host → fetcher pool | granted slots |
//! | [`Report`] | fetcher → host | in flight |
//! | [`Deliver`] | host → spider runner | the parse backlog |
//! | [`Take`] | supervisor → fetcher pool | one a shard |
//! | [`FromScheduler`] | scheduler → supervisor | one a turn |
//! | [`Drain`], [`Drained`], [`ShardReport`] | supervisor ⇄ shards | one a shard |
//! | [`SlotsWanted`], [`Lend`], [`Lent`], [`MoreSlots`] | fetcher pools ⇄ supervisor | one a shard |
//! | [`ToExporter`] / [`Written`](opilio_export::Written) | scheduler ⇄ exporter | their channels; the scheduler takes on no more while one is full |
//! | [`AskSnapshot`] | supervisor → every actor, which answers with a [`PartSnapshot`] | one a question |
//! | [`HostOrder`] | supervisor → scheduler → shard (→ host's state, [`Wake`]) | 10,000 that wait for hosts to come alive |
//! | [`StopHost`] | shard → host | one a lost host |
//! | [`OutputRefused`] | spider runner → supervisor | one a runner |
//! | [`ActorDied`] | an actor that panicked → supervisor | one an actor |
//!
//! Between the scheduler and a shard each direction has one queue, so that no message overtakes an earlier one.

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
