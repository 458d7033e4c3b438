//! The scheduler: drives the store on a thread of its own, leases URLs to hosts, and keeps the sequence that makes output
//! exactly-once (admit, write, settle).

mod actor;
mod state;

pub(crate) use actor::{SchedulerChannels, SchedulerLoop, ShardRoad};
pub(crate) use opilio_core::scheduling::Syncing;
pub(crate) use state::{QueuedScope, Scheduler, SchedulerOutcome, SchedulerSetup};
