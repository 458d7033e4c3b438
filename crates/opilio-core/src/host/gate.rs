//! The gate of a host: decides which request may start at an instant, computes when the next start will be
//! possible, and spends the budget for a start.
//!
//! Every start of a host passes [`HostState::startable`], for URLs and robots.txt alike. So look here first
//! if a request was sent that should not have been.

#[cfg(feature = "sabotage")]
use std::time::Duration;

use super::budget::Spacing;
use super::demand::SlotRequest;
use super::hold::Door;
use super::leases::{InFlight, Pending};
use super::message::{Output, WakeReason};
use super::rules::{RulesFetch, RulesState};
#[cfg(feature = "sabotage")]
use super::sabotage::Bug;
use super::settings::HostLimits;
use super::state::HostState;
use crate::name::Scheme;
use crate::record::Lease;
use crate::time::Timestamp;

/// The next request to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NextStart {
    /// An attempt at the ready lease with this index.
    Lease(usize),
    /// A fetch of this origin's robots.txt, for which the origin's leases wait.
    Rules(Scheme),
    /// A witness: a request that was answered before is repeated, to learn whose fault failures were.
    Witness,
}

impl HostState {
    /// Returns the request that may start at this instant; `None` if no request may start.
    pub(super) fn startable(&self, now: Timestamp) -> Option<NextStart> {
        let full = self.in_flight() >= self.in_flight_cap();
        if self.draining || self.parked.is_some() || full || self.hold.door == Door::Probing {
            return None;
        }
        let held = self.hold.is_held(now) && !self.sabotaged_hold(now);
        let spent = self.pacing.quota.spent_until().is_some_and(|until| now < until);
        if held || spent || now < self.budget_due() {
            return None;
        }
        let allowed =
            |lease: &Lease| lease.id.is_errand() || self.rules.allow_starts(lease.record.scheme, now);
        let may_start = |lease: &Lease| {
            allowed(lease) || self.rules.fetch_due(lease.record.scheme).is_some_and(|due| due <= now)
        };
        Some(match self.choose(may_start)? {
            NextStart::Lease(place) => {
                let lease = &self.leases.ready()[place].lease;
                if allowed(lease) { NextStart::Lease(place) } else { NextStart::Rules(lease.record.scheme) }
            }
            candidate @ (NextStart::Rules(_) | NextStart::Witness) => candidate,
        })
    }

    /// Returns the time when the next start will be possible if nothing else happens, and the reason for the
    /// wait until then.
    pub(super) fn start_due(&self) -> Option<(Timestamp, WakeReason)> {
        let full = self.in_flight() >= self.in_flight_cap();
        if self.draining
            || self.parked.is_some()
            || full
            || self.hold.door == Door::Probing
            || self.demand.slot != SlotRequest::None
        {
            return None;
        }
        let floors = [
            (self.hold.until(), WakeReason::HoldEnds),
            (self.budget_due(), WakeReason::Budget),
            (self.pacing.quota.spent_until().unwrap_or_default(), WakeReason::HoldEnds),
            (self.demand.slot_due(self.in_flight()), WakeReason::SlotRetry),
        ];
        let floor = floors.into_iter().max_by_key(|(at, _)| *at)?;
        let work = self.work_due()?;
        Some(if work > floor.0 { (work, WakeReason::RetryDue) } else { floor })
    }

    /// Returns the time from which on there is a request to start, whether or not hold, budget and quota
    /// allow the start.
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

    /// Returns the time from which on this lease may start, as far as robots.txt is concerned. If robots.txt must
    /// be fetched first, it is the time from which on that fetch may start; `None` while the fetch is in flight.
    pub(super) fn lease_due(&self, lease: &Lease) -> Option<Timestamp> {
        match self.rules.of(lease.record.scheme).known {
            _ if self.rules.is_off() || lease.id.is_errand() => Some(Timestamp::EPOCH),
            // If the rules are valid, the lease may start; if they have expired, a fetch of new rules may
            // start.
            RulesState::Until(_) => Some(Timestamp::EPOCH),
            RulesState::Unknown(not_before) => Some(not_before),
            RulesState::Fetching(_) => None,
        }
    }

    pub(super) fn start(&mut self, now: Timestamp, candidate: NextStart) -> Output {
        let witness = if candidate == NextStart::Witness { self.witness_lease() } else { None };
        let spacing = self.pacing.spacing();
        let probe = self.hold.door == Door::Closed;
        let idled = self.idleness.end().is_some_and(|since| {
            now.since(since)
                > spacing.duration().saturating_mul(IDLE_SPACINGS).max(self.terms.policy.backoff_bounds().min)
        });
        if idled {
            self.pacing.learnt.idled();
        }
        let seq = self.pacing.take_seq();
        self.spend(now, spacing, candidate);
        self.pacing.quota.spend();
        self.pacing.learnt.started(now, seq);
        if probe {
            self.hold.door = Door::Probing;
        }
        let deadline = now + self.terms.limits.fetch_timeout + HostLimits::GRACE;
        let pending = match (candidate, witness) {
            (_, Some(lease)) => Pending::new(lease),
            (NextStart::Rules(scheme), None) => {
                self.rules.of_mut(scheme).known =
                    RulesState::Fetching(RulesFetch { seq, started: now, deadline, probe, away: false });
                return Output::FetchRules { scheme, deadline };
            }
            // Unreachable: `choose` returns `Witness` only if a request can serve as a witness.
            (NextStart::Witness, None) => return Output::ReturnSlot,
            (NextStart::Lease(place), None) => self.leases.take_ready(place),
        };
        let start = pending.start(deadline, probe);
        self.leases.put_in_flight(InFlight { pending, seq, started: now, deadline, probe, settled: false });
        Output::Fetch(start)
    }

    fn spend(&mut self, now: Timestamp, spacing: Spacing, _candidate: NextStart) {
        #[cfg(feature = "sabotage")]
        match (self.bug, _candidate) {
            (Some(Bug::RulesForFree), NextStart::Rules(_)) => return,
            (Some(Bug::CatchUp), _) => {
                self.pacing.budget.spend(now, Spacing { slack_nanos: u64::MAX, ..spacing });
                return;
            }
            _ => {}
        }
        self.pacing.budget.spend(now, spacing);
    }

    fn budget_due(&self) -> Timestamp {
        self.pacing.due(self.rules.crawl_delay())
    }

    /// Recomputes the spacing after a crawl delay or the learnt pace has changed.
    pub(super) fn refresh_spacing(&mut self) {
        self.pacing.refresh(&self.terms.policy, self.rules.crawl_delay());
    }

    pub(super) fn in_flight(&self) -> usize {
        self.leases.in_flight().len() + self.rules.in_flight()
    }

    pub(super) fn in_flight_cap(&self) -> usize {
        let max = self.terms.policy.in_flight_max();
        let cap = self.pacing.in_flight_cap(max);
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

/// After an idle time of more than this many spacings, the starts before that time say nothing about the
/// server's pace.
const IDLE_SPACINGS: u32 = 4;
