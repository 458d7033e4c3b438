//! Keeps what a host knows about the robots.txt of its two origins (http and https): until when the rules are
//! valid, and the crawl delay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::settings::RulesMode;
use crate::name::{PerScheme, Scheme};
use crate::time::Timestamp;

/// Whether the rules in the robots.txt of one origin are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RulesState {
    /// The rules are unknown. They must be fetched before a lease may start, but not before this time.
    Unknown(Timestamp),
    /// The rules are being fetched.
    Fetching(RulesFetch),
    /// The rules are known, and valid until this time.
    Until(Timestamp),
}

/// A fetch of robots.txt in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RulesFetch {
    pub(super) seq: u32,
    pub(super) started: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) probe: bool,
    /// Whether robots.txt redirected to another host and is now being fetched from there. Then nothing is in
    /// flight at this host.
    pub(super) away: bool,
}

/// The state of one origin's robots.txt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OriginState {
    pub(super) known: RulesState,
    pub(super) crawl_delay: Duration,
    /// The number of redirects of robots.txt followed in a row.
    pub(super) hops: u8,
    /// The number of fetches in a row that failed on the crawler's side, and not because of a host.
    pub(super) ours: u8,
}

/// The state of the robots.txt of both origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostRules {
    mode: RulesMode,
    origins: PerScheme<OriginState>,
}

impl HostRules {
    pub(super) fn new(mode: RulesMode) -> Self {
        let origin = OriginState {
            known: RulesState::Unknown(Timestamp::EPOCH),
            crawl_delay: Duration::ZERO,
            hops: 0,
            ours: 0,
        };
        Self { mode, origins: PerScheme::from_fn(|_| origin) }
    }

    pub(super) fn is_off(&self) -> bool {
        self.mode == RulesMode::Off
    }

    pub(super) fn of(&self, scheme: Scheme) -> &OriginState {
        &self.origins[scheme]
    }

    pub(super) fn of_mut(&mut self, scheme: Scheme) -> &mut OriginState {
        &mut self.origins[scheme]
    }

    /// Whether leases of this origin may start.
    pub(super) fn allow_starts(&self, scheme: Scheme, now: Timestamp) -> bool {
        self.mode == RulesMode::Off
            || matches!(self.of(scheme).known, RulesState::Until(until) if now < until)
    }

    /// Whether this origin's robots.txt was answered, with whatever status, and is not being fetched now.
    pub(super) fn were_fetched(&self, scheme: Scheme) -> bool {
        self.mode == RulesMode::Fetch && matches!(self.of(scheme).known, RulesState::Until(_))
    }

    /// Returns the time from which on this origin's robots.txt may be fetched; `None` while it is being
    /// fetched.
    pub(super) fn fetch_due(&self, scheme: Scheme) -> Option<Timestamp> {
        match self.of(scheme).known {
            RulesState::Unknown(not_before) => Some(not_before),
            RulesState::Fetching(_) => None,
            RulesState::Until(until) => Some(until),
        }
    }

    /// Returns the fetch of this origin's robots.txt, if one is in progress.
    pub(super) fn fetching(&self, scheme: Scheme) -> Option<RulesFetch> {
        match self.of(scheme).known {
            RulesState::Fetching(fetching) => Some(fetching),
            RulesState::Unknown(_) | RulesState::Until(_) => None,
        }
    }

    /// Returns the number of robots.txt fetches in flight at this host.
    pub(super) fn in_flight(&self) -> usize {
        let here = |scheme: &Scheme| self.fetching(*scheme).is_some_and(|fetching| !fetching.away);
        SCHEMES.into_iter().filter(here).count()
    }

    /// Returns the longer crawl delay of the two origins, since both share one budget.
    pub(super) fn crawl_delay(&self) -> Duration {
        self.of(Scheme::Http).crawl_delay.max(self.of(Scheme::Https).crawl_delay)
    }

    /// Returns the earliest deadline of the fetches in progress, at this host or another.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        SCHEMES.into_iter().filter_map(|scheme| self.fetching(scheme)).map(|fetching| fetching.deadline).min()
    }
}

/// The two origins of a host.
pub(super) const SCHEMES: [Scheme; 2] = Scheme::BOTH;

/// A robots.txt may redirect this often; after that it counts as absent (RFC 9309 §2.3.1.2).
pub(super) const HOPS_MAX: u8 = 5;
