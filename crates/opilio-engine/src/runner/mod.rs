//! The spider runner of a shard: the only actor that calls the spider.
//!
//! The runner turns answers into pages and calls `parse`. A panic in `parse` fails only that page. The runner then
//! turns the result of `parse` into bytes and records for the other actors.

mod actor;
mod reader;
mod watch;

pub(crate) use actor::{MakeReader, OVERDUE, Runner, RunnerContext};
pub(crate) use reader::SpiderReader;
pub(crate) use watch::ParseWatch;
