//! The fetcher pool of a shard: slots, and the fetches that run in them.

mod actor;
mod answer;
mod kept;

pub(crate) use actor::{Pool, PoolSetup};
pub(crate) use answer::answer_of;
#[cfg(test)]
pub(crate) use kept::CONNECTIONS_MAX;
pub(crate) use kept::{ConnectionPlaces, IDLE_MAX};
