//! The scheduler: hands URLs to hosts, moves slots between shards, knows when a crawl is over.

mod actor;
mod intake;
mod progress;

pub(crate) use actor::{Command, Ended, Scheduler, SchedulerSetup, ShardLink};
pub use progress::Progress;
