//! Exact depths: a record is handed out when none that could show it, or what it leads to, a shorter way
//! is on its way any more.
//!
//! A depth is how many links a URL is from a seed by the way on which it was met first. Breadth-first
//! that is the shortest way, as long as no page of a level is slower than the next level's. Where a limit of
//! depth decides what belongs to the crawl, chance must not: there levels wait for one another.
//!
//! - A host's own levels always do: it gets nothing of a level while something of a lower one is out.
//! - For other hosts a level waits while any has something of a lower one left, but no longer than
//!   [`PATIENCE`] from when the first host had to wait for it: one slow host must not hold up all others.
//! - What is met again by a shorter way while it is queued is handed out with the depth of that one, as
//!   when a redirect leads to it; of the last [`SHORTER_MAX`] such URLs.
//! - Nothing waits for what is due later (a retry that was given back to the store), nor does a record of
//!   a priority above the default wait: it was said that it goes first.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use opilio_core::{Fingerprint, Lease, Priority, Record, Timestamp};

/// How long a level waits for those of other hosts below it.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// So many shorter ways are remembered, some 50 bytes each, until the process ends.
pub const SHORTER_MAX: usize = 65_536;

/// How many URLs of each depth are left and not due later.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Depths(Vec<u64>);

/// Depths from here on are counted together, and nothing waits for them.
const DEEP: u16 = 63;

impl Depths {
    pub(crate) fn add(&mut self, depth: u16) {
        let at = usize::from(depth.min(DEEP));
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] += 1;
    }

    /// One of them is over, or due later.
    pub(crate) fn take(&mut self, depth: u16) {
        if let Some(count) = self.0.get_mut(usize::from(depth.min(DEEP))) {
            // Of a store that an earlier version wrote, nothing was counted.
            *count = count.saturating_sub(1);
        }
    }

    /// The least depth that something is left of.
    fn floor(&self) -> u16 {
        let least = self.0.iter().position(|count| *count > 0).and_then(|at| u16::try_from(at).ok());
        least.filter(|depth| *depth < DEEP).unwrap_or(u16::MAX)
    }

    /// The greatest depth that something is left of.
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
    /// What is out of each host, by depth.
    out: HashMap<Id, BTreeMap<u16, u32>>,
    /// Those that wait for other hosts, and at which depth.
    waiting: BTreeSet<(u16, Id)>,
    /// Since when the first of them does.
    since: Option<Timestamp>,
    /// Up to here levels wait for those of other hosts no more.
    opened: u16,
    /// Depths of URLs that were known already, the oldest first in `met`.
    shorter: HashMap<Fingerprint, u16>,
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

    /// The deepest that a host may get now.
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

    /// A host's next record is so deep; tells whether it has to wait for its level.
    pub(crate) fn holds(&mut self, host: Id, depth: u16, left: &Depths, now: Timestamp) -> bool {
        // While it waits for itself, it is looked at whenever one of its leases is over.
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

    /// A host that waited at this depth does so no more.
    pub(crate) fn forget(&mut self, host: Id, depth: u16) {
        self.waiting.remove(&(depth, host));
        if self.waiting.is_empty() {
            self.since = None;
        }
    }

    /// The hosts whose level has opened, as far as others go.
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

    /// A URL that is known was met again. Should it be queued still, and by a longer way, this one counts.
    pub(crate) fn met_again(&mut self, record: &Record, left: &Depths) {
        if record.depth >= left.deepest() {
            // Nothing is queued that it could be shorter for.
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

    /// Gives leases the depths of the shortest ways that were met. For the store they are where they were.
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
