//! Simulates one host from its first URL to its last. Each simulated host has a virtual clock of its own.
//!
//! Hosts share no state, so a million hosts need no common clock. Any thread that is free simulates the next host to
//! its end, with a random seed that belongs to the host.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::host::{
    Delivery, HostEvent, HostLimits, HostState, Input, Invariant, Output, RulesAnswer, RulesMode, Start,
    Violation, Witness,
};
use opilio_core::{
    Attempts, Blame, Ending, Fingerprint, HostPolicy, Lease, LeaseId, Priority, Record, RequestFacts, Scheme,
    Timestamp,
};

use super::common::Common;
use super::counts::LifeCounts;
use super::server::{Reaction, Temper};
use super::timeline::{Event, Letter, NextHappening, Timeline};
use super::urls::Urls;

/// One simulated host, its server and its URLs.
pub(super) struct Life<'a> {
    common: &'a Common,
    policy: Arc<HostPolicy>,
    rules: RulesMode,
    host: HostState,
    witness: Witness,
    passivated: bool,
    inbox: VecDeque<Input>,
    random: fastrand::Rng,
    temper: Temper,
    time: Timeline,
    urls: Urls,
    counts: LifeCounts,
}

impl<'a> Life<'a> {
    /// Creates a simulated host with `queue` URLs. All its random choices follow from `seed`.
    pub(super) fn new(common: &'a Common, queue: u32, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let policy = Arc::clone(&common.policies[random.usize(..common.policies.len())]);
        let rules = if random.u8(..) < 64 { RulesMode::Fetch } else { RulesMode::Off };
        let temper = Temper::draw(&mut random);
        let now = Timestamp::from_micros(random.u64(..1 << 40));
        let host = HostState::new(Arc::clone(&policy), rules, HostLimits::default(), random.u64(..), now);
        let mut life = Self {
            common,
            witness: Witness::new(&policy),
            policy,
            rules,
            host,
            passivated: false,
            inbox: VecDeque::new(),
            random,
            temper,
            time: Timeline::new(now),
            urls: Urls::new(queue),
            counts: LifeCounts { hosts: 1, urls: u64::from(queue), ..LifeCounts::default() },
        };
        life.plant();
        life
    }

    /// Simulates the host until every URL has ended and the host is passivated (saved and removed from memory).
    pub(super) fn live(mut self) -> Result<LifeCounts, Violation> {
        self.hear(Input::Tick)?;
        let steps_max = 2_000 + u64::from(self.urls.count()) * 400;
        while !self.urls.have_ended() || !self.passivated {
            match self.time.advance() {
                None => return Err(stuck("nothing will ever happen again")),
                Some(NextHappening::Event(event)) => self.happen(event)?,
                Some(NextHappening::Letter(letter)) => self.open_letter(letter)?,
            }
            self.counts.steps += 1;
            if self.counts.steps > steps_max {
                return Err(stuck("it does not come to an end"));
            }
        }
        Ok(self.counts)
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Wake => self.hear(Input::Tick),
            Event::Grant => match self.random.u8(..) {
                0..2 => self.hear(Input::Refused),
                2 => {
                    let until = self.time.now + Duration::from_millis(self.random.u64(1..2_000));
                    self.hear(Input::SlotDenied { until })
                }
                _ => self.hear(Input::Granted { is_short: false }),
            },
            Event::Arrive { lease, attempt } => self.arrive(lease, attempt),
            Event::ArriveRules { scheme } => {
                let fate = self.temper.answer(self.time.now, u64::MAX, &mut self.random);
                self.time.send(self.time.now + fate.latency, Letter::Rules { scheme, fate });
                Ok(())
            }
            Event::Settle { url } => self.hear(Input::Settled(vec![LeaseId(url.into())])),
            Event::Assign { url, attempts } => {
                let lease = self.lease(url, attempts);
                self.hear(Input::Assign(vec![lease]))
            }
            Event::Feed => self.feed(),
        }
    }

    fn arrive(&mut self, lease: u64, attempt: u16) -> Result<(), Violation> {
        let fate = self.temper.answer(self.time.now, lease, &mut self.random);
        let back = self.time.now + fate.latency;
        match self.random.u16(..) {
            // The fetcher stops and never sends a report.
            0..64 => self.counts.lost += 1,
            // The fetcher stalls: its report comes long after the deadline of the lease.
            64..96 => self.time.send(back + Duration::from_secs(50), Letter::Report { lease, attempt, fate }),
            // The request could not be passed to a fetcher.
            96..128 => return self.hear(Input::Undelivered(LeaseId(lease))),
            // The actor of the host crashes and is started again.
            128..192 => {
                self.counts.crashes += 1;
                self.time.drop_grants();
                self.time.send(back, Letter::Report { lease, attempt, fate });
                return self.hear(Input::Restarted);
            }
            _ => self.time.send(back, Letter::Report { lease, attempt, fate }),
        }
        Ok(())
    }

    fn open_letter(&mut self, letter: Letter) -> Result<(), Violation> {
        match letter {
            Letter::Report { lease, attempt, fate } => {
                let proposal = self.propose(attempt, &fate);
                self.hear(Input::Report { lease: LeaseId(lease), outcome: fate.outcome, proposal })
            }
            Letter::Rules { scheme, fate } => {
                let scheme = if scheme == 0 { Scheme::Http } else { Scheme::Https };
                let answer = self.rules_answer(&fate);
                if matches!(answer, RulesAnswer::Elsewhere { .. }) && self.random.u8(..) < 192 {
                    // The answer comes from another host: in time, too late, or never.
                    let later = self.time.now + Duration::from_millis(self.random.u64(..60_000));
                    self.time.send(later, Letter::Rules { scheme: scheme as u8, fate });
                }
                self.hear(Input::Rules { scheme, answer, hints: fate.hints })
            }
        }
    }

    fn propose(&mut self, attempt: u16, fate: &Reaction) -> opilio_core::Proposal {
        // If the simulation checks that all working pages of the server arrive, every request has to be repeatable.
        let repeatable = self.random.u8(..) > 10 || self.temper.is_healthy(0).is_some();
        let facts = RequestFacts {
            repeatable,
            attempt,
            elapsed: Duration::ZERO,
            retries: None,
            failed_before: attempt > 1,
        };
        self.common.retry.propose(&facts, fate.outcome, fate.hints, self.random.f64())
    }

    fn rules_answer(&mut self, fate: &Reaction) -> RulesAnswer {
        match fate.outcome.blame() {
            Blame::Success | Blame::Neutral if self.random.u8(..) < 16 => RulesAnswer::Again,
            Blame::Success | Blame::Neutral if self.random.u8(..) < 16 => {
                RulesAnswer::Elsewhere { within: Duration::from_secs(40) }
            }
            Blame::Success | Blame::Neutral => RulesAnswer::Known {
                crawl_delay: (self.random.u8(..) < 32)
                    .then(|| Duration::from_millis(self.random.u64(..3_000))),
                expires_in: Duration::from_secs(self.random.u64(60..86_400)),
            },
            Blame::Refusal | Blame::Host | Blame::Url | Blame::Ours => {
                let proposal = self.propose(1, fate);
                RulesAnswer::Unavailable { outcome: fate.outcome, proposal }
            }
        }
    }

    fn feed(&mut self) -> Result<(), Violation> {
        let urls = self.urls.feed(self.random.u32(1..=48));
        let leases = urls.map(|url| self.lease(url, Attempts::NONE)).collect();
        self.hear(Input::Assign(leases))
    }

    /// Passes one input to the host's state machine, and carries out all outputs that follow at the same time.
    fn hear(&mut self, input: Input) -> Result<(), Violation> {
        self.inbox.push_back(input);
        while let Some(input) = self.inbox.pop_front() {
            if self.passivated {
                self.come_back();
            }
            self.witness.hear(self.time.now, &input);
            self.host.handle(self.time.now, input);
            while let Some(output) = self.host.poll(self.time.now) {
                self.witness.see(self.time.now, &output)?;
                self.perform(output)?;
            }
            if !self.passivated {
                self.witness.rest(self.time.now, &self.host)?;
            }
            if self.counts.steps.is_multiple_of(16) {
                self.host.check(self.time.now)?;
            }
        }
        self.set_timer();
        Ok(())
    }

    fn come_back(&mut self) {
        let memo = self.host.memo();
        let (policy, seed) = (Arc::clone(&self.policy), self.random.u64(..));
        self.host = HostState::resume(policy, self.rules, HostLimits::default(), memo, seed, self.time.now);
        self.plant();
        self.witness.resumed();
        self.time.drop_grants();
        self.passivated = false;
    }

    /// Sets the host's timer: mostly a little late, sometimes too early, and sometimes although no timer is needed.
    fn set_timer(&mut self) {
        let Some((at, _)) = self.host.wake_at().filter(|_| !self.passivated) else { return };
        let at = match self.random.u8(..) {
            0..8 => Timestamp::from_micros(at.as_micros().saturating_sub(self.random.u64(..20_000)))
                .max(self.time.now),
            8..16 => at + Duration::from_micros(self.random.u64(..300_000)),
            _ => at + Duration::from_micros(self.random.u64(..1_000)),
        };
        let at = at.max(self.time.now + Duration::from_micros(1));
        self.time.set_timer(at);
    }

    fn perform(&mut self, output: Output) -> Result<(), Violation> {
        match output {
            Output::Credit(_) => self.feed_later(),
            Output::AskSlot => {
                let soon = if self.random.u8(..) < 230 { 0 } else { self.random.u64(..50_000) };
                self.time.plan(self.time.now + Duration::from_micros(soon), Event::Grant);
            }
            Output::Fetch(start) => self.started(&start)?,
            Output::FetchRules { scheme, .. } => {
                self.counts.starts += 1;
                self.counts.rules += 1;
                let arrival = self.time.now + self.travel();
                self.time.plan(arrival, Event::ArriveRules { scheme: scheme as u8 });
            }
            Output::Deliver { lease, delivery, attempts } => {
                self.expect_page(lease.id.0, delivery, attempts)?;
                self.urls.end(lease.id)?;
                let settled = self.time.now + Duration::from_micros(self.random.u64(..400_000));
                self.time.plan(settled, Event::Settle { url: lease.id.0 as u32 });
            }
            // A witness request only shows whether the host works. Its end is not the end of a URL, and the host
            // knows of it already.
            Output::Settle { lease, .. } if lease.id.is_witness() => {}
            Output::Settle { lease, ending: Ending::Retry { due, attempts } } => {
                self.time.plan(due, Event::Assign { url: lease.id.0 as u32, attempts });
            }
            Output::Settle { lease, ending } => {
                return Err(stuck(&format!("{:?} is settled as {ending:?}", lease.id)));
            }
            Output::Event(event) => self.note(event),
            Output::Passivate => {
                self.passivated = true;
                self.counts.passivations += 1;
                // A parked host asks for no leases. The scheduler assigns its other URLs to it nevertheless, so that
                // they end.
                self.feed_later();
            }
            Output::ReturnSlot => {}
        }
        Ok(())
    }

    /// Makes the scheduler assign more leases: at once, or after a pause in which the host may be passivated (saved
    /// and removed from memory).
    fn feed_later(&mut self) {
        if self.urls.begin_feeding() {
            let pause = if self.random.u8(..) < 230 { 0 } else { self.random.u64(..10_000_000) };
            self.time.plan(self.time.now + Duration::from_micros(pause), Event::Feed);
        }
    }

    fn started(&mut self, start: &Start) -> Result<(), Violation> {
        self.counts.starts += 1;
        self.counts.probes += u64::from(start.probe);
        self.counts.retries += u64::from(start.attempt > 1);
        // One more attempt may happen after a lease expired: its late report may be taken for the report of the next
        // start, but the retry in that report was proposed for the attempt before.
        if start.attempt > ATTEMPTS_MAX + u16::from(start.resent) {
            let text = format!("{:?} is at attempt {}", start.lease.id, start.attempt);
            return Err(Violation { invariant: Invariant::G7, text });
        }
        let arrival = self.time.now + self.travel();
        let lease = start.lease.id.0;
        self.time.plan(arrival, Event::Arrive { lease, attempt: start.attempt });
        Ok(())
    }

    fn travel(&mut self) -> Duration {
        Duration::from_micros(self.random.u64(100..20_000))
    }

    fn note(&mut self, event: HostEvent) {
        match event {
            HostEvent::Held { .. } => self.counts.holds += 1,
            HostEvent::Parked { .. } => self.counts.parks += 1,
            _ => {}
        }
    }

    /// Checks the effect of the invariant G11: a page that the server would serve arrives, however other pages fail.
    /// The check leaves out pages that were refused in every attempt, at random or by a limit.
    fn expect_page(&mut self, url: u64, delivery: Delivery, attempts: u16) -> Result<(), Violation> {
        let Delivery::Failure(reason) = delivery else { return Ok(()) };
        if self.temper.is_healthy(url) != Some(true) || attempts >= ATTEMPTS_MAX {
            self.counts.unlucky += u64::from(self.temper.is_healthy(url) == Some(true));
            return Ok(());
        }
        let text = format!("URL {url} is healthy, and ends as {reason} after {attempts} requests");
        Err(Violation { invariant: Invariant::G11, text })
    }

    fn lease(&self, url: u32, attempts: Attempts) -> Lease {
        let record = Record {
            depth: (url % 4) as u16,
            priority: Priority(url.is_multiple_of(7).into()),
            attempts,
            ..Record::new(
                Arc::clone(&self.common.url),
                Fingerprint(u128::from(url)),
                self.common.host.clone(),
                if url.is_multiple_of(5) { Scheme::Http } else { Scheme::Https },
            )
        };
        Lease { id: LeaseId(url.into()), record }
    }

    #[cfg(not(feature = "mutants"))]
    fn plant(&mut self) {}

    #[cfg(feature = "mutants")]
    fn plant(&mut self) {
        if let Some(bug) = self.common.bug {
            self.host.sabotage(bug);
        }
    }
}

fn stuck(text: &str) -> Violation {
    Violation { invariant: Invariant::G5, text: text.to_owned() }
}

/// The most attempts at one URL in the default retry policy.
const ATTEMPTS_MAX: u16 = 4;
