//! A shard: one thread's hosts, their fetcher pool and their spider runner.

mod actor;
mod cached;
pub(crate) mod memory;

pub(crate) use actor::{Gone, HostGone, Shard, ShardContext, ShardSetup};
