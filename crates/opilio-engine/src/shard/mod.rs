//! A shard: the hosts of one thread, their fetcher pool and their spider runner.

mod actor;
mod cached;

pub(crate) use actor::{Shard, ShardSetup};
