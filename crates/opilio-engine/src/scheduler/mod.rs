//! The scheduler calls the store on a separate thread and leases URLs to hosts. For each page, it first admits the
//! links, then has the rows written, and only then settles the page. With this order each page is written exactly
//! once, even if the process is killed.

mod actor;
mod state;

pub(crate) use actor::{SchedulerChannels, SchedulerLoop, ShardRoad};
pub(crate) use opilio_core::scheduling::Syncing;
pub(crate) use state::{QueuedScope, Scheduler, SchedulerOutcome, SchedulerSetup};
