//! A shard: the hosts of one thread, their fetcher pool and their spider runner.

mod actor;
mod asleep;
mod cached;

pub(crate) use actor::{Shard, ShardSetup};
