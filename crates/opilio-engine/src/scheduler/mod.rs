//! The scheduler calls the store on a separate thread and leases URLs to hosts. It always admits links first, then
//! has rows written, then settles the pages. This order makes sure that each page is written exactly once.

mod actor;
mod state;

pub(crate) use actor::{SchedulerChannels, SchedulerLoop, ShardRoad};
pub(crate) use opilio_core::scheduling::Syncing;
pub(crate) use state::{QueuedScope, Scheduler, SchedulerOutcome, SchedulerSetup};
