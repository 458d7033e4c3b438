//! The scheduler drives the store on a thread of its own and leases URLs to hosts. It keeps to the order of admit, write
//! and settle, which has each page written exactly once.

mod actor;
mod state;

pub(crate) use actor::{SchedulerChannels, SchedulerLoop, ShardRoad};
pub(crate) use opilio_core::scheduling::Syncing;
pub(crate) use state::{QueuedScope, Scheduler, SchedulerOutcome, SchedulerSetup};
