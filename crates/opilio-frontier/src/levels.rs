//! Exact depths: a record is leased only when no record of a smaller depth is left that could still lead to it
//! by a shorter way.
//!
//! The depth of a URL is the number of links from a seed to it, on the way by which the crawl discovered it
//! first. In a breadth-first crawl that is usually the shortest way. But if a page is slower than pages of the
//! next level, a longer way may be found first. Where a limit of depth decides which URLs belong to the crawl,
//! the speed of pages must not decide. So a level (all records of one depth) waits for the levels before it:
//!
//! - Levels of one host always wait: a host gets no record of a level while it has a lease on a lower level.
//! - A level also waits while other hosts have records of a lower level left, but at most for [`PATIENCE`] from
//!   the moment at which the first host had to wait: one slow host must not delay all others.
//! - If the crawl discovers a queued URL again by a shorter way, as a link or a redirect's target, the URL is
//!   leased with the depth of that way. The store remembers the last [`SHORTER_MAX`] such URLs.
//! - No record waits for records that are due later (retries). A record with a priority above the default never
//!   waits, because its priority demands that it is fetched first.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use opilio_core::{Fingerprint, Lease, Priority, Record, Timestamp};

/// The longest time that a level waits for lower levels of other hosts.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The most URLs whose shorter ways are kept in memory, some 50 bytes each.
pub const SHORTER_MAX: usize = 65_536;

/// The number of unfinished URLs of each depth (the index), without those that are due later.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Depths(Vec<u64>);

/// The depth from which on all depths are counted together; no record waits for these.
const DEEP: u16 = 63;

impl Depths {
    pub(crate) fn add(&mut self, depth: u16) {
        let at = usize::from(depth.min(DEEP));
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] += 1;
    }

    /// Takes a URL of this depth off the counts, because it ended or is due later.
    pub(crate) fn take(&mut self, depth: u16) {
        if let Some(count) = self.0.get_mut(usize::from(depth.min(DEEP))) {
            // Stores of an earlier version have no counts, so a count may be too small.
            *count = count.saturating_sub(1);
        }
    }

    /// Returns the smallest depth with a URL left, or `u16::MAX` if there is none below `DEEP`.
    fn floor(&self) -> u16 {
        let least = self.0.iter().position(|count| *count > 0).and_then(|at| u16::try_from(at).ok());
        least.filter(|depth| *depth < DEEP).unwrap_or(u16::MAX)
    }

    /// Returns the greatest depth with a URL left: 0 if no URL is left, `u16::MAX` from `DEEP` on.
    fn deepest(&self) -> u16 {
        let most = self.0.iter().rposition(|count| *count > 0).and_then(|at| u16::try_from(at).ok());
        most.map_or(0, |depth| if depth < DEEP { depth } else { u16::MAX })
    }

    #[cfg(feature = "disk")]
    pub(crate) fn counts(&self) -> &[u64] {
        &self.0
    }

    #[cfg(feature = "disk")]
    pub(crate) fn of_counts(counts: Vec<u64>) -> Option<Self> {
        (counts.len() <= usize::from(DEEP) + 1).then_some(Self(counts))
    }
}

/// The leases by depth, and the hosts whose next record has to wait for its level.
#[derive(Debug)]
pub(crate) struct Levels<Id> {
    /// The number of open leases of each host, by depth.
    out: HashMap<Id, BTreeMap<u16, u32>>,
    /// The hosts that wait for other hosts, each with the depth of its next record.
    waiting: BTreeSet<(u16, Id)>,
    /// When the first of the `waiting` hosts began to wait, or when the last level was let through.
    since: Option<Timestamp>,
    /// Records up to this depth no longer wait for other hosts, because `PATIENCE` is over.
    opened: u16,
    /// The smallest depth at which each known URL was discovered again.
    shorter: HashMap<Fingerprint, u16>,
    /// The keys of `shorter`, the oldest first.
    met: VecDeque<Fingerprint>,
}

impl<Id> Default for Levels<Id> {
    fn default() -> Self {
        Self {
            out: HashMap::new(),
            waiting: BTreeSet::new(),
            since: None,
            opened: 0,
            shorter: HashMap::new(),
            met: VecDeque::new(),
        }
    }
}

impl<Id: Copy + Ord + Hash> Levels<Id> {
    pub(crate) fn leased(&mut self, host: Id, depth: u16) {
        *self.out.entry(host).or_default().entry(depth).or_default() += 1;
    }

    pub(crate) fn over(&mut self, host: Id, depth: u16) {
        let Some(out) = self.out.get_mut(&host) else { return };
        if let Some(count) = out.get_mut(&depth) {
            *count -= 1;
            if *count == 0 {
                out.remove(&depth);
            }
        }
        if out.is_empty() {
            self.out.remove(&host);
        }
    }

    /// Returns the greatest depth of a record that a host may lease now.
    #[cfg(feature = "disk")]
    pub(crate) fn limit(&self, host: Id, left: &Depths) -> u16 {
        self.own_limit(host).min(self.others_limit(left))
    }

    fn own_limit(&self, host: Id) -> u16 {
        let least = self.out.get(&host).and_then(|out| out.first_key_value());
        least.map_or(u16::MAX, |(depth, _)| *depth)
    }

    fn others_limit(&self, left: &Depths) -> u16 {
        left.floor().max(self.opened)
    }

    /// Returns whether a host's next record, which has this depth, has to wait. Remembers the host if it waits
    /// for other hosts.
    pub(crate) fn holds(&mut self, host: Id, depth: u16, left: &Depths, now: Timestamp) -> bool {
        // A host that waits for its own leases is not remembered: the store checks it whenever one of them
        // ends.
        let for_itself = depth > self.own_limit(host);
        let for_others = !for_itself && depth > self.others_limit(left);
        if for_others {
            self.waiting.insert((depth, host));
            self.since.get_or_insert(now);
        } else {
            self.forget(host, depth);
        }
        for_itself || for_others
    }

    /// Removes a host from those that wait for other hosts at this depth.
    pub(crate) fn forget(&mut self, host: Id, depth: u16) {
        self.waiting.remove(&(depth, host));
        if self.waiting.is_empty() {
            self.since = None;
        }
    }

    /// Removes and returns the hosts that no longer have to wait for other hosts. If `PATIENCE` is over at
    /// `now`, the level of the first waiting host may be leased.
    pub(crate) fn opened(&mut self, left: &Depths, now: Option<Timestamp>) -> Vec<Id> {
        if let (Some(at), Some(now), Some((depth, _))) = (self.due(), now, self.waiting.first())
            && at <= now
        {
            self.opened = self.opened.max(*depth);
            self.since = Some(now);
        }
        let limit = self.others_limit(left);
        let mut opened = Vec::new();
        while let Some((depth, host)) = self.waiting.first().copied()
            && depth <= limit
        {
            self.forget(host, depth);
            opened.push(host);
        }
        opened
    }

    /// Records that a known URL was discovered again. If the URL is still queued with a greater depth, the
    /// smaller depth counts.
    pub(crate) fn met_again(&mut self, record: &Record, left: &Depths) {
        if record.depth >= left.deepest() {
            // No queued URL is deeper.
            return;
        }
        if let Some(depth) = self.shorter.get_mut(&record.fingerprint) {
            *depth = record.depth.min(*depth);
            return;
        }
        if self.met.len() >= SHORTER_MAX
            && let Some(oldest) = self.met.pop_front()
        {
            self.shorter.remove(&oldest);
        }
        self.met.push_back(record.fingerprint);
        self.shorter.insert(record.fingerprint, record.depth);
    }

    /// Gives each lease the smallest depth at which its URL was discovered. The records keep their place in the
    /// queue.
    pub(crate) fn shorten(&self, leases: &mut [Lease]) {
        if self.shorter.is_empty() {
            return;
        }
        for Lease { record, .. } in leases {
            if let Some(depth) = self.shorter.get(&record.fingerprint) {
                record.depth = record.depth.min(*depth);
            }
        }
    }

    /// Returns when the waiting hosts have waited for `PATIENCE`.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.since.map(|since| since + PATIENCE)
    }
}

/// Returns whether a record of this priority has to wait for its level: only those above the default do not.
pub(crate) fn keeps_level(priority: Priority) -> bool {
    priority <= Priority::default()
}
