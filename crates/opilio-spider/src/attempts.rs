//! The leases that a host has started, and which of them newer rules have not judged.

use std::collections::{HashMap, HashSet};

use opilio_core::host::HostState;
use opilio_core::{LeaseId, Scheme, Timestamp};

use crate::rules::{RulesTable, Unjudged};

/// The attempts at leases that were started and have not ended.
#[derive(Default)]
pub struct Attempts {
    started: HashMap<LeaseId, Attempt>,
    /// Leases that were in flight when newer rules came. The rules judge them if they become ready again.
    unjudged: HashSet<LeaseId>,
    /// How often rules had been read at the last step.
    readings: u64,
}

/// What earlier attempts at a lease leave to know.
#[derive(Clone, Copy)]
pub struct Attempt {
    /// When the first attempt started.
    pub first_start: Timestamp,
    /// How often in a row a proxy of the crawl failed to carry the request.
    pub uncarried: u16,
}

impl Attempts {
    /// No attempt yet, under rules that were read this often.
    #[must_use]
    pub fn new(readings: u64) -> Self {
        Self { readings, ..Self::default() }
    }

    /// Starts a lease, and returns what its earlier attempts left.
    pub fn start(&mut self, lease: LeaseId, now: Timestamp) -> Attempt {
        *self.started.entry(lease).or_insert(Attempt { first_start: now, uncarried: 0 })
    }

    /// A proxy failed to carry an attempt.
    pub fn not_carried(&mut self, lease: LeaseId) {
        if let Some(attempt) = self.started.get_mut(&lease) {
            attempt.uncarried = attempt.uncarried.saturating_add(1);
        }
    }

    /// A lease has ended.
    pub fn end(&mut self, lease: LeaseId) {
        self.started.remove(&lease);
    }

    /// Ends the leases that were in flight when newer rules came, are ready again, and are forbidden by these rules.
    /// Returns how many leases were judged.
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
