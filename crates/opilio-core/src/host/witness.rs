//! An observer that keeps its own books about a host and says when an invariant breaks.
//!
//! It sees what goes into a host and what comes out, and derives starts, holds, places and attempts
//! from that alone. Of the host's own view it uses only what cannot be seen from outside (the
//! spacing in force, how many leases it counts where), and compares.

use std::time::Duration;

use super::budget::Spacing;
use super::invariants::{Invariant, Violation};
use super::message::{Delivery, HoldReason, HostEvent, Input, Output, RulesAnswer, Start};
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
    /// Starts of URLs, and of robots.txt too.
    urls: Pacer,
    all: Pacer,
    last_start: Option<Timestamp>,
    /// The budget is measured from here at the latest.
    resumed_at: Option<Timestamp>,
    slot_refused_until: Timestamp,
    crawl_delay: [Duration; 2],
    /// The robots.txt fetches under way.
    rules_out: [Option<RulesOut>; 2],
    /// Until when the rules are awaited that were redirected to another host.
    rules_away: [Option<Timestamp>; 2],
    /// How often each robots.txt failed in a row for a reason of ours, and until when it rests for that.
    rules_ours: [u32; 2],
    rules_rest: [Timestamp; 2],
    backoff: Backoff,
    /// Redirects of each robots.txt so far.
    hops: [u8; 2],
    crawl_delay_max: Duration,
    /// Until when the server asked for silence, or the host said that it keeps it.
    hold_end: Timestamp,
    hold_shown: Timestamp,
    /// Between a closing and `Opened`: only a probe may start.
    closed: bool,
    parked: bool,
    draining: bool,
    /// The latest start whose answer announced a quota.
    quota_of: Option<Timestamp>,
    leases: Vec<Seen>,
    fault: LastFault,
    door_open: bool,
    /// When the door was last seen to close.
    closed_at: Option<Timestamp>,
}

/// A lease as seen from outside.
#[derive(Clone, Debug)]
struct Seen {
    id: LeaseId,
    url: u128,
    scheme: Scheme,
    place: Place,
    /// Attempts that it has used up at least, and at most.
    attempts: (u16, u16),
    /// The last outcome was the host's doing, and the request may be repeated.
    innocent: bool,
    /// Over as far as the store goes; only its request is still under way.
    settled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Ready or waiting: the host knows which.
    Idle,
    InFlight {
        started: Timestamp,
        deadline: Timestamp,
        probe: bool,
    },
    Parsed,
}

/// A fetch of rules under way.
#[derive(Clone, Copy, Debug)]
struct RulesOut {
    started: Timestamp,
    deadline: Timestamp,
    probe: bool,
}

/// What failed since the host was last seen well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastFault {
    None,
    OfUrl(u128),
    OfHost,
    /// A connection that may have been broken on purpose.
    Unclear,
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
    /// A witness of a host with this policy.
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
            fault: LastFault::None,
            door_open: true,
            closed_at: None,
        }
    }

    /// Leases that have not ended yet, in whatever place.
    #[must_use]
    pub fn open_leases(&self) -> usize {
        self.leases.len()
    }

    /// The host is back from passivation: budget and holds go on, a drain does not, and a single
    /// failure of before is forgotten.
    pub fn resumed(&mut self) {
        self.draining = false;
        (self.rules_away, self.hops) = ([None; 2], [0; 2]);
        if matches!(self.fault, LastFault::OfUrl(_)) {
            self.fault = LastFault::None;
        }
    }

    /// Takes note of what the host is about to hear.
    pub fn hear(&mut self, now: Timestamp, input: &Input) {
        self.expire(now);
        match input {
            Input::Assign(leases) => self.assigned(leases),
            Input::Refused => self.slot_refused_until = now + self.slot_pause,
            Input::Report { lease, outcome, proposal } => self.reported(now, *lease, *outcome, proposal),
            Input::Undelivered(lease) => {
                self.slot_refused_until = now + self.slot_pause;
                self.land(*lease);
            }
            Input::Rules { scheme, answer, hints } => {
                // An answer from elsewhere tells nothing about this host.
                if let Some(RulesOut { started, .. }) = self.rules_out[*scheme as usize] {
                    self.note_quota(now, started, hints);
                }
                self.rules_answered(now, *scheme, *answer);
            }
            Input::Settled(leases) => self.settled(leases),
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

    /// Judges what the host says.
    ///
    /// # Errors
    /// The invariant that it breaks.
    pub fn see(&mut self, now: Timestamp, output: &Output) -> Result<(), Violation> {
        match output {
            Output::Fetch(start) => self.started(now, start),
            Output::FetchRules { scheme, deadline } => self.rules_started(now, *scheme, *deadline),
            Output::Deliver { lease, delivery, attempts } => self.delivered(lease, *delivery, *attempts),
            Output::Settle { lease, .. } => {
                let place = self.place_of(lease.id)?;
                self.leases.swap_remove(place);
                Ok(())
            }
            Output::Event(event) => {
                self.told(now, *event);
                Ok(())
            }
            Output::Passivate => {
                let left = self.leases.len();
                expect(left == 0, Invariant::G4, || format!("passivated with {left} leases"))
            }
            Output::Credit(_) | Output::AskSlot | Output::ReturnSlot => Ok(()),
        }
    }

    /// Compares books with the host, which has nothing more to say at this instant.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn rest(&mut self, now: Timestamp, host: &HostState) -> Result<(), Violation> {
        let shown = host.snapshot();
        let until = shown.hold.map_or(Timestamp::EPOCH, |(until, _)| until);
        let before = self.hold_shown;
        expect(until >= before, Invariant::G6, || format!("the hold went from {before:?} to {until:?}"))?;
        let end = self.hold_end;
        expect(until >= end, Invariant::G6, || format!("held until {until:?}, asked for {end:?}"))?;
        self.hold_shown = until;
        if self.door_open && !shown.door_open {
            self.closed_at = Some(now);
        }
        self.door_open = shown.door_open;
        self.compare_places(&shown)?;
        self.expect_work(now, &shown)
    }

    // Starts.

    fn started(&mut self, now: Timestamp, start: &Start) -> Result<(), Violation> {
        let id = start.lease.id;
        let paced = self.urls.start(now, self.spacing);
        expect(paced, Invariant::G1, || format!("{id:?} starts early at {now:?}"))?;
        self.any_start(now, start.probe)?;
        let place = self.place_of(id)?;
        let seen = &mut self.leases[place];
        expect(seen.place == Place::Idle, Invariant::G4, || format!("{id:?} starts from {:?}", seen.place))?;
        let (least, most) = seen.attempts;
        let used = start.attempt.saturating_sub(1);
        expect((least..=most).contains(&used), Invariant::G7, || {
            format!("{id:?} starts attempt {}, it used up {least} to {most}", start.attempt)
        })?;
        seen.attempts = (used, used);
        seen.place = Place::InFlight { started: now, deadline: start.deadline, probe: start.probe };
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

    fn expect_in_flight(&self) -> Result<(), Violation> {
        let (count, max) = (self.in_flight(), self.in_flight_max);
        expect(count <= max, Invariant::G2, || format!("{count} in flight, {max} allowed"))
    }

    fn in_flight(&self) -> usize {
        let urls = self.leases.iter().filter(|seen| matches!(seen.place, Place::InFlight { .. })).count();
        urls + self.rules_out.iter().flatten().count()
    }

    // Ends.

    fn delivered(&mut self, lease: &Lease, delivery: Delivery, attempts: u16) -> Result<(), Violation> {
        let id = lease.id;
        let place = self.place_of(id)?;
        let parked = self.parked;
        let seen = &mut self.leases[place];
        expect(seen.place == Place::Idle, Invariant::G4, || format!("{id:?} ends from {:?}", seen.place))?;
        let (least, most) = seen.attempts;
        expect((least..=most).contains(&attempts), Invariant::G7, || {
            format!("{id:?} ends after {attempts} attempts, it used up {least} to {most}")
        })?;
        let failed = matches!(delivery, Delivery::Failure(reason) if reason != Reason::Robots);
        expect(!(failed && seen.innocent) || parked, Invariant::G7, || {
            format!("{id:?} is given up for what its host did")
        })?;
        seen.place = Place::Parsed;
        Ok(())
    }

    fn told(&mut self, now: Timestamp, event: HostEvent) {
        match event {
            HostEvent::Held { until, reason, .. } => {
                self.hold_end = self.hold_end.max(until);
                self.closed |= reason != HoldReason::QuotaSpent;
            }
            HostEvent::Opened => {
                self.closed = false;
                self.resumed_at = Some(now);
            }
            HostEvent::Parked { .. } => self.parked = true,
            HostEvent::Paced { .. }
            | HostEvent::Forbidden { .. }
            | HostEvent::RulesUnavailable { .. }
            | HostEvent::CrawlDelayClamped { .. } => {}
        }
    }

    // Inputs.

    fn assigned(&mut self, leases: &[Lease]) {
        for lease in leases {
            if self.leases.iter().any(|seen| seen.id == lease.id) {
                continue;
            }
            let attempts = lease.record.attempts;
            self.leases.push(Seen {
                id: lease.id,
                url: lease.record.fingerprint.0,
                scheme: lease.record.scheme,
                place: Place::Idle,
                attempts: (attempts, attempts),
                innocent: false,
                settled: false,
            });
        }
    }

    fn settled(&mut self, leases: &[LeaseId]) {
        self.leases.retain_mut(|seen| {
            let over = leases.contains(&seen.id);
            seen.settled |= over;
            !over || matches!(seen.place, Place::InFlight { .. })
        });
    }

    fn land(&mut self, id: LeaseId) -> Option<usize> {
        let place = self.leases.iter().position(|seen| seen.id == id)?;
        let Place::InFlight { .. } = self.leases[place].place else { return None };
        self.leases[place].place = Place::Idle;
        Some(place)
    }

    /// Forgets leases whose request was all that was left of them.
    fn forget_settled(&mut self) {
        self.leases.retain(|seen| !seen.settled || matches!(seen.place, Place::InFlight { .. }));
    }

    fn expire(&mut self, now: Timestamp) {
        for seen in &mut self.leases {
            if matches!(seen.place, Place::InFlight { deadline, .. } if deadline <= now) {
                seen.place = Place::Idle;
                seen.innocent = false;
            }
        }
        for (out, hops) in self.rules_out.iter_mut().zip(&mut self.hops) {
            if out.take_if(|out| out.deadline <= now).is_some() {
                *hops = 0;
            }
        }
        for (away, hops) in self.rules_away.iter_mut().zip(&mut self.hops) {
            if away.take_if(|deadline| *deadline <= now).is_some() {
                *hops = 0;
                self.fault = LastFault::OfHost;
            }
        }
    }

    fn probe_out(&self) -> bool {
        let of_url = |seen: &Seen| matches!(seen.place, Place::InFlight { probe: true, .. });
        self.leases.iter().any(of_url) || self.rules_out.iter().flatten().any(|out| out.probe)
    }

    fn reported(&mut self, now: Timestamp, id: LeaseId, outcome: Outcome, proposal: &Proposal) {
        let old_news = self.is_old_news(id);
        if let Some(started) = self.start_of(id) {
            self.note_quota(now, started, &proposal.hints);
        }
        let Some(place) = self.land(id) else { return };
        self.note_refusal(now, outcome, proposal);
        let url = self.leases[place].url;
        let blame = outcome.blame();
        let wanted = matches!(proposal.verdict, Verdict::Done | Verdict::Redirect);
        let (least, most) = match blame {
            _ if wanted => (1, 1),
            Blame::Success | Blame::Neutral => (1, 1),
            Blame::Refusal | Blame::Host => (0, 0),
            Blame::Ours => (0, 0),
            Blame::Url if old_news => (0, 1),
            Blame::Url => self.cost_of_failure(url),
        };
        let failed = matches!(blame, Blame::Host | Blame::Url) && !wanted;
        if !(old_news && failed) {
            self.note_fault(blame, wanted, url);
        }
        if outcome == Outcome::Failed(Fault::StaleConnection) && self.fault != LastFault::OfHost {
            self.fault = LastFault::Unclear;
        }
        let permanent = matches!(outcome, Outcome::Failed(Fault::NoSuchName | Fault::Certificate));
        let final_anyway = permanent || !proposal.repeatable;
        let seen = &mut self.leases[place];
        let extra = u16::from(final_anyway && matches!(proposal.verdict, Verdict::GiveUp(_)));
        seen.attempts.0 += least;
        seen.attempts.1 += most.max(extra);
        seen.innocent = most == 0 && blame != Blame::Ours && !final_anyway;
    }

    /// Whether a request started before a closing that is over by now.
    fn is_old_news(&self, id: LeaseId) -> bool {
        self.start_of(id).is_some_and(|started| self.is_before_closing(started))
    }

    /// When the request began that a lease is in flight for.
    fn start_of(&self, id: LeaseId) -> Option<Timestamp> {
        match self.leases.iter().find(|seen| seen.id == id)?.place {
            Place::InFlight { started, .. } => Some(started),
            Place::Idle | Place::Parsed => None,
        }
    }

    fn is_before_closing(&self, started: Timestamp) -> bool {
        self.door_open && self.closed_at.is_some_and(|closed_at| started <= closed_at)
    }

    /// What a failure of a URL costs it: nothing while the host is blamed, which cannot be seen
    /// exactly from outside while it is closed.
    fn cost_of_failure(&self, url: u128) -> (u16, u16) {
        match self.fault {
            LastFault::OfHost => (0, 0),
            LastFault::OfUrl(other) if other != url => (0, 0),
            LastFault::OfUrl(_) | LastFault::None if self.door_open => (1, 1),
            LastFault::OfUrl(_) | LastFault::None | LastFault::Unclear => (0, 1),
        }
    }

    fn note_fault(&mut self, blame: Blame, wanted: bool, url: u128) {
        self.fault = match (blame, self.fault) {
            (Blame::Success | Blame::Neutral, _) => LastFault::None,
            (Blame::Url, _) if wanted => LastFault::None,
            (Blame::Host, _) => LastFault::OfHost,
            (Blame::Url, LastFault::OfUrl(other)) if other != url => LastFault::OfHost,
            (Blame::Url, LastFault::None) => LastFault::OfUrl(url),
            (_, fault) => fault,
        };
    }

    fn note_refusal(&mut self, now: Timestamp, outcome: Outcome, proposal: &Proposal) {
        if let (Blame::Refusal, Some(wait)) = (outcome.blame(), proposal.hints.retry_after)
            && !self.parked
        {
            self.hold_end = self.hold_end.max(now + wait.min(self.hold_max));
        }
    }

    /// A quota that is declared spent is kept to until its reset, up to a second for how servers round.
    /// Older statements mean nothing, and which of two starts at one instant came first is not known.
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
            // It asks no more: there are no rules.
            *hops = 0;
            self.rules_ours[scheme as usize] = 0;
            self.crawl_delay[scheme as usize] = Duration::ZERO;
            return;
        }
        match answer {
            RulesAnswer::Known { crawl_delay, .. } => {
                self.rules_ours[scheme as usize] = 0;
                self.crawl_delay[scheme as usize] = crawl_delay.unwrap_or_default().min(self.crawl_delay_max);
                if !away {
                    self.fault = LastFault::None;
                }
            }
            RulesAnswer::Again => {}
            RulesAnswer::Elsewhere { within } => self.rules_away[scheme as usize] = Some(now + within),
            RulesAnswer::Unavailable { outcome, .. } if away => {
                self.may_end_origin(scheme, outcome, false);
                self.rest_rules(now, scheme, outcome);
                self.fault = LastFault::OfHost;
            }
            RulesAnswer::Unavailable { outcome, proposal } => {
                self.rest_rules(now, scheme, outcome);
                let ours = &mut self.rules_ours[scheme as usize];
                *ours = if outcome.blame() == Blame::Ours { (*ours + 1) % u32::from(OURS_MAX) } else { 0 };
                let often = outcome.blame() == Blame::Ours && *ours == 0;
                self.may_end_origin(scheme, outcome, often);
                self.note_refusal(now, outcome, &proposal);
                if !matches!(outcome.blame(), Blame::Refusal | Blame::Ours) && !old_news {
                    self.fault = LastFault::OfHost;
                }
            }
        }
    }

    /// Where rules can never be had, what waits for them ends, however innocent it was before.
    fn may_end_origin(&mut self, scheme: Scheme, outcome: Outcome, often: bool) {
        if !often && !matches!(outcome, Outcome::Failed(fault) if fault.is_permanent()) {
            return;
        }
        let waits = |seen: &&mut Seen| seen.scheme == scheme && seen.place == Place::Idle;
        self.leases.iter_mut().filter(waits).for_each(|seen| seen.innocent = false);
    }

    /// What failed on our side is tried again after waits that grow.
    fn rest_rules(&mut self, now: Timestamp, scheme: Scheme, outcome: Outcome) {
        if outcome.blame() == Blame::Ours {
            let rest = self.backoff.ceiling(self.rules_ours[scheme as usize]);
            self.rules_rest[scheme as usize] = now + rest;
        }
    }

    // Comparisons.

    fn place_of(&self, id: LeaseId) -> Result<usize, Violation> {
        let place = self.leases.iter().position(|seen| seen.id == id);
        place.ok_or_else(|| Violation { invariant: Invariant::G4, text: format!("{id:?} is nobody's") })
    }

    fn compare_places(&mut self, shown: &HostSnapshot) -> Result<(), Violation> {
        let count =
            |wanted: fn(&Place) -> bool| self.leases.iter().filter(|seen| wanted(&seen.place)).count();
        let ours =
            (count(|place| *place == Place::Idle), self.in_flight(), count(|place| *place == Place::Parsed));
        let theirs = (shown.ready + shown.waiting, shown.in_flight, shown.parsed);
        expect(ours == theirs, Invariant::G4, || {
            format!("(idle, in flight, parsed) are {ours:?}, the host counts {theirs:?}")
        })
    }

    /// G5: work that may start has asked for its slot, or a timer for its time.
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
