//! The state machine of one host. It has no clock: time is an argument of every step.

use std::sync::Arc;

use super::invariants::Violation;
use super::memo::HostMemo;
use super::message::{Input, Output, WakeReason};
use super::settings::{HostLimits, RulesMode};
use super::snapshot::HostSnapshot;
use crate::name::Scheme;
use crate::policy::HostPolicy;
use crate::record::Lease;
use crate::time::Timestamp;

/// What one host may do next.
///
/// The shell's contract: one or more [`HostState::handle`], then [`HostState::poll`] until `None`,
/// then one timer from [`HostState::wake_at`]. A wake-up may come late, early or for nothing. After
/// [`Output::Passivate`] the shell keeps the [`HostState::memo`] and drops the state.
#[derive(Debug)]
pub struct HostState {
    policy: Arc<HostPolicy>,
    ready: Vec<Lease>,
}

impl HostState {
    /// A host that was never met in this crawl.
    pub fn new(
        policy: impl Into<Arc<HostPolicy>>,
        rules: RulesMode,
        limits: HostLimits,
        seed: u64,
        now: Timestamp,
    ) -> Self {
        Self::resume(policy, rules, limits, HostMemo::default(), seed, now)
    }

    /// A host that is back from passivation.
    pub fn resume(
        policy: impl Into<Arc<HostPolicy>>,
        _rules: RulesMode,
        _limits: HostLimits,
        _memo: HostMemo,
        _seed: u64,
        _now: Timestamp,
    ) -> Self {
        Self { policy: policy.into(), ready: Vec::new() }
    }

    /// What must outlive the actor.
    #[must_use]
    pub fn memo(&self) -> HostMemo {
        HostMemo::default()
    }

    /// Takes in one fact or command.
    pub fn handle(&mut self, _now: Timestamp, _input: Input) {}

    /// The next thing to do, or `None` when there is none at this instant.
    pub fn poll(&mut self, _now: Timestamp) -> Option<Output> {
        None
    }

    /// When to come back if nothing is heard before, and why.
    #[must_use]
    pub fn wake_at(&self) -> Option<(Timestamp, WakeReason)> {
        None
    }

    /// Whether the invariants hold that can be seen from inside (G2–G6).
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, _now: Timestamp) -> Result<(), Violation> {
        Ok(())
    }

    /// The host at this moment.
    #[must_use]
    pub fn snapshot(&self) -> HostSnapshot {
        HostSnapshot {
            ready: self.ready.len(),
            waiting: 0,
            in_flight: 0,
            parsed: 0,
            hold: None,
            parked: None,
            strikes: 0,
            spacing: self.policy.rate_max().map(|rate| rate.interval()).unwrap_or_default(),
            learnt_per_second: None,
        }
    }

    /// The leases of an origin that were not started: those that its robots rules are asked about.
    pub fn ready_leases(&self, scheme: Scheme) -> impl Iterator<Item = &Lease> {
        self.ready.iter().filter(move |lease| lease.record.scheme == scheme)
    }
}
