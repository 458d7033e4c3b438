//! The gate: decides what may start at an instant, when the next start will be possible, and spends the
//! budget for a start.
//!
//! Every start of a host passes [`HostState::startable`], for URLs and robots.txt alike. So this is the one
//! place to look if a request went out that should not have.

use std::time::Duration;

use super::budget::Spacing;
use super::hold::Door;
use super::leases::{InFlight, Pending};
use super::message::{Output, WakeReason};
use super::rules::{Fetching, RulesState};
#[cfg(feature = "sabotage")]
use super::sabotage::Bug;
use super::settings::HostLimits;
use super::state::{HostState, SlotRequest};
use crate::name::Scheme;
use crate::record::Lease;
use crate::time::Timestamp;

/// What may start now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Candidate {
    /// The ready lease at this place.
    Lease(usize),
    /// The rules of this origin, for which its leases wait.
    Rules(Scheme),
    /// A request that was answered before, to learn whose fault the failures were.
    Witness,
}

impl HostState {
    /// What may start at this instant; `None` if nothing.
    pub(super) fn startable(&self, now: Timestamp) -> Option<Candidate> {
        let full = self.in_flight() >= self.in_flight_cap();
        if self.draining || self.parked.is_some() || full || self.hold.door == Door::Probing {
            return None;
        }
        let held = self.hold.is_held(now) && !self.sabotaged_hold(now);
        let spent = self.quota.spent_until().is_some_and(|until| now < until);
        if held || spent || now < self.budget_due() {
            return None;
        }
        let allowed =
            |lease: &Lease| lease.id.is_errand() || self.rules.allow_starts(lease.record.scheme, now);
        let may_start = |lease: &Lease| {
            allowed(lease) || self.rules.fetch_due(lease.record.scheme).is_some_and(|due| due <= now)
        };
        Some(match self.choose(may_start)? {
            Candidate::Lease(place) => {
                let lease = &self.leases.ready()[place].lease;
                if allowed(lease) { Candidate::Lease(place) } else { Candidate::Rules(lease.record.scheme) }
            }
            candidate @ (Candidate::Rules(_) | Candidate::Witness) => candidate,
        })
    }

    /// When the next start will be possible if nothing else happens, and what it waits for.
    pub(super) fn start_due(&self) -> Option<(Timestamp, WakeReason)> {
        let full = self.in_flight() >= self.in_flight_cap();
        if self.draining
            || self.parked.is_some()
            || full
            || self.hold.door == Door::Probing
            || self.slot != SlotRequest::None
        {
            return None;
        }
        let floors = [
            (self.hold.until(), WakeReason::HoldEnds),
            (self.budget_due(), WakeReason::Budget),
            (self.quota.spent_until().unwrap_or_default(), WakeReason::HoldEnds),
            (self.slot_retry_at, WakeReason::SlotRetry),
        ];
        let floor = floors.into_iter().max_by_key(|(at, _)| *at)?;
        let work = self.work_due()?;
        Some(if work > floor.0 { (work, WakeReason::RetryDue) } else { floor })
    }

    /// From when on there is something to start.
    fn work_due(&self) -> Option<Timestamp> {
        if self.wants_witness() {
            return Some(Timestamp::EPOCH);
        }
        let ready = self.leases.ready().iter().rev().find_map(|pending| self.lease_due(&pending.lease));
        let mut waiting =
            self.leases.waiting().iter().rev().filter(|(_, pending)| pending.undecided.is_none());
        let waiting = waiting.find_map(|(due, pending)| Some(self.lease_due(&pending.lease)?.max(*due)));
        ready.into_iter().chain(waiting).min()
    }

    /// From when on its origin's rules let a lease start; `None` while they are fetched.
    pub(super) fn lease_due(&self, lease: &Lease) -> Option<Timestamp> {
        match self.rules.of(lease.record.scheme).known {
            _ if self.rules.is_off() || lease.id.is_errand() => Some(Timestamp::EPOCH),
            // Known rules allow a start, expired ones a fetch of new ones.
            RulesState::Until(_) => Some(Timestamp::EPOCH),
            RulesState::Unknown(not_before) => Some(not_before),
            RulesState::Fetching(_) => None,
        }
    }

    pub(super) fn start(&mut self, now: Timestamp, candidate: Candidate) -> Output {
        let witness = if candidate == Candidate::Witness { self.witness_lease() } else { None };
        let spacing = self.pacing();
        let probe = self.hold.door == Door::Closed;
        let idled = self.idle_since.take().is_some_and(|since| {
            now.since(since)
                > spacing.duration().saturating_mul(IDLE_SPACINGS).max(self.policy.backoff_bounds().min)
        });
        if idled {
            self.pace.idled();
        }
        let seq = self.next_seq;
        self.next_seq = seq.wrapping_add(1);
        self.spend(now, spacing, candidate);
        self.quota.spend();
        self.pace.started(now, seq);
        if probe {
            self.hold.door = Door::Probing;
        }
        let deadline = now + self.limits.fetch_timeout + HostLimits::GRACE;
        let pending = match (candidate, witness) {
            (_, Some(lease)) => Pending::new(lease),
            (Candidate::Rules(scheme), None) => {
                self.rules.of_mut(scheme).known =
                    RulesState::Fetching(Fetching { seq, started: now, deadline, probe, away: false });
                return Output::FetchRules { scheme, deadline };
            }
            // `choose` names a witness only if there is one.
            (Candidate::Witness, None) => return Output::ReturnSlot,
            (Candidate::Lease(place), None) => self.leases.take_ready(place),
        };
        let start = pending.start(deadline, probe);
        self.leases.put_in_flight(InFlight { pending, seq, started: now, deadline, probe, settled: false });
        Output::Fetch(start)
    }

    fn spend(&mut self, now: Timestamp, spacing: Spacing, _candidate: Candidate) {
        #[cfg(feature = "sabotage")]
        match (self.bug, _candidate) {
            (Some(Bug::RulesForFree), Candidate::Rules(_)) => return,
            (Some(Bug::CatchUp), _) => {
                self.budget.spend(now, Spacing { slack_nanos: u64::MAX, ..spacing });
                return;
            }
            _ => {}
        }
        self.budget.spend(now, spacing);
    }

    /// The spacing in force, including an announced quota's.
    pub(super) fn pacing(&self) -> Spacing {
        if self.quota.is_known() {
            self.spacing.and(self.quota.spacing(self.budget.anchor()))
        } else {
            self.spacing
        }
    }

    fn budget_due(&self) -> Timestamp {
        self.budget.due(self.pacing(), self.rules.crawl_delay())
    }

    /// The rate limit learnt from refusals, in starts per second.
    pub(super) fn learnt(&self) -> Option<f64> {
        self.pace.ceiling(self.patience())
    }

    /// For how long a learnt pace stays about the same.
    pub(super) fn patience(&self) -> Duration {
        self.policy.backoff_bounds().min.saturating_mul(PATIENCE_FACTOR)
    }

    /// The current starts per second, if known.
    pub(super) fn asked(&self) -> Option<f64> {
        let rate = self.policy.rate_max().map(crate::rate::Rate::per_second);
        let learnt = self.learnt();
        rate.into_iter().chain(learnt).min_by(f64::total_cmp)
    }

    /// Recomputes the lasting part of the spacing after one of its sources changed.
    pub(super) fn refresh_spacing(&mut self) {
        let rate = self.policy.rate_max().map_or(Spacing::NONE, Spacing::of_rate);
        let delay = self.rules.crawl_delay();
        let delay = if delay.is_zero() { Spacing::NONE } else { Spacing::of_interval(delay) };
        let learnt = if self.policy.adapts() { self.pace.spacing(self.patience()) } else { Spacing::NONE };
        self.spacing = rate.and(delay).and(learnt);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.leases.in_flight().len() + self.rules.in_flight()
    }

    pub(super) fn in_flight_cap(&self) -> usize {
        let max = self.policy.in_flight_max();
        let cap = if self.ramp > 0 { self.ramp.min(max) } else { max };
        #[cfg(feature = "sabotage")]
        if self.bug == Some(Bug::OneMoreInFlight) {
            return max as usize + 1;
        }
        cap as usize
    }

    #[cfg(not(feature = "sabotage"))]
    pub(super) fn is_sabotaged(&self) -> bool {
        false
    }

    #[cfg(feature = "sabotage")]
    pub(super) fn is_sabotaged(&self) -> bool {
        self.bug.is_some()
    }

    #[cfg(not(feature = "sabotage"))]
    fn sabotaged_hold(&self, _now: Timestamp) -> bool {
        false
    }

    #[cfg(feature = "sabotage")]
    fn sabotaged_hold(&self, now: Timestamp) -> bool {
        match self.bug {
            Some(Bug::RetriesIgnoreHold) => {
                self.leases.ready().last().is_some_and(|pending| pending.fault.is_some())
            }
            Some(Bug::EarlyProbe) => now + Duration::from_millis(20) >= self.hold.until(),
            _ => false,
        }
    }
}

/// After this many spacings without work, a host says nothing about the server's pace.
const IDLE_SPACINGS: u32 = 4;
/// Ten minutes by default.
const PATIENCE_FACTOR: u32 = 600;
