//! The spider runner of a shard: the only actor that knows the spider's types.
//!
//! The runner turns answers into pages and calls `parse`. A panic in `parse` fails only that page. The runner then
//! turns the result of `parse` into bytes and records for the other actors.

mod actor;
mod watch;

pub(crate) use actor::{OVERDUE, RunnerSetup, SpiderRunner};
pub(crate) use watch::ParseWatch;
