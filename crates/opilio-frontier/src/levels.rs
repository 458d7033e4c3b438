//! Exact depths: a record is leased only when no record is under way that could lead to it by a shorter way.
//!
//! The depth of a URL is the number of links from a seed on the way by which it was met first. Breadth-first
//! that is the shortest way, unless a page is slower than pages of the next level. Where a limit of depth
//! decides which URLs belong to the crawl, the speed of pages must not decide it. So levels wait for each other:
//!
//! - A host's own levels always do: it gets no record of a level while one of a lower level is out.
//! - A level also waits while other hosts have records of a lower level left, but at most for [`PATIENCE`] from
//!   when the first host had to wait: one slow host must not delay all others.
//! - A queued record that is met again by a shorter way, as a link or a redirect's target, is leased with the
//!   depth of that way. The store knows the last [`SHORTER_MAX`] such URLs.
//! - No record waits for those that are due later (retries that went back to the store). A record with a
//!   priority above the default never waits, because its priority says that it goes first.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use opilio_core::{Fingerprint, Lease, Priority, Record, Timestamp};

/// How long a level waits for lower levels of other hosts.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The most shorter ways that memory keeps, some 50 bytes each.
pub const SHORTER_MAX: usize = 65_536;

/// How many URLs of each depth are left, without those that are due later.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Depths(Vec<u64>);

/// Depths from this one on are counted together, and no record waits for them.
const DEEP: u16 = 63;

impl Depths {
    pub(crate) fn add(&mut self, depth: u16) {
        let at = usize::from(depth.min(DEEP));
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] += 1;
    }

    /// Counts a URL that ended or is due later.
    pub(crate) fn take(&mut self, depth: u16) {
        if let Some(count) = self.0.get_mut(usize::from(depth.min(DEEP))) {
            // An earlier version wrote no counts.
            *count = count.saturating_sub(1);
        }
    }

    /// The least depth that has a URL left.
    fn floor(&self) -> u16 {
        let least = self.0.iter().position(|count| *count > 0).and_then(|at| u16::try_from(at).ok());
        least.filter(|depth| *depth < DEEP).unwrap_or(u16::MAX)
    }

    /// The greatest depth that has a URL left.
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

/// Which hosts wait for a level to open.
#[derive(Debug)]
pub(crate) struct Levels<Id> {
    /// The number of leases of each host that are out, by depth.
    out: HashMap<Id, BTreeMap<u16, u32>>,
    /// The hosts that wait for other hosts, each with its depth.
    waiting: BTreeSet<(u16, Id)>,
    /// Since when the first of them waits.
    since: Option<Timestamp>,
    /// Levels up to this depth no longer wait for other hosts.
    opened: u16,
    /// The shortest depths of known URLs that were met again.
    shorter: HashMap<Fingerprint, u16>,
    /// The same URLs, the oldest first.
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

    /// The greatest depth that a host may get now.
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

    /// Whether a host's next record, at this depth, has to wait for its level.
    pub(crate) fn holds(&mut self, host: Id, depth: u16, left: &Depths, now: Timestamp) -> bool {
        // While a host waits for its own leases, the store checks it whenever one of them ends.
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

    /// Notes that a host no longer waits at this depth.
    pub(crate) fn forget(&mut self, host: Id, depth: u16) {
        self.waiting.remove(&(depth, host));
        if self.waiting.is_empty() {
            self.since = None;
        }
    }

    /// Takes the hosts whose level no longer waits for other hosts.
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

    /// Notes that a known URL was met again. If it is still queued by a longer way, the shorter one counts.
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

    /// Gives leases the depths of the shortest ways that were met. The store keeps their old place.
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

    /// When the next level opens at the latest.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.since.map(|since| since + PATIENCE)
    }
}

/// Whether a record waits for its level.
pub(crate) fn keeps_level(priority: Priority) -> bool {
    priority <= Priority::default()
}
