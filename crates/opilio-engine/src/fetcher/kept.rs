//! Which requests leave their connection open, so that a shard's open connections stay bounded
//! however many hosts it meets.
//!
//! The transport closes an idle connection by itself after a while; here is counted what may still be
//! open, and never too little of it. It decides nothing but whether one more is kept.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use opilio_core::Timestamp;
use url::{Origin, Url};

use crate::clock::Clock;

/// An idle connection is kept no longer than this.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(15);

/// The connections of a shard that may be open.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    open: usize,
    origins: HashMap<Origin, Open>,
    /// Origins that fell idle, in the order in which they did.
    idle: VecDeque<(Timestamp, Origin)>,
}

#[derive(Debug, Default)]
struct Open {
    connections: usize,
    /// Requests under way that leave their connections open.
    requests: usize,
    /// When the last of them ended.
    idle_since: Timestamp,
}

impl Connections {
    /// Keeps at most so many.
    pub(super) fn new(max: usize) -> Self {
        Self { max, open: 0, origins: HashMap::new(), idle: VecDeque::new() }
    }

    /// A request begins: tells whether its connection may be kept.
    fn begin(&mut self, now: Timestamp, origin: &Origin) -> bool {
        self.expire(now);
        let known = self.origins.get(origin).map_or((0, 0), |open| (open.requests, open.connections));
        let needs_one = known.0 >= known.1;
        if needs_one && self.open >= self.max {
            return false;
        }
        let open = self.origins.entry(origin.clone()).or_default();
        open.requests += 1;
        open.connections += usize::from(needs_one);
        self.open += usize::from(needs_one);
        true
    }

    /// A request is over whose connection was kept.
    fn end(&mut self, now: Timestamp, origin: &Origin) {
        let Some(open) = self.origins.get_mut(origin) else { return };
        open.requests = open.requests.saturating_sub(1);
        if open.requests == 0 {
            open.idle_since = now;
            self.idle.push_back((now, origin.clone()));
        }
    }

    /// Forgets connections that the transport has closed by now.
    fn expire(&mut self, now: Timestamp) {
        while let Some((since, origin)) = self.idle.pop_front_if(|(since, _)| *since + IDLE_MAX <= now) {
            let over = |open: &Open| open.requests == 0 && open.idle_since == since;
            if self.origins.get(&origin).is_some_and(over)
                && let Some(open) = self.origins.remove(&origin)
            {
                self.open -= open.connections;
            }
        }
    }
}

/// A request under way whose connection is kept: over when it is dropped, however its fetch ends.
pub(super) struct Keeping {
    connections: Rc<RefCell<Connections>>,
    origin: Origin,
    clock: Clock,
}

impl Keeping {
    /// Begins a request, if its connection may be kept.
    pub(super) fn begin(connections: &Rc<RefCell<Connections>>, clock: Clock, url: &Url) -> Option<Self> {
        let origin = url.origin();
        let kept = connections.borrow_mut().begin(clock.now(), &origin);
        kept.then(|| Self { connections: connections.clone(), origin, clock })
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.connections.borrow_mut().end(self.clock.now(), &self.origin);
    }
}

/// How many connections each of so many shards may keep: half of the files that the process may have open
/// is for the requests under way, and for files.
pub(crate) fn connections_max(shards: usize) -> usize {
    #[cfg(test)]
    if let Some(max) = CONNECTIONS_MAX.get() {
        return max;
    }
    let files = files_max().map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    (files / 2).min(KEPT_MAX) / shards.max(1)
}

#[cfg(unix)]
fn files_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(unix))]
fn files_max() -> Option<u64> {
    None
}

/// More of them than this are of no use to anybody.
const KEPT_MAX: usize = 1 << 16;

#[cfg(test)]
thread_local! {
    /// What crawls on this thread go by, in tests.
    pub(crate) static CONNECTIONS_MAX: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}

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
        let mut connections = Connections::new(1);
        let at = Timestamp::from_secs;
        assert!(connections.begin(at(0), &origin(0)));
        assert!(!connections.begin(at(1), &origin(1)), "one is kept already");
        connections.end(at(2), &origin(0));
        assert!(connections.begin(at(10), &origin(0)), "it is used again");
        connections.end(at(11), &origin(0));
        assert!(!connections.begin(at(25), &origin(1)));
        assert!(connections.begin(at(26), &origin(1)));
    }

    proptest! {
        /// Against a pool that behaves as the transport's does: what is open is never more than counted.
        #[test]
        fn no_more_are_open_than_allowed(
            steps in prop::collection::vec((0u8..6, any::<bool>(), 0u64..9), 1..200),
            max in 1usize..6,
        ) {
            let mut connections = Connections::new(max);
            let mut now = Timestamp::EPOCH;
            // By origin: requests under way, and since when each idle connection is idle.
            let mut pool: HashMap<u8, (usize, Vec<Timestamp>)> = HashMap::new();
            for (n, begins, wait) in steps {
                now += Duration::from_secs(wait);
                for (_, idle) in pool.values_mut() {
                    idle.retain(|since| *since + IDLE_MAX > now);
                }
                let (under_way, idle) = pool.entry(n).or_default();
                if begins {
                    if connections.begin(now, &origin(n)) {
                        idle.pop();
                        *under_way += 1;
                    }
                } else if *under_way > 0 {
                    *under_way -= 1;
                    idle.push(now);
                    connections.end(now, &origin(n));
                }
                let open: usize = pool.values().map(|(under_way, idle)| under_way + idle.len()).sum();
                prop_assert!(open <= connections.open && connections.open <= max);
            }
        }
    }
}
