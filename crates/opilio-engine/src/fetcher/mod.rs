//! The fetcher pool of a shard: slots, and the fetches that run in them.

mod actor;

pub(crate) use actor::{Pool, PoolSetup};
