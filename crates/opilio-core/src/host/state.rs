//! The state machine of one host. It has no clock: time is an argument.
//!
//! This file handles inputs and outputs, and computes when the host must be polled again. `gate.rs` decides
//! whether a request may start, `report/` evaluates reports for the host and the URL, and `handover.rs` hands
//! finished leases over.

use std::collections::VecDeque;
use std::sync::Arc;

use super::blame::Evidence;
use super::contact::Contact;
use super::demand::{CreditRequest, Demand, SlotRequest};
use super::hold::Hold;
use super::idleness::Idleness;
use super::leases::{LeaseTable, Pending};
use super::memo::{HostMemo, Park, Remembered};
use super::message::{Input, Output, WakeReason};
use super::pacing::Pacing;
use super::rules::{HostRules, SCHEMES};
#[cfg(feature = "sabotage")]
use super::sabotage::Bug;
use super::settings::{HostLimits, RulesMode, Terms};
use crate::name::Scheme;
use crate::outcome::Reason;
use crate::policy::HostPolicy;
use crate::record::{Lease, LeaseId};
use crate::time::Timestamp;

/// The state of one host, from which it decides which request may start next, and when.
///
/// The caller (the host's actor) calls [`HostState::handle`] for each input, then [`HostState::poll`] until
/// it returns `None`, and then sets one timer to the time that [`HostState::wake_at`] returns. Calls that are
/// unnecessary, too early or too late do no harm. After [`Output::Passivate`] the caller keeps the
/// [`HostState::memo`] and drops the state.
///
/// ```
/// # mod opilio { pub use opilio_core as core; }
/// use opilio::core::host::{HostLimits, HostState, Input, RulesMode};
/// use opilio::core::{HostPolicy, Timestamp};
///
/// let now = Timestamp::EPOCH;
/// let mut host = HostState::new(HostPolicy::new(), RulesMode::Off, HostLimits::default(), 108, now);
/// host.handle(now, Input::Tick);
/// while let Some(output) = host.poll(now) {
///     println!("{output:?}");
/// }
/// let wake = host.wake_at();
/// # let _ = wake;
/// ```
#[derive(Debug)]
pub struct HostState {
    pub(super) terms: Terms,
    pub(super) random: fastrand::Rng,
    pub(super) pacing: Pacing,
    pub(super) hold: Hold,
    pub(super) parked: Option<Park>,
    pub(super) rules: HostRules,
    pub(super) leases: LeaseTable,
    /// The answers and failures seen so far, from which the host decides whose fault failures are.
    pub(super) evidence: Evidence,
    pub(super) contact: Contact,
    pub(super) demand: Demand,
    pub(super) idleness: Idleness,
    pub(super) draining: bool,
    pub(super) outbox: VecDeque<Output>,
    /// Whether `poll` has returned `None` since the last input.
    pub(super) is_polled: bool,
    #[cfg(feature = "sabotage")]
    pub(super) bug: Option<Bug>,
}

impl HostState {
    /// Returns the state of a host to which this crawl has made no request yet.
    ///
    /// Pass the policy as an `Arc` to share it among hosts.
    pub fn new(
        policy: impl Into<Arc<HostPolicy>>,
        rules: RulesMode,
        limits: HostLimits,
        seed: u64,
        now: Timestamp,
    ) -> Self {
        Self::resume(policy, rules, limits, HostMemo::default(), seed, now)
    }

    /// Restores the state of a passivated host from the memo that was saved at its passivation.
    pub fn resume(
        policy: impl Into<Arc<HostPolicy>>,
        rules: RulesMode,
        limits: HostLimits,
        memo: HostMemo,
        seed: u64,
        now: Timestamp,
    ) -> Self {
        let Remembered { budget, hold, pace, quota, rules, parked, answered, confirmed, unmet, .. } =
            memo.read(rules);
        let mut host = Self {
            terms: Terms { policy: policy.into(), limits },
            random: fastrand::Rng::with_seed(seed),
            pacing: Pacing::restored(budget, pace, quota),
            hold,
            parked,
            rules,
            leases: LeaseTable::default(),
            evidence: Evidence::restored(hold.door, hold.reason, hold.strikes, confirmed),
            contact: Contact::restored(answered, unmet),
            demand: Demand::NONE,
            idleness: Idleness::new(now),
            draining: false,
            outbox: VecDeque::new(),
            is_polled: false,
            #[cfg(feature = "sabotage")]
            bug: None,
        };
        host.refresh_spacing();
        host.advance(now);
        host
    }

    /// Returns the part of the state that must be kept while the host has no actor.
    #[must_use]
    pub fn memo(&self) -> HostMemo {
        HostMemo::write(&Remembered {
            budget: self.pacing.budget,
            hold: self.hold,
            pace: self.pacing.learnt.clone(),
            learnt: self.pacing.ceiling(&self.terms.policy),
            quota: self.pacing.quota,
            rules: self.rules,
            parked: self.parked,
            answered: self.contact.answered,
            confirmed: self.evidence.is_confirmed(),
            unmet: self.contact.unmet,
        })
    }

    /// Handles one input at time `now`. Call `poll` afterwards for the outputs.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.is_polled = false;
        self.advance(now);
        if !matches!(input, Input::Tick) {
            self.idleness.touch(now);
        }
        if matches!(input, Input::Report { .. } | Input::Rules { .. }) {
            self.demand.end_yield();
        }
        match input {
            Input::Assign(leases) => self.assign(leases),
            Input::Granted { is_short } => self.demand.granted(now, is_short),
            Input::Refused => self.slot_refused(now),
            Input::SlotDenied { until } => self.slot_denied(until),
            Input::Report { lease, outcome, proposal } => self.report(now, lease, outcome, proposal),
            Input::Undelivered(lease) => self.undelivered(now, lease),
            Input::Rules { scheme, answer, hints } => self.rules_answer(now, scheme, answer, hints),
            Input::Disallowed(lease) => self.disallowed(lease),
            Input::Settled(leases) => self.settled(&leases),
            Input::Tick => {}
            Input::Hold { until } => self.hold_as_ordered(now, until),
            Input::Drain => self.drain(now),
            Input::Restarted => self.restarted(now),
        }
        self.note_idleness(now);
    }

    /// Returns the next output, or `None` if there is none at this instant.
    pub fn poll(&mut self, now: Timestamp) -> Option<Output> {
        self.advance(now);
        let output = self.outbox.pop_front().or_else(|| self.next_output(now));
        self.is_polled = output.is_none();
        if output.is_none() && !self.is_sabotaged() {
            debug_assert_eq!(self.check(now), Ok(()), "{self:?}");
        }
        output
    }

    fn next_output(&mut self, now: Timestamp) -> Option<Output> {
        let startable = self.startable(now);
        match (self.demand.slot, startable) {
            (SlotRequest::Granted, candidate) => {
                self.demand.slot = SlotRequest::None;
                return Some(candidate.map_or(Output::ReturnSlot, |candidate| self.start(now, candidate)));
            }
            (SlotRequest::None, Some(_)) if self.demand.may_ask_slot(now, self.in_flight()) => {
                self.demand.ask_slot(self.in_flight());
                return Some(Output::AskSlot);
            }
            // The host asked for a second slot, and its first request has ended since. It asks again, because hosts
            // without a request in flight are served first.
            (SlotRequest::AskedForMore, Some(_)) if self.in_flight() == 0 => {
                self.demand.ask_slot(0);
                return Some(Output::AskSlot);
            }
            (SlotRequest::None | SlotRequest::Asked | SlotRequest::AskedForMore, _) => {}
        }
        if let Some(more) = self.credit_wanted() {
            self.demand.credit = CreditRequest::Asked;
            return Some(Output::Credit(more));
        }
        if self.is_idle() && !self.idleness.passivated && now >= self.linger_end() {
            self.idleness.passivated = true;
            return Some(Output::Passivate);
        }
        None
    }

    /// Returns the time at which the caller has to poll again if no input comes before, and the reason.
    #[must_use]
    pub fn wake_at(&self) -> Option<(Timestamp, WakeReason)> {
        let deadlines =
            [self.leases.in_flight().first().map(|flying| flying.deadline), self.rules.deadline()];
        let linger = (self.is_idle() && !self.idleness.passivated).then(|| self.linger_end());
        let expiries = deadlines.into_iter().flatten().map(|at| (at, WakeReason::LeaseExpiry));
        let linger = linger.map(|at| (at, WakeReason::Linger));
        let tail = self.tail_due().map(|at| (at, WakeReason::HoldEnds));
        expiries.chain(linger).chain(tail).chain(self.start_due()).min_by_key(|(at, _)| *at)
    }

    /// Iterates over the ready and waiting leases of an origin: each must be checked against the origin's
    /// robots.txt.
    ///
    /// The caller sends [`Input::Disallowed`] for each lease that the rules forbid *before* it sends
    /// [`Input::Rules`], since the next poll may start the others.
    pub fn ready_leases(&self, scheme: Scheme) -> impl Iterator<Item = &Lease> {
        let waiting = self.leases.waiting().iter().map(|(_, pending)| pending);
        let idle = self.leases.ready().iter().chain(waiting);
        let of_rules = move |lease: &&Lease| lease.record.scheme == scheme && !lease.id.is_errand();
        idle.map(|pending| &pending.lease).filter(of_rules)
    }

    /// Whether an origin's robots.txt rules are known and valid, so that forbidden URLs may end without a new
    /// fetch. False if robots.txt is not fetched at all.
    #[must_use]
    pub fn knows_rules(&self, scheme: Scheme, now: Timestamp) -> bool {
        !self.rules.is_off() && self.rules.allow_starts(scheme, now)
    }

    /// Whether a lease waits until it is decided whose fault its failures were. The caller has to keep the
    /// last report of such a lease until the lease ends.
    #[must_use]
    pub fn is_undecided(&self, lease: LeaseId) -> bool {
        let mut waiting = self.leases.waiting().iter();
        waiting.any(|(_, pending)| pending.id() == lease && pending.undecided.is_some())
    }

    /// Removes and returns all leases that were not handed on. Called when this process no longer crawls the
    /// host. The state must not be used afterwards.
    pub fn abandon(&mut self) -> Vec<Lease> {
        self.outbox.clear();
        self.leases.abandon()
    }

    /// Applies all changes that come with time alone, such as deadlines that have passed.
    fn advance(&mut self, now: Timestamp) {
        while let Some(flying) = self.leases.expire(now) {
            self.lost(now, flying);
        }
        for scheme in SCHEMES {
            if self.rules.fetching(scheme).is_some_and(|fetching| fetching.deadline <= now) {
                self.rules_lost(now, scheme);
            }
        }
        self.leases.wake(now, self.terms.limits.order);
        self.pacing.quota.roll(now);
        self.settle_tail(now);
        if self.parked.is_some_and(|park| park.until <= now) {
            // The park is over: one probe may go out, to learn whether the host answers again.
            self.parked = None;
            self.hold.reopen_for_probe();
            self.evidence.reopen(&self.hold);
        }
    }

    fn assign(&mut self, leases: Vec<Lease>) {
        // An errand does not come from the store, so it does not answer the host's request for leases.
        if !leases.first().is_some_and(|lease| lease.id.is_errand()) {
            self.demand.leased(!leases.is_empty());
        }
        for lease in leases {
            if self.leases.holds(lease.id) {
                continue;
            }
            let pending = Pending::new(lease);
            if self.parked.is_some() {
                self.fail(pending, self.contact.closed_reason());
            } else if self.draining {
                self.give_back(pending, None);
            } else {
                self.leases.admit(pending, self.terms.limits.order);
            }
        }
    }

    fn slot_refused(&mut self, now: Timestamp) {
        self.demand.drop_slot();
        self.pause_slots(now);
        #[cfg(feature = "sabotage")]
        if self.bug == Some(Bug::SulkAfterRefusedSlot) {
            self.demand.deny_slot(Timestamp::NEVER);
        }
    }

    fn slot_denied(&mut self, until: Timestamp) {
        self.demand.drop_slot();
        self.demand.deny_slot(until);
    }

    /// Makes the host wait before its next request for a slot, after a slot was refused.
    pub(super) fn pause_slots(&mut self, now: Timestamp) {
        self.demand.pause_slot(now, self.terms.policy.backoff_bounds().min);
    }

    fn disallowed(&mut self, lease: LeaseId) {
        if let Some(pending) = self.leases.take_idle(lease) {
            self.fail(pending, Reason::Robots);
        }
    }

    fn settled(&mut self, leases: &[LeaseId]) {
        for lease in leases {
            self.leases.settle(*lease);
        }
        // Outputs about settled leases are outdated, so they are removed.
        self.outbox.retain(|output| match output {
            Output::Deliver { lease, .. } | Output::Settle { lease, .. } => !leases.contains(&lease.id),
            _ => true,
        });
        self.demand.retry_credit();
    }

    fn drain(&mut self, now: Timestamp) {
        self.draining = true;
        // Nothing will be started any more, so the host no longer waits for a slot. A slot that is granted
        // late is returned.
        self.demand.drop_slot();
        while let Some((due, mut pending)) = self.leases.take_any_idle() {
            if pending.undecided.is_some() {
                // Nothing will decide in this run whose fault the failures were, so they are excused.
                pending.excuse(self.evidence.number);
            }
            let due = due.filter(|due| *due < Timestamp::NEVER).unwrap_or(now);
            self.give_back(pending, Some(due));
        }
    }

    fn restarted(&mut self, now: Timestamp) {
        self.demand.forget();
        self.pacing.budget.assume_start(now);
    }

    fn note_idleness(&mut self, now: Timestamp) {
        if !self.leases.ready().is_empty() || !self.leases.in_flight().is_empty() {
            return;
        }
        self.idleness.begin(now);
        if self.leases.is_empty() {
            self.leases.shrink();
        }
    }

    fn is_idle(&self) -> bool {
        self.leases.is_empty() && self.demand.slot == SlotRequest::None && self.rules.in_flight() == 0
    }

    fn linger_end(&self) -> Timestamp {
        if self.draining {
            self.idleness.touched
        } else {
            self.idleness.touched + self.terms.policy.linger_max()
        }
    }

    fn credit_wanted(&self) -> Option<u32> {
        // A parked host takes leases as well, so that their URLs end and do not wait for ever.
        if self.demand.credit != CreditRequest::Idle || self.draining {
            return None;
        }
        let credit = self.terms.limits.credit.max(1) as usize;
        let held = self.leases.open() + self.leases.parsed().len();
        let wanted = credit.saturating_sub(held);
        let low = self.leases.open() <= credit / 4 && wanted > 0 && wanted >= credit / 4;
        low.then(|| u32::try_from(wanted).unwrap_or(u32::MAX))
    }

    /// Whether the host has answered, and has no strikes (closings in a row). Requests to such a host rarely
    /// occupy a slot for long.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.contact.answered && self.hold.strikes == 0
    }

    /// Whether the host has asked for a slot and has no answer yet.
    #[must_use]
    pub fn waits_for_slot(&self) -> bool {
        self.demand.waits_for_slot()
    }

    /// Switches a bug on, to show that the observer of the tests finds it.
    #[cfg(feature = "sabotage")]
    pub fn sabotage(&mut self, bug: Bug) {
        self.bug = Some(bug);
    }
}
