//! Keeps track of the leases of a host that have started, and of those among them that the newest robots.txt rules
//! have not been applied to.

use std::collections::{HashMap, HashSet};

use opilio_core::host::HostState;
use opilio_core::{LeaseId, Scheme, Timestamp};

use crate::rules::{RulesTable, Unjudged};

/// The leases of a host that have started and have not ended.
#[derive(Default)]
pub struct Attempts {
    started: HashMap<LeaseId, Attempt>,
    /// Leases that were in flight when newer robots.txt rules came. The rules are applied to such a lease if it
    /// becomes ready to be requested again.
    unjudged: HashSet<LeaseId>,
    /// The number of times that robots.txt rules had been read when `judge_returned` was last called.
    readings: u64,
}

/// The facts about earlier attempts at a lease.
#[derive(Clone, Copy)]
pub struct Attempt {
    /// The time at which the first attempt started.
    pub first_start: Timestamp,
    /// The number of attempts in a row at which a proxy of the crawl failed to pass on the request of this lease.
    pub uncarried: u16,
}

impl Attempts {
    /// Makes an empty table. `readings` is the number of times that robots.txt rules have been read so far.
    #[must_use]
    pub fn new(readings: u64) -> Self {
        Self { readings, ..Self::default() }
    }

    /// Whether no lease has started that has not ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.started.is_empty()
    }

    /// Records that an attempt at a lease starts. Returns when the lease's first attempt started, and how often in a
    /// row a proxy failed to pass on the request.
    pub fn start(&mut self, lease: LeaseId, now: Timestamp) -> Attempt {
        *self.started.entry(lease).or_insert(Attempt { first_start: now, uncarried: 0 })
    }

    /// Counts that a proxy failed to pass on the request of this lease.
    pub fn not_carried(&mut self, lease: LeaseId) {
        if let Some(attempt) = self.started.get_mut(&lease) {
            attempt.uncarried = attempt.uncarried.saturating_add(1);
        }
    }

    /// Forgets a lease, because it has ended.
    pub fn end(&mut self, lease: LeaseId) {
        self.started.remove(&lease);
    }

    /// Applies newer robots.txt rules to the leases that were in flight when the rules came and that are ready to be
    /// requested again. Leases that the rules forbid end. Returns how many leases were checked.
    pub fn judge_returned(&mut self, rules: &RulesTable, state: &mut HostState, now: Timestamp) -> usize {
        if std::mem::replace(&mut self.readings, rules.readings()) != rules.readings() {
            self.unjudged.extend(self.started.keys());
        }
        self.unjudged.retain(|lease| self.started.contains_key(lease));
        if self.unjudged.is_empty() {
            return 0;
        }
        let mut judged = 0;
        for scheme in [Scheme::Http, Scheme::Https] {
            if state.knows_rules(scheme, now) {
                judged += rules.refuse(scheme, Unjudged::Only(&self.unjudged), state, now);
            }
        }
        judged
    }
}
