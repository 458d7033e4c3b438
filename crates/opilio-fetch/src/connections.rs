//! Decides which connections are kept open for further requests, so that a crawl has few open connections, however
//! many hosts it visits. An idle connection takes some 50 kB of memory, most of it for hyper's buffers.
//!
//! Each origin has a connection pool of its own, so that its idle connections can be closed: the transport closes
//! single connections only after their time, but dropping a pool closes all its idle connections at once. When all
//! places are taken, the connections that have been idle for longest are closed.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long an idle connection stays open: 15 s.
pub const IDLE_MAX: Duration = Duration::from_secs(15);

/// Returns how many connections a crawl with this in-flight limit keeps open: two for each request that may be in
/// flight, and at least 512. At most half of the files that the process may open are used for them; the other half is
/// left for other connections and for files.
#[must_use]
pub fn kept_max(in_flight_max: u32) -> usize {
    let files = files_max().map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    (in_flight_max as usize).saturating_mul(2).max(KEPT_MIN).min(files / 2)
}

/// The limit for connections that stay open, with the count of those that do. All shards of a crawl share it, so
/// that a host with a shard of its own can use the whole limit.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionPlaces {
    max: usize,
    taken: Arc<AtomicUsize>,
    /// The number of shards.
    shards: Arc<AtomicUsize>,
}

impl ConnectionPlaces {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, taken: Arc::default(), shards: Arc::default() }
    }

    /// Takes a place. Returns whether one was free.
    fn take(&self) -> bool {
        let more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// Returns true if few places are free and a shard that holds this many has more than an equal part of all places.
    fn are_unfair(&self, held: usize) -> bool {
        let part = self.max / self.shards.load(Ordering::Acquire).max(1);
        held > part && self.taken.load(Ordering::Acquire) >= self.max - self.max / FREE_PART
    }

    fn give_back(&self, places: usize) {
        self.taken.fetch_sub(places, Ordering::AcqRel);
    }
}

/// The connection pools of one shard; `K` names an origin, `P` is its pool.
///
/// The number of connections is an upper bound, since the transport does not tell how many are open: one for each
/// request of a pool that was in flight at the same time.
#[derive(Debug)]
pub(crate) struct Pools<K, P> {
    places: ConnectionPlaces,
    pools: HashMap<K, OriginPool<P>>,
    /// The origins without a request in flight, in the order in which their last requests ended.
    idle: BTreeMap<u64, K>,
    next: u64,
    /// How many places the pools have together.
    held: usize,
    /// The time after which the transport closes an idle connection.
    idle_max: Duration,
}

#[derive(Debug)]
struct OriginPool<P> {
    pool: P,
    /// How many places the pool has, each for one connection.
    places: usize,
    /// The number of requests in flight that leave their connections open.
    requests: usize,
    /// The number of the pool in `idle`, and the time since when no request is in flight.
    idle: Option<(u64, Instant)>,
}

impl<K: Clone + Eq + Hash, P: Clone> Pools<K, P> {
    pub(crate) fn new(places: ConnectionPlaces, idle_max: Duration) -> Self {
        places.shards.fetch_add(1, Ordering::AcqRel);
        Self { places, pools: HashMap::new(), idle: BTreeMap::new(), next: 0, held: 0, idle_max }
    }

    /// Begins a request that leaves its connection open, and returns the pool to use. `None` if all places are taken by
    /// connections that are in use: then the request has to close its connection.
    ///
    /// # Errors
    /// When the pool of a new origin cannot be made.
    pub(crate) fn begin<E>(
        &mut self,
        now: Instant,
        origin: &K,
        make: impl FnOnce() -> Result<P, E>,
    ) -> Result<Option<P>, E> {
        self.expire(now);
        let has_room = self.pools.get(origin).is_some_and(|pool| pool.requests < pool.places);
        if !has_room && !self.take_place() {
            return Ok(None);
        }
        let pool = match self.pools.get_mut(origin) {
            Some(pool) => pool,
            None => {
                let made = make().inspect_err(|_| self.places.give_back(1))?;
                let new = OriginPool { pool: made, places: 0, requests: 0, idle: None };
                self.pools.entry(origin.clone()).or_insert(new)
            }
        };
        if let Some((number, _)) = pool.idle.take() {
            self.idle.remove(&number);
        }
        pool.places += usize::from(!has_room);
        self.held += usize::from(!has_room);
        pool.requests += 1;
        Ok(Some(pool.pool.clone()))
    }

    /// Ends a request that has left its connection open.
    fn end(&mut self, now: Instant, origin: &K) {
        let Some(pool) = self.pools.get_mut(origin) else { return };
        pool.requests = pool.requests.saturating_sub(1);
        if pool.requests == 0 {
            pool.idle = Some((self.next, now));
            self.idle.insert(self.next, origin.clone());
            self.next += 1;
        }
    }

    /// Records that all requests to an origin share one connection, as with HTTP/2.
    fn shares_one(&mut self, origin: &K) {
        if let Some(pool) = self.pools.get_mut(origin) {
            let shared = pool.places.saturating_sub(1);
            pool.places -= shared;
            self.held -= shared;
            self.places.give_back(shared);
        }
    }

    /// Returns the pool of an origin, for a request that closes its connection.
    pub(crate) fn of(&mut self, now: Instant, origin: &K) -> Option<P> {
        self.expire(now);
        self.pools.get(origin).map(|pool| pool.pool.clone())
    }

    /// Takes a place for a connection. If none is free, closes the connections of the origin that has been idle for
    /// longest. When places are short, a shard that has more than its part of them closes two for a new one, so that
    /// the places become free that the other shards need.
    fn take_place(&mut self) -> bool {
        if self.places.are_unfair(self.held) {
            let _ = self.close_oldest() && self.close_oldest();
        }
        while !self.places.take() {
            if !self.close_oldest() {
                return false;
            }
        }
        true
    }

    /// Closes the connections of the origin that has been idle for longest. Returns whether there was one.
    fn close_oldest(&mut self) -> bool {
        let oldest = self.idle.pop_first();
        if let Some((_, origin)) = &oldest {
            self.close(origin);
        }
        oldest.is_some()
    }

    /// Drops the pools whose connections the transport has closed by `now`, since they were idle for too long.
    fn expire(&mut self, now: Instant) {
        while let Some(first) = self.idle.first_entry() {
            let pool = self.pools.get(first.get());
            let idle = pool.and_then(|pool| pool.idle).map_or(self.idle_max, |(_, since)| now - since);
            if idle < self.idle_max {
                return;
            }
            let origin = first.remove();
            self.close(&origin);
        }
    }

    fn close(&mut self, origin: &K) {
        if let Some(pool) = self.pools.remove(origin) {
            self.held -= pool.places;
            self.places.give_back(pool.places);
        }
    }
}

impl<K, P> Drop for Pools<K, P> {
    fn drop(&mut self) {
        self.places.give_back(self.held);
        self.places.shards.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request in flight whose connection is kept open. Dropping this value ends the request, so a fetch that panics
/// ends its request, too.
pub(crate) struct Keeping<K: Clone + Eq + Hash, P: Clone> {
    pools: Rc<RefCell<Pools<K, P>>>,
    origin: K,
}

impl<K: Clone + Eq + Hash, P: Clone> Keeping<K, P> {
    /// Keeps the connection of a request that [`Pools::begin`] has begun.
    pub(crate) fn new(pools: &Rc<RefCell<Pools<K, P>>>, origin: K) -> Self {
        Self { pools: pools.clone(), origin }
    }

    /// Records that all requests to the origin share one connection, as with HTTP/2.
    pub(crate) fn shares_one(&self) {
        self.pools.borrow_mut().shares_one(&self.origin);
    }
}

impl<K: Clone + Eq + Hash, P: Clone> Drop for Keeping<K, P> {
    fn drop(&mut self) {
        self.pools.borrow_mut().end(Instant::now(), &self.origin);
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
/// Places are short when fewer than one in this many is free.
const FREE_PART: usize = 8;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::convert::Infallible;
    use std::rc::Weak;

    use proptest::prelude::*;

    use super::*;

    const IDLE: Duration = Duration::from_secs(15);

    /// Pools of which each can be observed: a pool that is dropped has closed its idle connections.
    struct Rig {
        pools: Pools<u8, Rc<()>>,
        made: HashMap<u8, Weak<()>>,
        began: Instant,
    }

    impl Rig {
        fn new(places: ConnectionPlaces) -> Self {
            Self { pools: Pools::new(places, IDLE), made: HashMap::new(), began: Instant::now() }
        }

        fn at(&self, secs: u64) -> Instant {
            self.began + Duration::from_secs(secs)
        }

        /// Begins a request. Returns whether its connection is kept open.
        fn begin(&mut self, secs: u64, origin: u8) -> bool {
            let at = self.at(secs);
            let pool = self.pools.begin(at, &origin, || Ok::<_, Infallible>(Rc::new(()))).unwrap();
            if let Some(pool) = &pool {
                self.made.insert(origin, Rc::downgrade(pool));
            }
            pool.is_some()
        }

        fn end(&mut self, secs: u64, origin: u8) {
            self.pools.end(self.at(secs), &origin);
        }

        fn lives(&self, origin: u8) -> bool {
            self.made.get(&origin).is_some_and(|pool| pool.upgrade().is_some())
        }
    }

    #[test]
    fn the_connections_that_were_idle_for_longest_are_closed_for_new_ones() {
        let mut rig = Rig::new(ConnectionPlaces::new(3));
        for origin in 0..3 {
            assert!(rig.begin(0, origin));
        }
        assert!(!rig.begin(0, 3), "all places are in use");
        for origin in [1, 0, 2] {
            rig.end(1, origin);
        }
        assert!(rig.begin(2, 1), "it has its connection still");
        assert!(rig.begin(2, 4));
        let lives: Vec<u8> = (0..5).filter(|origin| rig.lives(*origin)).collect();
        assert_eq!(lives, [1, 2, 4], "0 was idle for longest, since 1 is in use again");
    }

    #[test]
    fn a_connection_has_a_place_until_it_was_idle_for_its_time() {
        let places = ConnectionPlaces::new(1);
        let (mut one, mut other) = (Rig::new(places.clone()), Rig::new(places));
        assert!(one.begin(0, 0));
        one.end(2, 0);
        assert!(!other.begin(3, 0), "the shards of a crawl share its places");
        assert!(one.begin(10, 0), "it is used again");
        one.end(11, 0);
        assert!(one.pools.of(one.at(25), &0).is_some());
        assert!(one.pools.of(one.at(26), &0).is_none(), "the transport has closed it");
        assert!(other.begin(26, 0));
    }

    #[test]
    fn requests_that_share_one_connection_take_one_place() {
        let mut rig = Rig::new(ConnectionPlaces::new(3));
        assert!(rig.begin(0, 0) && rig.begin(0, 0) && rig.begin(0, 0));
        assert!(!rig.begin(0, 1));
        rig.pools.shares_one(&0);
        assert!(rig.begin(0, 1));
    }

    #[test]
    fn a_shard_gives_places_beyond_its_part_to_the_others_bit_by_bit() {
        let places = ConnectionPlaces::new(16);
        let (mut one, mut other) = (Rig::new(places.clone()), Rig::new(places));
        for origin in 0..16 {
            assert!(one.begin(0, origin));
            one.end(0, origin);
        }
        assert!(one.pools.held > 8, "one shard may have nearly all places while no other needs them");
        for origin in 16..40 {
            assert!(one.begin(1, origin));
            one.end(1, origin);
            if other.begin(1, origin) {
                other.end(1, origin);
            }
        }
        assert_eq!((one.pools.held, other.pools.held), (8, 8));
    }

    #[test]
    fn a_shard_that_ends_gives_its_places_back() {
        let places = ConnectionPlaces::new(1);
        let mut rig = Rig::new(places.clone());
        assert!(rig.begin(0, 0));
        drop(rig);
        assert!(places.take());
    }

    proptest! {
        /// Compares the count with a model of the transport's connection pools: there must never be more open
        /// connections than were counted.
        #[test]
        fn no_more_are_open_than_allowed(
            steps in prop::collection::vec((0u8..6, any::<bool>(), 0u64..9), 1..200),
            max in 1usize..6,
        ) {
            let mut rig = Rig::new(ConnectionPlaces::new(max));
            let mut now = 0;
            // For each origin: the number of requests in flight, and for each idle connection the time since when it
            // is idle.
            let mut open: HashMap<u8, (usize, Vec<u64>)> = HashMap::new();
            for (n, begins, wait) in steps {
                now += wait;
                if begins {
                    let kept = rig.begin(now, n);
                    let is_idle = |(origin, open): (&u8, &(usize, Vec<u64>))| open.0 == 0 && rig.lives(*origin);
                    prop_assert!(kept || !open.iter().any(is_idle), "an idle connection keeps its place");
                    let (under_way, idle) = open.entry(n).or_default();
                    if kept {
                        idle.pop();
                        *under_way += 1;
                    }
                } else if let Some((under_way, idle)) = open.get_mut(&n).filter(|(under_way, _)| *under_way > 0) {
                    *under_way -= 1;
                    idle.push(now);
                    rig.end(now, n);
                }
                for (origin, (under_way, idle)) in &mut open {
                    idle.retain(|since| since + IDLE.as_secs() > now);
                    if !rig.lives(*origin) {
                        prop_assert_eq!(*under_way, 0, "a pool in use is not dropped");
                        idle.clear();
                    }
                }
                let count: usize = open.values().map(|(under_way, idle)| under_way + idle.len()).sum();
                let taken = rig.pools.places.taken.load(Ordering::Acquire);
                prop_assert!(count <= taken && taken <= max);
            }
        }
    }
}
