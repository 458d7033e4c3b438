//! The supervisor: starts, limits, observes and ends the crawl, and moves slots between shards.

mod actor;
mod intake;

pub(crate) use actor::{Command, Ended, ShardLink, Supervisor, SupervisorPlan, SupervisorSetup};
pub(crate) use intake::MemoryWatch;
