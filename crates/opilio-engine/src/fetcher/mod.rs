//! The fetcher pool of a shard: slots, and the fetches that run in them.

mod actor;
mod advisor;
mod answer;
mod kept;
mod slot;

pub(crate) use actor::{Pool, PoolSetup};
pub(crate) use advisor::Advisor;
pub(crate) use answer::answer_of;
#[cfg(test)]
pub(crate) use kept::CONNECTIONS_MAX;
pub(crate) use kept::{IDLE_MAX, connections_max};
pub(crate) use slot::Slot;
