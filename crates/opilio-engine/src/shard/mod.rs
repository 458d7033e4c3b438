//! A shard: one thread's hosts, their fetcher pool and their spider runner.

mod actor;
mod cached;

pub(crate) use actor::{Shard, ShardSetup};
