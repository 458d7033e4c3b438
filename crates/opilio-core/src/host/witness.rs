//! An observer that keeps its own record of a host and reports each broken invariant.
//!
//! It sees a host's inputs and outputs, and derives starts, holds, places and attempts from them alone. From
//! the host itself it reads only values that are invisible from outside (the spacing in force, the counts of
//! leases), to compare them.

use std::time::Duration;

use super::blame::CROWD_STARTS;
use super::budget::Spacing;
use super::invariants::{Invariant, Violation};
use super::message::{Delivery, HostEvent, Input, Output, RulesAnswer, Start};
use super::report::OURS_MAX;
use super::rules::{HOPS_MAX, SCHEMES};
use super::snapshot::HostSnapshot;
use super::state::HostState;
use crate::name::Scheme;
use crate::outcome::{Blame, Fault, Outcome, Reason};
use crate::policy::{Backoff, HostPolicy};
use crate::record::{Lease, LeaseId};
use crate::time::Timestamp;
use crate::verdict::{Hints, Proposal, Verdict};

/// Watches one host over its whole life, passivations included.
///
/// [`Witness::hear`] before each `handle`, [`Witness::see`] for each output, [`Witness::rest`] when
/// `poll` gave `None`.
#[derive(Clone, Debug)]
pub struct Witness {
    spacing: Spacing,
    in_flight_max: usize,
    hold_max: Duration,
    slot_pause: Duration,
    /// Starts of URLs, and of robots.txt, too.
    urls: Pacer,
    all: Pacer,
    last_start: Option<Timestamp>,
    /// The budget counts from here at the latest.
    resumed_at: Option<Timestamp>,
    slot_refused_until: Timestamp,
    crawl_delay: [Duration; 2],
    /// The robots.txt fetches in flight.
    rules_out: [Option<RulesOut>; 2],
    /// Until when each origin waits for rules that were redirected to another host.
    rules_away: [Option<Timestamp>; 2],
    /// How often each robots.txt failed in a row on the crawler's side, and until when it rests for that.
    rules_ours: [u32; 2],
    rules_rest: [Timestamp; 2],
    backoff: Backoff,
    /// Redirects of each robots.txt so far.
    hops: [u8; 2],
    crawl_delay_max: Duration,
    /// The end of the wait that the server stated, or that the host announced.
    hold_end: Timestamp,
    hold_shown: Timestamp,
    /// Between a closing and `Opened`: only a probe may start.
    closed: bool,
    parked: bool,
    draining: bool,
    /// The latest start whose answer announced a quota.
    quota_of: Option<Timestamp>,
    leases: Vec<SeenLease>,
    /// Requests that the host makes as a witness, each with its start.
    witnesses: Vec<(LeaseId, Timestamp, Timestamp, bool)>,
    /// The failures since the last later start that was answered.
    trouble: Option<Trouble>,
    /// The latest start that was answered.
    well: Option<Timestamp>,
    /// Unwelcome outcomes so far.
    unwelcome: u32,
    /// The host was parked, and no probe has been answered since.
    reopened: bool,
    /// One bit for each of the last twelve first requests of a URL: 1 means refused.
    first_asks: u16,
    /// Starts so far, and the last two refused URLs, each with the number of starts at that time.
    starts: u32,
    refused: [Option<(u128, u32)>; 2],
    door_open: bool,
    /// When the door was last seen to close.
    closed_at: Option<Timestamp>,
}

/// A lease as visible from outside.
#[derive(Clone, Debug)]
struct SeenLease {
    id: LeaseId,
    url: u128,
    scheme: Scheme,
    place: SeenPlace,
    /// It was started in this stay.
    started: bool,
    /// Kept-alive connections that died under it since its last other failure.
    stale: u16,
    /// Requests that the server may have seen.
    requests: u16,
    /// The least and the greatest number of attempts that it may have used up.
    attempts: (u16, u16),
    /// Failures that count against it if the present trouble turns out to be its own, since no later start
    /// was answered yet; its latest failed start, and the time of that failure.
    open: u16,
    failed: Option<(Timestamp, Timestamp)>,
    /// Its last outcome was the host's fault, and the request is repeatable.
    innocent: bool,
    /// Its last outcome may end it.
    may_end: bool,
    /// The store has settled it; only its request is still in flight.
    settled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeenPlace {
    /// Ready or waiting: only the host knows which.
    Idle,
    InFlight {
        started: Timestamp,
        deadline: Timestamp,
        probe: bool,
    },
    Parsed,
}

/// A fetch of rules in flight.
#[derive(Clone, Copy, Debug)]
struct RulesOut {
    started: Timestamp,
    deadline: Timestamp,
    probe: bool,
}

/// Failures since the last start that began after them and was answered.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    /// The first failure; `None` is robots.txt or a witness.
    first: Option<u128>,
    /// Another URL failed, too.
    others: bool,
    /// A probe showed that the host is at fault.
    confirmed: bool,
    /// The time of the last failure.
    last: Timestamp,
}

/// G1 from outside: `s_j ≥ max_i (s_i + (j − i) · spacing) − τ`, kept as one number.
#[derive(Clone, Copy, Debug, Default)]
struct Pacer {
    due_nanos: u64,
}

impl Pacer {
    fn start(&mut self, now: Timestamp, spacing: Spacing) -> bool {
        let now = now.as_micros().saturating_mul(1_000);
        let early = spacing.nanos > 0 && now.saturating_add(spacing.slack_nanos) < self.due_nanos;
        self.due_nanos = self.due_nanos.max(now).saturating_add(spacing.nanos);
        !early
    }

    fn assume_start(&mut self, now: Timestamp, spacing: Spacing) {
        let now = now.as_micros().saturating_mul(1_000);
        self.due_nanos = self.due_nanos.max(now.saturating_add(spacing.nanos));
    }
}

impl Witness {
    /// A witness for a host with this policy.
    #[must_use]
    pub fn new(policy: &HostPolicy) -> Self {
        Self {
            spacing: policy.rate_max().map_or(Spacing::NONE, Spacing::of_rate),
            in_flight_max: policy.in_flight_max() as usize,
            hold_max: policy.hold_max(),
            slot_pause: policy.backoff_bounds().min.max(Duration::from_millis(1)),
            urls: Pacer::default(),
            all: Pacer::default(),
            last_start: None,
            resumed_at: None,
            slot_refused_until: Timestamp::EPOCH,
            crawl_delay: [Duration::ZERO; 2],
            rules_out: [None; 2],
            rules_away: [None; 2],
            rules_ours: [0; 2],
            rules_rest: [Timestamp::EPOCH; 2],
            backoff: policy.backoff_bounds(),
            hops: [0; 2],
            crawl_delay_max: policy.crawl_delay_max(),
            hold_end: Timestamp::EPOCH,
            hold_shown: Timestamp::EPOCH,
            closed: false,
            parked: false,
            draining: false,
            quota_of: None,
            leases: Vec::new(),
            witnesses: Vec::new(),
            trouble: None,
            well: None,
            unwelcome: 0,
            reopened: false,
            first_asks: 0,
            starts: 0,
            refused: [None; 2],
            door_open: true,
            closed_at: None,
        }
    }

    /// Leases that have not ended yet, wherever they are.
    #[must_use]
    pub fn open_leases(&self) -> usize {
        self.leases.len()
    }

    /// The host returns from passivation. Budget and holds continue, a drain does not, and the fault of
    /// earlier failures is unknown.
    pub fn resumed(&mut self) {
        self.draining = false;
        (self.rules_away, self.hops) = ([None; 2], [0; 2]);
        self.blur();
        self.well = None;
    }

    /// Records an input before the host handles it.
    pub fn hear(&mut self, now: Timestamp, input: &Input) {
        self.expire(now);
        match input {
            Input::Assign(leases) => self.assigned(leases),
            Input::Refused => self.pause_slots(now),
            Input::SlotDenied { until } => self.slot_refused_until = self.slot_refused_until.max(*until),
            Input::Report { lease, outcome, proposal } => self.reported(now, *lease, *outcome, proposal),
            Input::Undelivered(lease) => {
                self.pause_slots(now);
                self.witnesses.retain(|(id, ..)| id != lease);
                self.land(*lease);
            }
            Input::Rules { scheme, answer, hints } => {
                // An answer from another host tells nothing about this one.
                if let Some(RulesOut { started, .. }) = self.rules_out[*scheme as usize] {
                    self.note_quota(now, started, hints);
                }
                self.rules_answered(now, *scheme, *answer);
            }
            Input::Settled(leases) => self.settled(leases),
            Input::Hold { until } => {
                self.hold_end = self.hold_end.max((*until).min(now + self.hold_max));
            }
            Input::Drain => self.draining = true,
            Input::Restarted => {
                self.urls.assume_start(now, self.spacing);
                self.all.assume_start(now, self.spacing);
                self.resumed_at = Some(now);
            }
            Input::Granted | Input::Disallowed(_) | Input::Tick => {}
        }
        self.forget_settled();
    }

    /// Checks an output.
    ///
    /// # Errors
    /// The invariant that the output breaks.
    pub fn see(&mut self, now: Timestamp, output: &Output) -> Result<(), Violation> {
        match output {
            Output::Fetch(start) => self.started(now, start),
            Output::FetchRules { scheme, deadline } => self.rules_started(now, *scheme, *deadline),
            Output::Deliver { lease, delivery, attempts } => self.delivered(lease, *delivery, *attempts),
            Output::Settle { lease, .. } if lease.id.is_witness() => Ok(()),
            Output::Settle { lease, .. } => {
                let place = self.place_of(lease.id)?;
                self.leases.swap_remove(place);
                Ok(())
            }
            Output::Event(event) => self.told(now, *event),
            Output::Passivate => {
                let left = self.leases.len();
                expect(left == 0, Invariant::G4, || format!("passivated with {left} leases"))
            }
            Output::Credit(_) | Output::AskSlot | Output::ReturnSlot => Ok(()),
        }
    }

    /// Compares the record with the host, which has no more output at this instant.
    ///
    /// # Errors
    /// The broken invariant.
    pub fn rest(&mut self, now: Timestamp, host: &HostState) -> Result<(), Violation> {
        let shown = host.snapshot();
        let until = shown.hold.map_or(Timestamp::EPOCH, |(until, _)| until);
        let before = self.hold_shown;
        expect(until >= before, Invariant::G6, || format!("the hold went from {before:?} to {until:?}"))?;
        if shown.parked.is_some() {
            // It starts nothing for at least as long as the longest hold; a wait that it hears then changes nothing.
            self.hold_end = self.hold_end.min(until);
        }
        let end = self.hold_end;
        expect(until >= end, Invariant::G6, || format!("held until {until:?}, asked for {end:?}"))?;
        self.hold_shown = until;
        match (self.door_open, shown.door_open) {
            (true, false) => self.closed_at = Some(now),
            // An answer ended the case.
            (false, true) => self.begin_new_row(),
            (true, true) | (false, false) => {}
        }
        self.door_open = shown.door_open;
        self.compare_places(&shown)?;
        self.expect_work(now, &shown)
    }

    fn started(&mut self, now: Timestamp, start: &Start) -> Result<(), Violation> {
        let id = start.lease.id;
        let paced = self.urls.start(now, self.spacing);
        expect(paced, Invariant::G1, || format!("{id:?} starts early at {now:?}"))?;
        self.any_start(now, start.probe)?;
        if id.is_witness() {
            self.witnesses.push((id, now, start.deadline, start.probe));
            return self.expect_in_flight();
        }
        let place = self.place_of(id)?;
        self.expect_witness(place, start.probe)?;
        let seen = &mut self.leases[place];
        expect(seen.place == SeenPlace::Idle, Invariant::G4, || {
            format!("{id:?} starts from {:?}", seen.place)
        })?;
        let (least, most) = seen.attempts;
        let used = start.attempt.saturating_sub(1);
        expect(used <= most, Invariant::G7, || {
            format!("{id:?} starts attempt {}, it used up {most} at most", start.attempt)
        })?;
        expect(used >= least, Invariant::G10, || {
            format!("{id:?} starts attempt {}, it used up {least} at least", start.attempt)
        })?;
        seen.attempts.1 = used;
        seen.started = true;
        seen.place = SeenPlace::InFlight { started: now, deadline: start.deadline, probe: start.probe };
        self.expect_in_flight()
    }

    fn rules_started(
        &mut self,
        now: Timestamp,
        scheme: Scheme,
        deadline: Timestamp,
    ) -> Result<(), Violation> {
        let probe = self.closed;
        self.any_start(now, probe)?;
        self.rules_out[scheme as usize] = Some(RulesOut { started: now, deadline, probe });
        self.expect_in_flight()
    }

    fn any_start(&mut self, now: Timestamp, probe: bool) -> Result<(), Violation> {
        self.starts += 1;
        let paced = self.all.start(now, self.spacing);
        expect(paced, Invariant::G8, || format!("with robots.txt, a start is early at {now:?}"))?;
        let delay = self.crawl_delay[0].max(self.crawl_delay[1]);
        let early = self.last_start.is_some_and(|last| now < last + delay);
        expect(!early, Invariant::G1, || format!("a start at {now:?} within the crawl delay"))?;
        self.last_start = Some(now);
        let end = self.hold_end;
        expect(now >= end, Invariant::G3, || format!("a start at {now:?}, held until {end:?}"))?;
        expect(!self.parked, Invariant::G3, || "a start while parked".to_owned())?;
        expect(!self.draining, Invariant::G3, || "a start while draining".to_owned())?;
        let allowed = !self.closed || (probe && !self.probe_out());
        expect(allowed, Invariant::G3, || "a start while only a probe may".to_owned())
    }

    /// G9: a URL that failed in this closing must not be the probe while another URL could be.
    fn expect_witness(&self, place: usize, probe: bool) -> Result<(), Violation> {
        let seen = &self.leases[place];
        let fresh = |other: &SeenLease| {
            let untried = other.place == SeenPlace::Idle && other.requests == 0 && !other.started;
            // robots.txt does not apply to an errand.
            let may_start = other.scheme == seen.scheme && !seen.id.is_errand();
            untried && (may_start || other.id.is_errand())
        };
        let suspect = probe && seen.open > 0;
        expect(!suspect || !self.leases.iter().any(fresh), Invariant::G9, || {
            format!("{:?} is the probe, though it failed and others have not", seen.id)
        })
    }

    fn expect_in_flight(&self) -> Result<(), Violation> {
        let (count, max) = (self.in_flight(), self.in_flight_max);
        expect(count <= max, Invariant::G2, || format!("{count} in flight, {max} allowed"))
    }

    fn in_flight(&self) -> usize {
        let urls = self.leases.iter().filter(|seen| matches!(seen.place, SeenPlace::InFlight { .. })).count();
        urls + self.rules_out.iter().flatten().count() + self.witnesses.len()
    }

    fn delivered(&mut self, lease: &Lease, delivery: Delivery, attempts: u16) -> Result<(), Violation> {
        let id = lease.id;
        let place = self.place_of(id)?;
        let parked = self.parked;
        let seen = &mut self.leases[place];
        expect(seen.place == SeenPlace::Idle, Invariant::G4, || {
            format!("{id:?} ends from {:?}", seen.place)
        })?;
        let requests = seen.requests;
        expect(attempts == requests, Invariant::G10, || {
            format!("{id:?} ends after {attempts} requests, the server saw {requests}")
        })?;
        let failed = matches!(delivery, Delivery::Failure(reason) if reason != Reason::Robots);
        expect(!(failed && seen.innocent) || parked, Invariant::G7, || {
            format!("{id:?} is given up for what its host did")
        })?;
        expect(!failed || seen.may_end || parked, Invariant::G11, || {
            format!("{id:?} is given up, though it had attempts left")
        })?;
        seen.place = SeenPlace::Parsed;
        Ok(())
    }

    fn told(&mut self, now: Timestamp, event: HostEvent) -> Result<(), Violation> {
        match event {
            HostEvent::Held { until, reason, .. } => {
                self.hold_end = self.hold_end.max(until);
                self.closed |= !reason.needs_no_probe();
            }
            HostEvent::Opened => {
                self.closed = false;
                self.reopened = false;
                self.resumed_at = Some(now);
            }
            HostEvent::Parked { .. } => {
                self.parked = true;
                self.reopened = true;
                self.blur();
            }
            HostEvent::Paced { .. } => {
                return expect(self.unwelcome > 1, Invariant::G11, || {
                    "the pace falls for a single refusal, which may be chance".to_owned()
                });
            }
            HostEvent::RefusalsExcused => {
                // Its failures by refusals are invisible from outside, so the least count is zero.
                self.leases.iter_mut().for_each(|seen| (seen.attempts.0, seen.open) = (0, 0));
            }
            HostEvent::Forbidden { .. }
            | HostEvent::RulesUnavailable { .. }
            | HostEvent::CrawlDelayClamped { .. } => {}
        }
        Ok(())
    }

    fn assigned(&mut self, leases: &[Lease]) {
        for lease in leases {
            if self.leases.iter().any(|seen| seen.id == lease.id) {
                continue;
            }
            let attempts = lease.record.attempts;
            self.leases.push(SeenLease {
                id: lease.id,
                url: lease.record.fingerprint.0,
                scheme: lease.record.scheme,
                place: SeenPlace::Idle,
                requests: attempts.requests,
                attempts: (attempts.used(), attempts.used()),
                open: 0,
                failed: None,
                started: false,
                stale: 0,
                innocent: false,
                may_end: false,
                settled: false,
            });
        }
    }

    fn settled(&mut self, leases: &[LeaseId]) {
        self.leases.retain_mut(|seen| {
            let over = leases.contains(&seen.id);
            seen.settled |= over;
            !over || matches!(seen.place, SeenPlace::InFlight { .. })
        });
    }

    fn land(&mut self, id: LeaseId) -> Option<usize> {
        let place = self.leases.iter().position(|seen| seen.id == id)?;
        let SeenPlace::InFlight { .. } = self.leases[place].place else { return None };
        self.leases[place].place = SeenPlace::Idle;
        Some(place)
    }

    /// Forgets settled leases whose request has ended.
    fn forget_settled(&mut self) {
        self.leases.retain(|seen| !seen.settled || matches!(seen.place, SeenPlace::InFlight { .. }));
    }

    fn expire(&mut self, now: Timestamp) {
        for seen in &mut self.leases {
            if matches!(seen.place, SeenPlace::InFlight { deadline, .. } if deadline <= now) {
                seen.place = SeenPlace::Idle;
                seen.innocent = false;
                // Lost too often, it ends as the crawler's fault.
                seen.may_end = true;
            }
        }
        self.witnesses.retain(|(_, _, deadline, _)| *deadline > now);
        for (out, hops) in self.rules_out.iter_mut().zip(&mut self.hops) {
            if out.take_if(|out| out.deadline <= now).is_some() {
                *hops = 0;
            }
        }
        let mut blurred = false;
        for (away, hops) in self.rules_away.iter_mut().zip(&mut self.hops) {
            if away.take_if(|deadline| *deadline <= now).is_some() {
                *hops = 0;
                blurred = true;
            }
        }
        if blurred {
            self.fail_of_host(now, false);
        }
    }

    fn probe_out(&self) -> bool {
        let of_url = |seen: &SeenLease| matches!(seen.place, SeenPlace::InFlight { probe: true, .. });
        self.leases.iter().any(of_url)
            || self.rules_out.iter().flatten().any(|out| out.probe)
            || self.witnesses.iter().any(|(.., probe)| *probe)
    }

    fn reported(&mut self, now: Timestamp, id: LeaseId, outcome: Outcome, proposal: &Proposal) {
        let blame = outcome.blame();
        let wanted = matches!(proposal.verdict, Verdict::Done | Verdict::Redirect);
        let forbidden = matches!(outcome, Outcome::Answered(401 | 403)) && !wanted;
        let answered = wanted || matches!(blame, Blame::Success | Blame::Neutral);
        if let Some(place) = self.witnesses.iter().position(|(other, ..)| *other == id) {
            let (_, started, _, probe) = self.witnesses.swap_remove(place);
            self.note_quota(now, started, &proposal.hints);
            self.note_refusal(now, outcome, proposal);
            if answered {
                self.answered(started, !forbidden);
            }
            if !answered || forbidden {
                self.unwelcome += u32::from(blame != Blame::Ours);
                self.fail_of_host(now, probe && blame != Blame::Ours && !forbidden);
            }
            return;
        }
        let Some(started) = self.start_of(id) else { return };
        let old_news = self.is_before_closing(started);
        let probe = matches!(self.place(id), Some(SeenPlace::InFlight { probe: true, .. }));
        self.note_quota(now, started, &proposal.hints);
        let Some(place) = self.land(id) else { return };
        self.note_refusal(now, outcome, proposal);
        let permanent = matches!(outcome, Outcome::Failed(Fault::NoSuchName | Fault::Certificate));
        let final_anyway = permanent || !proposal.repeatable;
        let parked = self.parked;
        let seen = &mut self.leases[place];
        let stale = outcome == Outcome::Failed(Fault::StaleConnection) && proposal.repeatable;
        // A connection may die of age, but not two under one URL.
        let blame = if stale && (seen.stale > 0 || seen.failed.is_some()) { Blame::Url } else { blame };
        seen.innocent = false;
        seen.may_end = !matches!(proposal.verdict, Verdict::Retry { .. }) || blame == Blame::Ours || parked;
        if blame == Blame::Ours {
            // The server may have broken it on purpose; then it belongs to the trouble.
            if let Some(trouble) = &mut self.trouble {
                trouble.others = true;
            }
            if stale {
                // It is free of charge, unless the next attempt fails, too.
                seen.requests = seen.requests.saturating_add(1);
                seen.stale += 1;
                self.unwelcome += 1;
            }
            return;
        }
        seen.requests = seen.requests.saturating_add(1);
        if seen.requests == 1 {
            self.first_asks = (self.first_asks << 1 | u16::from(blame == Blame::Refusal)) & ((1 << 12) - 1);
        }
        if answered && !forbidden {
            seen.attempts.1 = seen.attempts.1.saturating_add(1);
            if !wanted {
                // The URL has failed, by its own fault: a connection that dies under it now is no longer free.
                seen.failed = Some((started, now));
            }
            self.answered(started, true);
            return;
        }
        if forbidden {
            seen.attempts.1 = seen.attempts.1.saturating_add(1);
            // It may have been returned as part of a run of 401 and 403; its next failure counts anyway.
            seen.failed = Some((started, now));
            self.answered(started, false);
            return;
        }
        // A stated wait is no chance.
        let hints = proposal.hints;
        self.unwelcome += 1 + u32::from(hints.retry_after.is_some() || hints.quota.is_some());
        let url = seen.url;
        let own = self.well.is_some_and(|well| {
            well >= started || seen.failed.is_some_and(|(failed_start, _)| well >= failed_start)
        });
        seen.failed = Some((started, now));
        if blame == Blame::Refusal && seen.requests == 1 {
            self.refused = [Some((url, self.starts)), self.refused[0]];
        }
        let trouble = self.trouble.get_or_insert(Trouble {
            first: Some(url),
            others: false,
            confirmed: false,
            last: now,
        });
        trouble.last = now;
        trouble.others |= trouble.first != Some(url);
        let also = std::mem::take(&mut seen.stale);
        let guilty = trouble.confirmed && !self.door_open;
        if guilty {
            seen.innocent = !final_anyway;
            seen.attempts.1 = seen.attempts.1.saturating_add(u16::from(final_anyway) * (1 + also));
            return;
        }
        seen.attempts.1 = seen.attempts.1.saturating_add(1 + also);
        if old_news || own {
            // It may have been charged, or a case that is over had shown the host to be at fault.
            return;
        }
        let clean = seen.requests == 1;
        seen.open += 1 + also;
        if probe
            && clean
            && !self.door_open
            && matches!(blame, Blame::Refusal | Blame::Host)
            && trouble.others
        {
            let last = std::mem::take(&mut seen.open);
            seen.attempts.1 = seen.attempts.1.saturating_sub(last);
            seen.innocent = !final_anyway;
            if final_anyway {
                seen.attempts.1 = seen.attempts.1.saturating_add(last);
            }
            self.confirm();
        }
    }

    /// Records the answer to a start. Failures before that start count against their URLs by now, unless
    /// others failed meanwhile. A 401 or 403 may come from a firewall, so it proves less.
    fn answered(&mut self, started: Timestamp, welcome: bool) {
        self.well = self.well.max(Some(started));
        let alone =
            !self.reopened && self.trouble.is_some_and(|trouble| !trouble.others && trouble.first.is_some());
        for seen in &mut self.leases {
            let Some((failed_start, failed)) = seen.failed.filter(|_| seen.open > 0) else { continue };
            if failed_start <= started {
                let open = std::mem::take(&mut seen.open);
                let lately = |(url, starts)| url != seen.url && self.starts - starts < CROWD_STARTS * 3;
                let crowd =
                    self.first_asks.count_ones() > 2 || self.refused.into_iter().flatten().any(lately);
                if welcome && alone && !crowd && failed < started {
                    seen.attempts.0 = (seen.attempts.0 + open).min(seen.attempts.1);
                }
            }
        }
        if self.door_open {
            self.begin_new_row();
        }
        if let Some(trouble) = &mut self.trouble {
            // Later failures are another question.
            trouble.confirmed = false;
        }
        if welcome && self.trouble.is_some_and(|trouble| trouble.last < started) {
            self.trouble = None;
        }
    }

    /// robots.txt or a witness failed, which is the host's fault.
    fn fail_of_host(&mut self, now: Timestamp, probe: bool) {
        let trouble =
            self.trouble.get_or_insert(Trouble { first: None, others: true, confirmed: false, last: now });
        trouble.others = true;
        trouble.last = now;
        if probe && !self.door_open {
            self.confirm();
        }
    }

    /// The failures of this trouble were the host's fault and are excused.
    fn confirm(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.confirmed = true;
        }
        for seen in &mut self.leases {
            let open = std::mem::take(&mut seen.open);
            seen.attempts.1 = seen.attempts.1.saturating_sub(open);
            seen.attempts.0 = seen.attempts.0.min(seen.attempts.1);
        }
    }

    /// A new row of failures begins; the failures so far are not excused.
    fn begin_new_row(&mut self) {
        self.leases.iter_mut().for_each(|seen| seen.open = 0);
    }

    /// The fault is no longer visible from outside.
    fn blur(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.others = true;
        }
        self.begin_new_row();
    }

    fn place(&self, id: LeaseId) -> Option<SeenPlace> {
        self.leases.iter().find(|seen| seen.id == id).map(|seen| seen.place)
    }

    /// The start of the request in flight for a lease.
    fn start_of(&self, id: LeaseId) -> Option<Timestamp> {
        match self.leases.iter().find(|seen| seen.id == id)?.place {
            SeenPlace::InFlight { started, .. } => Some(started),
            SeenPlace::Idle | SeenPlace::Parsed => None,
        }
    }

    fn is_before_closing(&self, started: Timestamp) -> bool {
        self.door_open && self.closed_at.is_some_and(|closed_at| started <= closed_at)
    }

    fn note_refusal(&mut self, now: Timestamp, outcome: Outcome, proposal: &Proposal) {
        if let (Blame::Refusal, Some(wait)) = (outcome.blame(), proposal.hints.retry_after)
            && !self.parked
        {
            self.hold_end = self.hold_end.max(now + wait.min(self.hold_max));
        }
    }

    /// Records a quota. A spent quota holds until its reset, give or take a second for rounding. Older
    /// statements do not count. The order of two starts at one instant is unknown.
    fn note_quota(&mut self, now: Timestamp, started: Timestamp, hints: &Hints) {
        let Some(quota) = hints.quota.filter(|_| self.quota_of.is_none_or(|newest| newest < started)) else {
            return;
        };
        self.quota_of = Some(started);
        if quota.remaining == 0 && !self.parked {
            let wait = quota.reset.min(self.hold_max).saturating_sub(Duration::from_secs(1));
            self.hold_end = self.hold_end.max(now + wait);
        }
    }

    fn rules_answered(&mut self, now: Timestamp, scheme: Scheme, answer: RulesAnswer) {
        let away = self.rules_away[scheme as usize].take().is_some();
        let out = self.rules_out[scheme as usize].take();
        if out.is_none() && !away {
            return;
        }
        let old_news = out.is_some_and(|out| self.is_before_closing(out.started));
        let hops = &mut self.hops[scheme as usize];
        let hop = matches!(answer, RulesAnswer::Again | RulesAnswer::Elsewhere { .. });
        *hops = if hop { *hops + 1 } else { 0 };
        if *hops > HOPS_MAX {
            // The host does not ask again: there are no rules.
            *hops = 0;
            self.rules_ours[scheme as usize] = 0;
            self.crawl_delay[scheme as usize] = Duration::ZERO;
            return;
        }
        match answer {
            RulesAnswer::Known { crawl_delay, .. } => {
                self.rules_ours[scheme as usize] = 0;
                self.crawl_delay[scheme as usize] = crawl_delay.unwrap_or_default().min(self.crawl_delay_max);
                if let Some(out) = out {
                    self.answered(out.started, true);
                }
            }
            RulesAnswer::Again => {}
            RulesAnswer::Elsewhere { within } => self.rules_away[scheme as usize] = Some(now + within),
            RulesAnswer::Unavailable { outcome, .. } if away => {
                self.may_end_origin(scheme, outcome, false);
                self.rest_rules(now, scheme, outcome);
                self.fail_of_host(now, false);
            }
            RulesAnswer::Unavailable { outcome, proposal } => {
                self.rest_rules(now, scheme, outcome);
                let ours = &mut self.rules_ours[scheme as usize];
                *ours = if outcome.blame() == Blame::Ours { (*ours + 1) % u32::from(OURS_MAX) } else { 0 };
                let often = outcome.blame() == Blame::Ours && *ours == 0;
                self.may_end_origin(scheme, outcome, often);
                self.note_refusal(now, outcome, &proposal);
                // A probe whose connection died of age learns nothing.
                let probe = out.is_some_and(|out| out.probe) && outcome.blame() != Blame::Ours;
                if outcome.blame() != Blame::Ours || outcome == Outcome::Failed(Fault::StaleConnection) {
                    self.unwelcome += 1;
                    self.fail_of_host(now, probe && !old_news);
                }
            }
        }
    }

    /// If an origin's rules can never be fetched, the leases that wait for them may end, at fault or not.
    fn may_end_origin(&mut self, scheme: Scheme, outcome: Outcome, often: bool) {
        if !often && !matches!(outcome, Outcome::Failed(fault) if fault.is_permanent()) {
            return;
        }
        let waits = |seen: &&mut SeenLease| seen.scheme == scheme && seen.place == SeenPlace::Idle;
        self.leases.iter_mut().filter(waits).for_each(|seen| {
            seen.innocent = false;
            seen.may_end = true;
        });
    }

    /// Records the rest after a failure on the crawler's side; the waits grow.
    fn rest_rules(&mut self, now: Timestamp, scheme: Scheme, outcome: Outcome) {
        if outcome.blame() == Blame::Ours {
            let rest = self.backoff.ceiling(self.rules_ours[scheme as usize]);
            self.rules_rest[scheme as usize] = now + rest;
        }
    }

    fn place_of(&self, id: LeaseId) -> Result<usize, Violation> {
        let place = self.leases.iter().position(|seen| seen.id == id);
        place.ok_or_else(|| Violation { invariant: Invariant::G4, text: format!("{id:?} is nobody's") })
    }

    fn compare_places(&mut self, shown: &HostSnapshot) -> Result<(), Violation> {
        let count =
            |wanted: fn(&SeenPlace) -> bool| self.leases.iter().filter(|seen| wanted(&seen.place)).count();
        let ours = (
            count(|place| *place == SeenPlace::Idle),
            self.in_flight(),
            count(|place| *place == SeenPlace::Parsed),
        );
        let theirs = (shown.ready + shown.waiting, shown.in_flight, shown.parsed);
        expect(ours == theirs, Invariant::G4, || {
            format!("(idle, in flight, parsed) are {ours:?}, the host counts {theirs:?}")
        })
    }

    /// A slot is asked for again a little later; a group's budget may have said: later still.
    fn pause_slots(&mut self, now: Timestamp) {
        self.slot_refused_until = self.slot_refused_until.max(now + self.slot_pause);
    }

    /// G5: for work that may start, a slot was requested or a timer is set.
    fn expect_work(&mut self, now: Timestamp, shown: &HostSnapshot) -> Result<(), Violation> {
        self.parked = shown.parked.is_some();
        let rules_out =
            self.rules_out.iter().any(Option::is_some) || self.rules_away.iter().any(Option::is_some);
        let busy = self.draining
            || self.parked
            || self.probe_out()
            || rules_out
            || shown.slot_asked
            || shown.ready == 0
            || shown.in_flight >= shown.in_flight_cap
            || shown.quota_left == Some(0);
        if busy {
            return Ok(());
        }
        let delay = self.crawl_delay[0].max(self.crawl_delay[1]).max(shown.spacing);
        let since = self.last_start.max(self.resumed_at);
        let budget = since.map_or(Timestamp::EPOCH, |since| since + delay);
        let hold = shown.hold.map_or(Timestamp::EPOCH, |(until, _)| until);
        // The host counts in nanoseconds and rounds up.
        let budget = budget + Duration::from_micros(1);
        let rest = self.rules_rest[0].max(self.rules_rest[1]);
        let due = budget.max(hold).max(rest).max(self.slot_refused_until).max(now + self.slot_pause);
        let next = shown.next_start;
        expect(next.is_some_and(|at| at <= due && at > now), Invariant::G5, || {
            format!("work is ready at {now:?}, a start possible by {due:?}, and the host plans {next:?}")
        })
    }
}

fn expect(holds: bool, invariant: Invariant, text: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, text: text() }) }
}

const _: () = assert!(SCHEMES.len() == 2, "the witness keeps two origins");
