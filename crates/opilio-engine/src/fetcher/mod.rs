//! The fetcher pool of a shard: its slots, and the fetches that run in these slots.

mod actor;
mod answer;

pub(crate) use actor::{Pool, PoolSetup};
pub(crate) use answer::answer_of;
