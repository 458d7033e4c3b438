//! The fetcher pool of a shard: slots, and the fetches that run in them.

mod actor;
mod queue;
mod slot;

pub(crate) use actor::{Pool, PoolSetup};
pub(crate) use queue::Standing;
pub(crate) use slot::Slot;
