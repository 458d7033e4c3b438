//! The fetcher pool of a shard: its slots, and the fetches that run in these slots.

mod actor;
mod answer;

use opilio_fetch::connections::ConnectionPlaces;

pub(crate) use actor::{Pool, PoolSetup};
pub(crate) use answer::answer_of;

/// Returns the places for connections that are kept open, for a crawl that may have this many requests in
/// flight.
pub(crate) fn connection_places(in_flight_max: u32) -> ConnectionPlaces {
    #[cfg(test)]
    if let Some(max) = CONNECTIONS_MAX.get() {
        return ConnectionPlaces::new(max);
    }
    ConnectionPlaces::of_crawl(in_flight_max)
}

#[cfg(test)]
thread_local! {
    /// The number of places for open connections that tests set for the crawls of this thread; `None` for the
    /// usual number.
    pub(crate) static CONNECTIONS_MAX: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}
