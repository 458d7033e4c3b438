//! Decides which requests leave their connections open, so that a crawl has few open connections, however many hosts
//! it visits. An idle connection takes some 50 kB of memory, most of it for hyper's buffers.
//!
//! The transport closes an idle connection after [`IDLE_MAX`]. This module counts the connections that may
//! still be open. The count may be too high, but never too low.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opilio_core::Timestamp;
use url::{Origin, Url};

/// How long an idle connection stays open: 15 s.
pub const IDLE_MAX: Duration = Duration::from_secs(15);

/// The limit for connections that stay open, with the count of those that do. All shards of a crawl share it, so
/// that a host with a shard of its own can use the whole limit.
#[derive(Clone, Debug)]
pub struct ConnectionPlaces {
    max: usize,
    taken: Arc<AtomicUsize>,
}

impl ConnectionPlaces {
    /// Returns a limit of this many open connections, none of which is counted yet.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, taken: Arc::default() }
    }

    /// Returns the limit for a crawl with this in-flight limit. At most half of the files that the process may open
    /// are used for connections that stay open; the other half is left for other connections and for files.
    #[must_use]
    pub fn of_crawl(in_flight_max: u32) -> Self {
        let files = files_max().map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        Self::new((in_flight_max as usize).saturating_mul(2).max(KEPT_MIN).min(files / 2))
    }

    /// Takes a place for a connection that is expected to be used again after `idle`, and returns whether a place
    /// was free. The longer `idle` is, the fewer places such connections may take: the other places are left for
    /// hosts that are used again sooner.
    fn take(&self, idle: Duration) -> bool {
        let places = self.places_for(idle);
        let more = |taken| (taken < places).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// Returns whether a connection that has a place and is expected to be used again after `idle` may stay open.
    fn spares(&self, idle: Duration) -> bool {
        self.taken.load(Ordering::Acquire) <= self.places_for(idle)
    }

    /// Returns how many places connections may take that are expected to be used again after `idle`.
    fn places_for(&self, idle: Duration) -> usize {
        let sooner = IDLE_MAX.saturating_sub(idle).as_secs_f64() / IDLE_MAX.as_secs_f64();
        (self.max as f64 * sooner).ceil() as usize
    }

    fn give_back(&self, places: usize) {
        self.taken.fetch_sub(places, Ordering::AcqRel);
    }
}

/// The connections of one shard that may be open, by the origin that they lead to.
#[derive(Debug)]
pub struct Connections {
    places: ConnectionPlaces,
    origins: HashMap<Origin, Open>,
    /// Origins without a request in flight, each with the time at which its last request ended, in the order of
    /// these times.
    idle: VecDeque<(Timestamp, Origin)>,
}

#[derive(Debug, Default)]
struct Open {
    connections: usize,
    /// The number of requests in flight that leave their connections open.
    requests: usize,
    /// The time at which the last of these requests ended.
    idle_since: Timestamp,
}

impl Connections {
    /// Returns a count without connections. Each connection that is kept open takes one of `places`.
    #[must_use]
    pub fn new(places: ConnectionPlaces) -> Self {
        Self { places, origins: HashMap::new(), idle: VecDeque::new() }
    }

    /// Begins a request whose host is expected to be used again after `idle`. Returns whether the connection may be
    /// kept open. If not, the request closes the connection that it uses, which gives its place back. So a host that
    /// is done does not keep its place from others for the next 15 s.
    fn begin(&mut self, now: Timestamp, origin: &Origin, idle: Duration) -> bool {
        self.expire(now);
        let known = self.origins.get(origin).map_or((0, 0), |open| (open.requests, open.connections));
        let needs_one = known.0 >= known.1;
        let keeps = if needs_one { self.places.take(idle) } else { self.places.spares(idle) };
        if !keeps && needs_one {
            return false;
        }
        let open = self.origins.entry(origin.clone()).or_default();
        if keeps {
            open.requests += 1;
            open.connections += usize::from(needs_one);
        } else {
            open.connections -= 1;
            self.places.give_back(1);
        }
        keeps
    }

    /// Ends a request whose connection is kept open.
    fn end(&mut self, now: Timestamp, origin: &Origin) {
        let Some(open) = self.origins.get_mut(origin) else { return };
        open.requests = open.requests.saturating_sub(1);
        if open.requests == 0 {
            open.idle_since = now;
            self.idle.push_back((now, origin.clone()));
        }
    }

    /// Frees the places of idle connections that the transport has closed by `now`.
    fn expire(&mut self, now: Timestamp) {
        while let Some((since, origin)) = self.idle.pop_front_if(|(since, _)| *since + IDLE_MAX <= now) {
            let over = |open: &Open| open.requests == 0 && open.idle_since == since;
            if self.origins.get(&origin).is_some_and(over)
                && let Some(open) = self.origins.remove(&origin)
            {
                self.places.give_back(open.connections);
            }
        }
    }
}

/// A request in flight whose connection is kept open. Dropping this value ends the request, so a fetch that panics
/// ends its request, too.
pub struct Keeping<Now: Fn() -> Timestamp> {
    connections: Rc<RefCell<Connections>>,
    origin: Origin,
    now: Now,
}

impl<Now: Fn() -> Timestamp> Keeping<Now> {
    /// Begins a request to a URL whose host is expected to be used again after `idle`. Returns `None` if the
    /// connection may not be kept open.
    #[must_use]
    pub fn begin(
        connections: &Rc<RefCell<Connections>>,
        now: Now,
        url: &Url,
        idle: Duration,
    ) -> Option<Self> {
        let origin = url.origin();
        let kept = connections.borrow_mut().begin(now(), &origin, idle);
        kept.then(|| Self { connections: connections.clone(), origin, now })
    }
}

impl<Now: Fn() -> Timestamp> Drop for Keeping<Now> {
    fn drop(&mut self) {
        self.connections.borrow_mut().end((self.now)(), &self.origin);
    }
}

#[cfg(unix)]
fn files_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(unix))]
fn files_max() -> Option<u64> {
    None
}

/// The number of connections that may stay open even with a small in-flight limit. 512 connections with pages of 20
/// kB take some 25 MB.
const KEPT_MIN: usize = 512;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn origin(n: u8) -> Origin {
        Url::parse(&format!("http://h{n}.example/")).unwrap().origin()
    }

    #[test]
    fn a_connection_counts_until_it_was_idle_for_15_seconds() {
        let mut connections = Connections::new(ConnectionPlaces::new(1));
        let at = Timestamp::from_secs;
        let soon = Duration::ZERO;
        assert!(connections.begin(at(0), &origin(0), soon));
        assert!(!connections.begin(at(1), &origin(1), soon), "one is kept already");
        connections.end(at(2), &origin(0));
        assert!(connections.begin(at(10), &origin(0), soon), "it is used again");
        connections.end(at(11), &origin(0));
        assert!(!connections.begin(at(25), &origin(1), soon));
        assert!(connections.begin(at(26), &origin(1), soon));
    }

    #[test]
    fn hosts_that_may_be_done_give_their_places_to_those_that_are_asked_soon() {
        let mut connections = Connections::new(ConnectionPlaces::new(4));
        let (soon, late) = (Duration::ZERO, IDLE_MAX / 2);
        for n in 0..4 {
            assert!(connections.begin(Timestamp::EPOCH, &origin(n), soon));
            connections.end(Timestamp::EPOCH, &origin(n));
        }
        assert!(!connections.begin(Timestamp::EPOCH, &origin(4), soon), "all places are taken");
        let kept: Vec<bool> = (0..4).map(|n| connections.begin(Timestamp::EPOCH, &origin(n), late)).collect();
        assert_eq!(kept, [false, false, true, true], "half of the places are for them");
        assert!(connections.begin(Timestamp::EPOCH, &origin(4), soon));
    }

    #[test]
    fn hosts_that_are_asked_late_leave_places_to_those_that_are_asked_soon() {
        let mut connections = Connections::new(ConnectionPlaces::new(9));
        let (soon, late) = (Duration::from_millis(10), Duration::from_secs(10));
        let kept = (0..20).filter(|n| connections.begin(Timestamp::EPOCH, &origin(*n), late)).count();
        assert_eq!(kept, 3, "a third of the places, for a third of the time is left");
        let kept = (20..40).filter(|n| connections.begin(Timestamp::EPOCH, &origin(*n), soon)).count();
        assert_eq!(kept, 6);
        assert!(!connections.begin(Timestamp::EPOCH, &origin(0), soon));
        connections.end(Timestamp::EPOCH, &origin(0));
        assert!(connections.begin(Timestamp::EPOCH, &origin(0), soon), "it is open already");
    }

    #[test]
    fn the_shards_of_a_crawl_share_its_places() {
        let places = ConnectionPlaces::new(3);
        let (mut one, mut other) = (Connections::new(places.clone()), Connections::new(places));
        let begin = |connections: &mut Connections, n| {
            connections.begin(Timestamp::EPOCH, &origin(n), Duration::ZERO)
        };
        assert!(begin(&mut one, 0) && begin(&mut one, 1) && begin(&mut other, 2));
        assert!(!begin(&mut other, 3) && !begin(&mut one, 3));
    }

    proptest! {
        /// Compares the count with a model of the transport's connection pool: there must never be more open
        /// connections than were counted.
        #[test]
        fn no_more_are_open_than_allowed(
            steps in prop::collection::vec((0u8..6, any::<bool>(), 0u64..9), 1..200),
            max in 1usize..6,
        ) {
            let mut connections = Connections::new(ConnectionPlaces::new(max));
            let mut now = Timestamp::EPOCH;
            // For each origin: the number of requests in flight, and for each idle connection the time since when it
            // is idle.
            let mut pool: HashMap<u8, (usize, Vec<Timestamp>)> = HashMap::new();
            for (n, begins, wait) in steps {
                now += Duration::from_secs(wait);
                for (_, idle) in pool.values_mut() {
                    idle.retain(|since| *since + IDLE_MAX > now);
                }
                let (under_way, idle) = pool.entry(n).or_default();
                if begins {
                    // A request takes an idle connection if there is one, and may close it afterwards.
                    idle.pop();
                    *under_way += usize::from(connections.begin(now, &origin(n), Duration::from_secs(wait)));
                } else if *under_way > 0 {
                    *under_way -= 1;
                    idle.push(now);
                    connections.end(now, &origin(n));
                }
                let open: usize = pool.values().map(|(under_way, idle)| under_way + idle.len()).sum();
                let taken = connections.places.taken.load(Ordering::Acquire);
                prop_assert!(open <= taken && taken <= max);
            }
        }
    }
}
