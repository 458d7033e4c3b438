//! The spider runner of a shard, the one actor that knows the spider's types.
//!
//! It turns answers into pages, runs `parse` so that a panic costs one page, and turns what `parse` found into bytes and
//! records for the other actors.

mod actor;
mod watch;

pub(crate) use actor::{OVERDUE, RunnerSetup, SpiderRunner};
pub(crate) use watch::ParseWatch;
