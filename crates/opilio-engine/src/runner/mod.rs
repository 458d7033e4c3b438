//! The spider runner of a shard: the one room that knows the spider's types.
//!
//! It turns answers into pages, runs `parse` where a panic costs one page, and turns what was found
//! into bytes and records that every other room can carry.

mod actor;
mod watch;

pub(crate) use actor::{OVERDUE, RunnerSetup, SpiderRunner};
pub(crate) use watch::ParseWatch;
