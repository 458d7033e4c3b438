//! The state machine of one host. It has no clock: time is an argument.
//!
//! This file is the frame: inputs, outputs, and when to wake. `gate.rs` decides whether something may start,
//! `report/` what a report means for the host and its URL.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::blame::Evidence;
use super::budget::{Budget, Spacing};
use super::hold::{Door, Hold};
use super::invariants::{Invariant, Violation};
use super::leases::{LeaseTable, Pending};
use super::memo::{HostMemo, Park, Remembered};
use super::message::{Delivery, HostEvent, Input, Output, ParkReason, WakeReason};
use super::pace::Pace;
use super::quota::Quota;
use super::report::Suspect;
use super::rules::{Rules, SCHEMES};
#[cfg(feature = "sabotage")]
use super::sabotage::Bug;
use super::settings::{HostLimits, RulesMode};
use super::snapshot::{HostLoad, HostSnapshot};
use crate::name::Scheme;
use crate::outcome::Reason;
use crate::policy::HostPolicy;
use crate::record::{Ending, Lease, LeaseId};
use crate::time::Timestamp;

/// The rules of one host: what it may do next.
///
/// The shell's contract: one or more [`HostState::handle`], then [`HostState::poll`] until `None`,
/// then one timer from [`HostState::wake_at`]. A wake-up may come late, early or for nothing. After
/// [`Output::Passivate`] the shell keeps the [`HostState::memo`] and drops the state.
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
    pub(super) policy: Arc<HostPolicy>,
    pub(super) limits: HostLimits,
    pub(super) random: fastrand::Rng,
    pub(super) budget: Budget,
    /// The strictest of the user's rate, crawl delays and the learnt pace; a quota comes on top.
    pub(super) spacing: Spacing,
    pub(super) hold: Hold,
    pub(super) pace: Pace,
    pub(super) quota: Quota,
    pub(super) rules: Rules,
    pub(super) leases: LeaseTable,
    pub(super) parked: Option<Park>,
    outbox: VecDeque<Output>,
    pub(super) slot: SlotRequest,
    /// A refused slot is not asked for again before this.
    pub(super) slot_retry_at: Timestamp,
    credit: CreditRequest,
    /// The number of the next start.
    pub(super) next_seq: u32,
    /// The limit in flight after a reopening at full speed; 0 means no such limit.
    pub(super) ramp: u32,
    /// The last URL that failed, if no success came since.
    pub(super) suspect: Option<Suspect>,
    /// Decides whose fault failures are.
    pub(super) evidence: Evidence,
    /// Whether the host has answered in this run.
    pub(super) answered: bool,
    /// Why its rules could not be fetched the last time, while it has never answered.
    pub(super) unmet: Option<Reason>,
    /// 401 and 403 in a row, up to the number that is worth an event.
    pub(super) forbidden: u8,
    pub(super) draining: bool,
    /// The time of the last input.
    touched: Timestamp,
    /// Since when nothing is ready and nothing in flight.
    pub(super) idle_since: Option<Timestamp>,
    passivated: bool,
    #[cfg(feature = "sabotage")]
    pub(super) bug: Option<Bug>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SlotRequest {
    None,
    Asked,
    Granted,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CreditRequest {
    /// May be asked for.
    Idle,
    /// Asked for and not answered yet.
    Asked,
    /// Answered with no lease: not asked for again before something has changed.
    Empty,
}

impl HostState {
    /// A host that this crawl has never met.
    ///
    /// The policy may be shared: pass an `Arc` of it.
    pub fn new(
        policy: impl Into<Arc<HostPolicy>>,
        rules: RulesMode,
        limits: HostLimits,
        seed: u64,
        now: Timestamp,
    ) -> Self {
        Self::resume(policy, rules, limits, HostMemo::default(), seed, now)
    }

    /// A host that returns from passivation.
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
            policy: policy.into(),
            limits,
            random: fastrand::Rng::with_seed(seed),
            budget,
            spacing: Spacing::NONE,
            hold,
            pace,
            quota,
            rules,
            leases: LeaseTable::default(),
            parked,
            outbox: VecDeque::new(),
            slot: SlotRequest::None,
            slot_retry_at: Timestamp::EPOCH,
            credit: CreditRequest::Idle,
            next_seq: 0,
            ramp: 0,
            suspect: None,
            evidence: Evidence::restored(hold.door, hold.reason, hold.strikes, confirmed),
            answered,
            unmet,
            forbidden: 0,
            draining: false,
            touched: now,
            idle_since: Some(now),
            passivated: false,
            #[cfg(feature = "sabotage")]
            bug: None,
        };
        host.refresh_spacing();
        host.advance(now);
        host
    }

    /// The state that must outlive the actor.
    #[must_use]
    pub fn memo(&self) -> HostMemo {
        HostMemo::write(&Remembered {
            budget: self.budget,
            hold: self.hold,
            pace: self.pace.clone(),
            learnt: self.learnt(),
            quota: self.quota,
            rules: self.rules,
            parked: self.parked,
            answered: self.answered,
            confirmed: self.evidence.is_confirmed(),
            unmet: self.unmet,
        })
    }

    /// Takes in one input.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.advance(now);
        if !matches!(input, Input::Tick) {
            self.touched = now;
            self.passivated = false;
        }
        match input {
            Input::Assign(leases) => self.assign(leases),
            Input::Granted => self.granted(),
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

    /// The next output, or `None` if there is none at this instant.
    pub fn poll(&mut self, now: Timestamp) -> Option<Output> {
        self.advance(now);
        let output = self.outbox.pop_front().or_else(|| self.next_output(now));
        if output.is_none() && !self.is_sabotaged() {
            debug_assert_eq!(self.check(now), Ok(()), "{self:?}");
        }
        output
    }

    fn next_output(&mut self, now: Timestamp) -> Option<Output> {
        let startable = self.startable(now);
        match (self.slot, startable) {
            (SlotRequest::Granted, candidate) => {
                self.slot = SlotRequest::None;
                return Some(candidate.map_or(Output::ReturnSlot, |candidate| self.start(now, candidate)));
            }
            (SlotRequest::None, Some(_)) if now >= self.slot_retry_at => {
                self.slot = SlotRequest::Asked;
                return Some(Output::AskSlot);
            }
            (SlotRequest::None | SlotRequest::Asked, _) => {}
        }
        if let Some(more) = self.credit_wanted() {
            self.credit = CreditRequest::Asked;
            return Some(Output::Credit(more));
        }
        if self.is_idle() && !self.passivated && now >= self.linger_end() {
            self.passivated = true;
            return Some(Output::Passivate);
        }
        None
    }

    /// When to call again if no input comes before, and why.
    #[must_use]
    pub fn wake_at(&self) -> Option<(Timestamp, WakeReason)> {
        let deadlines =
            [self.leases.in_flight().first().map(|flying| flying.deadline), self.rules.deadline()];
        let linger = (self.is_idle() && !self.passivated).then(|| self.linger_end());
        let expiries = deadlines.into_iter().flatten().map(|at| (at, WakeReason::LeaseExpiry));
        let linger = linger.map(|at| (at, WakeReason::Linger));
        let tail = self.tail_due().map(|at| (at, WakeReason::HoldEnds));
        expiries.chain(linger).chain(tail).chain(self.start_due()).min_by_key(|(at, _)| *at)
    }

    /// Checks the invariants that are visible from inside, after `poll` gave `None`.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(&self, now: Timestamp) -> Result<(), Violation> {
        let fail = |invariant, text: String| Err(Violation { invariant, text });
        let in_flight = self.in_flight();
        if in_flight > self.policy.in_flight_max() as usize {
            return fail(Invariant::G2, format!("{in_flight} in flight"));
        }
        let probes = self.leases.in_flight().iter().filter(|flying| flying.probe).count()
            + SCHEMES
                .into_iter()
                .filter_map(|scheme| self.rules.fetching(scheme))
                .filter(|f| f.probe)
                .count();
        if self.hold.door == Door::Probing && probes == 0 {
            return fail(Invariant::G5, "waits for a probe that is not out".to_owned());
        }
        if let Some(lease) = self.leases.duplicate() {
            return fail(Invariant::G4, format!("{lease:?} is in two places"));
        }
        if self.slot == SlotRequest::None && now >= self.slot_retry_at && self.startable(now).is_some() {
            return fail(Invariant::G5, "a start is possible and nobody asks for a slot".to_owned());
        }
        if self.start_due().is_some_and(|(at, _)| at <= now) {
            return fail(Invariant::G5, "the wake-up for a start lies in the past".to_owned());
        }
        Ok(())
    }

    /// The host at this moment.
    #[must_use]
    pub fn snapshot(&self) -> HostSnapshot {
        HostSnapshot {
            ready: self.leases.ready().len(),
            waiting: self.leases.waiting().len(),
            in_flight: self.in_flight(),
            in_flight_cap: self.in_flight_cap(),
            parsed: self.leases.parsed().len(),
            hold: (self.hold.until() > Timestamp::EPOCH).then(|| (self.hold.until(), self.hold.until_reason)),
            door_open: self.hold.door == Door::Open,
            parked: self.parked.map(|park| (park.until, park.reason)),
            strikes: u32::from(self.hold.strikes),
            spacing: self.pacing().duration(),
            next_start: self.start_due().map(|(at, _)| at),
            slot_asked: self.slot != SlotRequest::None,
            learnt_per_second: self.learnt(),
            quota_left: self.quota.is_known().then(|| self.quota.left()),
        }
    }

    /// What the host adds to the counts of a crawl at this moment.
    #[must_use]
    pub fn load(&self, now: Timestamp) -> HostLoad {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let in_flight = self.in_flight();
        let under_way = in_flight + self.leases.parsed().len();
        HostLoad { is_held: self.hold.is_held(now), in_flight: count(in_flight), under_way: count(under_way) }
    }

    /// The leases of an origin that were not started: robots.txt has to be consulted for them.
    ///
    /// The shell sends [`Input::Disallowed`] for each that the rules forbid *before* [`Input::Rules`], since
    /// the next poll may start the others.
    pub fn ready_leases(&self, scheme: Scheme) -> impl Iterator<Item = &Lease> {
        let waiting = self.leases.waiting().iter().map(|(_, pending)| pending);
        let idle = self.leases.ready().iter().chain(waiting);
        let of_rules = move |lease: &&Lease| lease.record.scheme == scheme && !lease.id.is_errand();
        idle.map(|pending| &pending.lease).filter(of_rules)
    }

    /// Whether an origin's rules are known and valid, so that forbidden URLs may end without a new fetch.
    /// Without robots.txt rules there is nothing to know.
    #[must_use]
    pub fn knows_rules(&self, scheme: Scheme, now: Timestamp) -> bool {
        !self.rules.is_off() && self.rules.allow_starts(scheme, now)
    }

    /// Whether a lease waits for a case to be decided. Its report is needed when it ends.
    #[must_use]
    pub fn is_undecided(&self, lease: LeaseId) -> bool {
        let mut waiting = self.leases.waiting().iter();
        waiting.any(|(_, pending)| pending.id() == lease && pending.undecided.is_some())
    }

    /// Gives up all leases but those that are handed on, for a host that belongs to somebody else from now on.
    /// The state is of no use afterwards.
    pub fn abandon(&mut self) -> Vec<Lease> {
        self.outbox.clear();
        self.leases.abandon()
    }

    /// Lets everything happen that depends on time alone.
    fn advance(&mut self, now: Timestamp) {
        while let Some(flying) = self.leases.expire(now) {
            self.lost(now, flying);
        }
        for scheme in SCHEMES {
            if self.rules.fetching(scheme).is_some_and(|fetching| fetching.deadline <= now) {
                self.rules_lost(now, scheme);
            }
        }
        self.leases.wake(now, self.limits.order);
        self.quota.roll(now);
        self.settle_tail(now);
        if self.parked.is_some_and(|park| park.until <= now) {
            // This is the park's true end: one probe may learn the host's state.
            self.parked = None;
            self.hold.reopen_for_probe();
            self.evidence.reopen(&self.hold);
        }
    }

    fn assign(&mut self, leases: Vec<Lease>) {
        // An errand does not answer a request to the store.
        if !leases.first().is_some_and(|lease| lease.id.is_errand()) {
            self.credit = if leases.is_empty() { CreditRequest::Empty } else { CreditRequest::Idle };
        }
        for lease in leases {
            if self.leases.holds(lease.id) {
                continue;
            }
            let pending = Pending::new(lease);
            if self.parked.is_some() {
                self.fail(pending, self.closed_reason());
            } else if self.draining {
                self.give_back(pending, None);
            } else {
                self.leases.admit(pending, self.limits.order);
            }
        }
    }

    fn granted(&mut self) {
        // A grant without a request (a restart forgot it) is returned by the next poll.
        self.slot = SlotRequest::Granted;
    }

    fn slot_refused(&mut self, now: Timestamp) {
        if self.slot == SlotRequest::Asked {
            self.slot = SlotRequest::None;
        }
        self.pause_slots(now);
        #[cfg(feature = "sabotage")]
        if self.bug == Some(Bug::SulkAfterRefusedSlot) {
            self.slot_retry_at = Timestamp::NEVER;
        }
    }

    fn slot_denied(&mut self, until: Timestamp) {
        if self.slot == SlotRequest::Asked {
            self.slot = SlotRequest::None;
        }
        self.slot_retry_at = self.slot_retry_at.max(until);
    }

    /// Waits before the next request for a slot, after one was refused.
    pub(super) fn pause_slots(&mut self, now: Timestamp) {
        let pause = (self.policy.backoff_bounds().min / SLOT_RETRY_PART).max(SLOT_RETRY_MIN);
        self.slot_retry_at = self.slot_retry_at.max(now + pause);
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
        // Outputs about these leases are no longer true.
        self.outbox.retain(|output| match output {
            Output::Deliver { lease, .. } | Output::Settle { lease, .. } => !leases.contains(&lease.id),
            _ => true,
        });
        if self.credit == CreditRequest::Empty {
            self.credit = CreditRequest::Idle;
        }
    }

    fn drain(&mut self, now: Timestamp) {
        self.draining = true;
        // There is nothing to start any more. The grant may never come; one that comes late goes back.
        if self.slot == SlotRequest::Asked {
            self.slot = SlotRequest::None;
        }
        while let Some((due, mut pending)) = self.leases.take_any_idle() {
            if pending.undecided.is_some() {
                // Nothing will decide in this run whose fault it was.
                pending.excuse(self.evidence.number);
            }
            let due = due.filter(|due| *due < Timestamp::NEVER).unwrap_or(now);
            self.give_back(pending, Some(due));
        }
    }

    fn restarted(&mut self, now: Timestamp) {
        self.slot = SlotRequest::None;
        self.credit = CreditRequest::Idle;
        self.budget.assume_start(now);
    }

    fn note_idleness(&mut self, now: Timestamp) {
        if !self.leases.ready().is_empty() || !self.leases.in_flight().is_empty() {
            return;
        }
        self.idle_since.get_or_insert(now);
        if self.leases.is_empty() {
            self.leases.shrink();
        }
    }

    fn is_idle(&self) -> bool {
        self.leases.is_empty() && self.slot == SlotRequest::None && self.rules.in_flight() == 0
    }

    fn linger_end(&self) -> Timestamp {
        if self.draining { self.touched } else { self.touched + self.policy.linger_max() }
    }

    fn credit_wanted(&self) -> Option<u32> {
        // A host that was put aside takes what there is for it, too: it ends here and not never.
        if self.credit != CreditRequest::Idle || self.draining {
            return None;
        }
        let credit = self.limits.credit.max(1) as usize;
        let held = self.leases.open() + self.leases.parsed().len();
        let wanted = credit.saturating_sub(held);
        let low = self.leases.open() <= credit / 4 && wanted > 0 && wanted >= credit / 4;
        low.then(|| u32::try_from(wanted).unwrap_or(u32::MAX))
    }

    // Ways out.

    pub(super) fn say(&mut self, event: HostEvent) {
        self.outbox.push_back(Output::Event(event));
    }

    /// Hands a finished lease on to the spider.
    pub(super) fn deliver(&mut self, pending: Pending, delivery: Delivery) {
        self.leases.hand_on(pending.id());
        let attempts = pending.attempts.requests;
        self.outbox.push_back(Output::Deliver { lease: pending.lease, delivery, attempts });
    }

    pub(super) fn fail(&mut self, pending: Pending, reason: Reason) {
        self.deliver(pending, Delivery::Failure(reason));
    }

    pub(super) fn settle(&mut self, pending: Pending, ending: Ending) {
        self.outbox.push_back(Output::Settle { lease: pending.lease, ending });
    }

    /// Gives a lease back to the store; attempts that it used up here are kept.
    pub(super) fn give_back(&mut self, pending: Pending, due: Option<Timestamp>) {
        let attempts = pending.attempts;
        let ending = match due {
            Some(due) if attempts != pending.lease.record.attempts => Ending::Retry { due, attempts },
            Some(_) | None => Ending::Return,
        };
        self.settle(pending, ending);
    }

    /// Puts the host aside: what was not started ends here.
    pub(super) fn park(&mut self, until: Timestamp, reason: ParkReason) {
        self.parked = Some(Park { until, reason });
        self.say(HostEvent::Parked { reason });
        while let Some((_, pending)) = self.leases.take_any_idle() {
            let reason = pending.fault.unwrap_or(self.closed_reason());
            self.fail(pending, reason);
        }
    }

    /// The word for URLs that were never tried: what kept the host out of reach, if it never answered.
    pub(super) fn closed_reason(&self) -> Reason {
        self.unmet.filter(|_| !self.answered).unwrap_or(Reason::HostClosed)
    }

    /// Whether it answered in this run, and nothing was wrong since: it will not sit on a slot.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.answered && self.hold.strikes == 0
    }

    /// Plants a bug at its real decision point, so that the witness can be seen to find it.
    #[cfg(feature = "sabotage")]
    pub fn sabotage(&mut self, bug: Bug) {
        self.bug = Some(bug);
    }
}

/// 10 ms by default.
const SLOT_RETRY_PART: u32 = 100;
const SLOT_RETRY_MIN: Duration = Duration::from_millis(1);
