//! Exact depths: a record is leased only when no record of a smaller depth is left through which the crawl could
//! still find a shorter way to the record's URL.
//!
//! The depth of a URL is the number of links from a seed to the URL, on the way by which the crawl discovered it
//! first. In a breadth-first crawl that is usually the shortest way. But if a page is slower than pages of the next
//! depth, the crawl may find a longer way first. Where a limit of depth decides which URLs belong to the crawl, the
//! result must not depend on the speed of pages. So a level (all records of one depth) waits for the levels of
//! smaller depths:
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

/// The longest time that a level waits for lower levels of other hosts: one minute, so that a slow host delays the
/// others only a little.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The most URLs for which a smaller depth is kept in memory. Each takes about 50 bytes.
pub const SHORTER_MAX: usize = 65_536;

/// For each depth (the index), the number of URLs that have not ended. URLs that are due later do not count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Depths(Vec<u64>);

/// The depth from which on all depths share one count. A record this deep does not wait for records of other hosts
/// that are this deep, too.
const DEEP: u16 = 63;

impl Depths {
    pub(crate) fn add(&mut self, depth: u16) {
        let at = usize::from(depth.min(DEEP));
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] += 1;
    }

    /// Subtracts a URL of this depth from the counts, because it ended or is due later.
    pub(crate) fn take(&mut self, depth: u16) {
        if let Some(count) = self.0.get_mut(usize::from(depth.min(DEEP))) {
            // A store that an earlier version wrote has no counts of depths, so a count may be too small.
            *count = count.saturating_sub(1);
        }
    }

    /// Returns the smallest depth that has a URL left, or `u16::MAX` if no depth below `DEEP` has one.
    fn floor(&self) -> u16 {
        let least = self.0.iter().position(|count| *count > 0).and_then(|at| u16::try_from(at).ok());
        least.filter(|depth| *depth < DEEP).unwrap_or(u16::MAX)
    }

    /// Returns the greatest depth that has a URL left: 0 if no URL is left, and `u16::MAX` if that depth is `DEEP` or
    /// more.
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

/// The numbers of leases by depth, and the hosts whose next record has to wait for records of smaller depths.
#[derive(Debug)]
pub(crate) struct Levels<Id> {
    /// For each host, the number of unsettled leases of each depth.
    out: HashMap<Id, BTreeMap<u16, u32>>,
    /// The hosts that wait for other hosts, each with the depth of its next record.
    waiting: BTreeSet<(u16, Id)>,
    /// When the first of the hosts in `waiting` began to wait, or when the last wait of `PATIENCE` ended,
    /// whichever is later.
    since: Option<Timestamp>,
    /// The depth up to which records no longer wait for other hosts, because `PATIENCE` is over.
    opened: u16,
    /// For known URLs that were discovered again, the smallest depth at which this happened.
    shorter: HashMap<Fingerprint, u16>,
    /// The keys of `shorter`, in the order in which they were added.
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

    /// Returns the greatest depth that a record may have to be leased for this host now.
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

    /// Returns whether the next record of a host, which has this depth, has to wait for records of smaller depths.
    /// Remembers the host if it waits for other hosts.
    pub(crate) fn holds(&mut self, host: Id, depth: u16, left: &Depths, now: Timestamp) -> bool {
        // A host that waits only for its own leases is not remembered: the store checks such a host each time one of
        // its leases ends.
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

    /// Removes a host, with its next record at this depth, from the hosts that wait for other hosts.
    pub(crate) fn forget(&mut self, host: Id, depth: u16) {
        self.waiting.remove(&(depth, host));
        if self.waiting.is_empty() {
            self.since = None;
        }
    }

    /// Removes and returns the hosts that no longer have to wait for other hosts. If `PATIENCE` is over at `now`,
    /// records up to the depth for which the first host waits may be leased.
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

    /// Records that a known URL was discovered again. If the URL is still queued and its depth is greater, the
    /// smaller depth is used from now on.
    pub(crate) fn met_again(&mut self, record: &Record, left: &Depths) {
        if record.depth >= left.deepest() {
            // No queued URL is deeper than this one, so none can get a smaller depth.
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

    /// Sets the depth of each leased record to the smallest depth at which its URL was discovered. The places of
    /// records in the queue stay the same.
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

    /// Returns the time at which the waiting hosts have waited for `PATIENCE`.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.since.map(|since| since + PATIENCE)
    }
}

/// Returns whether a record of this priority waits for records of smaller depths, by the rules at the top of this
/// module. Records with a priority above the default never wait.
pub(crate) fn keeps_level(priority: Priority) -> bool {
    priority <= Priority::default()
}
