//! The life of one host, from its first URL to its last, on a time line of its own.
//!
//! Hosts share nothing, so that a million of them need no common clock: each is simulated to its end
//! by whichever thread is free, from its own seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use opilio_core::host::{
    Delivery, HostEvent, HostLimits, HostState, Input, Invariant, Output, RulesAnswer, RulesMode, Start,
    Violation, Witness,
};
use opilio_core::{
    Attempts, Backoff, Blame, Ending, Fingerprint, Host, HostPolicy, Lease, LeaseId, Priority, Record,
    RequestFacts, RetryPolicy, Scheme, Timestamp, per_minute, per_second,
};

use super::server::{Fate, Temper};

/// Counts of events, added up over hosts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) hosts: u64,
    pub(super) urls: u64,
    pub(super) starts: u64,
    pub(super) rules: u64,
    pub(super) holds: u64,
    pub(super) probes: u64,
    pub(super) passivations: u64,
    pub(super) retries: u64,
    pub(super) parks: u64,
    pub(super) crashes: u64,
    pub(super) lost: u64,
    /// Healthy URLs that chance or a limiter refused as often as they may be tried.
    pub(super) unlucky: u64,
    pub(super) steps: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.hosts += other.hosts;
        self.urls += other.urls;
        self.starts += other.starts;
        self.rules += other.rules;
        self.holds += other.holds;
        self.probes += other.probes;
        self.passivations += other.passivations;
        self.retries += other.retries;
        self.parks += other.parks;
        self.crashes += other.crashes;
        self.lost += other.lost;
        self.unlucky += other.unlucky;
        self.steps += other.steps;
    }
}

/// The parameters that all lives share.
pub(super) struct Common {
    policies: Vec<Arc<HostPolicy>>,
    retry: RetryPolicy,
    host: Host,
    url: Arc<str>,
    #[cfg(feature = "mutants")]
    pub(super) bug: Option<opilio_core::host::Bug>,
}

impl Common {
    pub(super) fn new() -> anyhow::Result<Self> {
        let fast = Backoff { min: Duration::from_millis(500), max: Duration::from_secs(30) };
        let policies = [
            HostPolicy::new(),
            HostPolicy::new().rate(per_minute(300)).in_flight(4),
            HostPolicy::new().rate(per_second(20)).in_flight(8).backoff(fast),
            HostPolicy::new().rate(per_minute(40)).in_flight(2).adapt(false),
            HostPolicy::new().unlimited_rate().in_flight(3).max_hold(Duration::from_secs(100)),
        ];
        let url = "http://host.test/";
        Ok(Self {
            policies: policies.map(Arc::new).into(),
            retry: RetryPolicy::default(),
            host: Host::of(&url.parse()?)?,
            url: url.into(),
            #[cfg(feature = "mutants")]
            bug: None,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wake,
    Grant,
    Arrive { lease: u64, attempt: u16 },
    ArriveRules { scheme: u8 },
    Settle { url: u32 },
    Assign { url: u32, attempts: Attempts },
    Feed,
}

/// An answer on its way back.
enum Letter {
    Report { lease: u64, attempt: u16, fate: Fate },
    Rules { scheme: u8, fate: Fate },
}

pub(super) struct Life<'a> {
    common: &'a Common,
    policy: Arc<HostPolicy>,
    rules: RulesMode,
    host: HostState,
    witness: Witness,
    random: fastrand::Rng,
    temper: Temper,
    now: Timestamp,
    events: BinaryHeap<Reverse<(Timestamp, u32, Event)>>,
    letters: BinaryHeap<Reverse<(Timestamp, u32)>>,
    letter_box: Vec<(u32, Letter)>,
    order: u32,
    /// When the earliest timer in `events` fires.
    wake: Option<Timestamp>,
    queue: u32,
    fed: u32,
    /// The scheduler is about to bring more.
    feeding: bool,
    ended: Vec<u64>,
    ends: u32,
    inbox: VecDeque<Input>,
    passivated: bool,
    counts: Counts,
}

impl<'a> Life<'a> {
    /// A host with `queue` URLs.
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
            random,
            temper,
            now,
            events: BinaryHeap::new(),
            letters: BinaryHeap::new(),
            letter_box: Vec::new(),
            order: 0,
            wake: None,
            queue,
            fed: 0,
            feeding: false,
            ended: vec![0; queue as usize / 64 + 1],
            ends: 0,
            inbox: VecDeque::new(),
            passivated: false,
            counts: Counts { hosts: 1, urls: u64::from(queue), ..Counts::default() },
        };
        life.plant();
        life
    }

    /// Lives to the end: every URL ended and the host passivated.
    pub(super) fn live(mut self) -> Result<Counts, Violation> {
        self.hear(Input::Tick)?;
        let steps_max = 2_000 + u64::from(self.queue) * 400;
        while self.ends < self.queue || !self.passivated {
            let event = self.events.peek().map(|Reverse((at, ..))| *at);
            let letter = self.letters.peek().map(|Reverse((at, _))| *at);
            let Some(next) = event.into_iter().chain(letter).min() else {
                return Err(stuck("nothing will ever happen again"));
            };
            self.now = self.now.max(next);
            if letter == Some(next) {
                self.open_letter()?
            } else {
                self.happen()?
            }
            self.counts.steps += 1;
            if self.counts.steps > steps_max {
                return Err(stuck("it does not come to an end"));
            }
        }
        Ok(self.counts)
    }

    fn at(&mut self, at: Timestamp, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn send(&mut self, at: Timestamp, letter: Letter) {
        self.order += 1;
        self.letters.push(Reverse((at, self.order)));
        self.letter_box.push((self.order, letter));
    }

    fn happen(&mut self) -> Result<(), Violation> {
        let Some(Reverse((at, _, event))) = self.events.pop() else { return Ok(()) };
        match event {
            Event::Wake => {
                if self.wake == Some(at) {
                    self.wake = None;
                }
                self.hear(Input::Tick)
            }
            Event::Grant => match self.random.u8(..) {
                0..2 => self.hear(Input::Refused),
                2 => {
                    let until = self.now + Duration::from_millis(self.random.u64(1..2_000));
                    self.hear(Input::SlotDenied { until })
                }
                _ => self.hear(Input::Granted),
            },
            Event::Arrive { lease, attempt } => self.arrive(lease, attempt),
            Event::ArriveRules { scheme } => {
                let fate = self.temper.answer(self.now, u64::MAX, &mut self.random);
                self.send(self.now + fate.latency, Letter::Rules { scheme, fate });
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
        let fate = self.temper.answer(self.now, lease, &mut self.random);
        let back = self.now + fate.latency;
        match self.random.u16(..) {
            // A fetcher dies without a report.
            0..64 => self.counts.lost += 1,
            // A fetcher stalls: the report comes long after the deadline.
            64..96 => self.send(back + Duration::from_secs(50), Letter::Report { lease, attempt, fate }),
            // It never took the fetch in.
            96..128 => return self.hear(Input::Undelivered(LeaseId(lease))),
            // The host's shell dies and comes back.
            128..192 => {
                self.counts.crashes += 1;
                self.events.retain(|Reverse((.., event))| *event != Event::Grant);
                self.send(back, Letter::Report { lease, attempt, fate });
                return self.hear(Input::Restarted);
            }
            _ => self.send(back, Letter::Report { lease, attempt, fate }),
        }
        Ok(())
    }

    fn open_letter(&mut self) -> Result<(), Violation> {
        let Some(Reverse((_, order))) = self.letters.pop() else { return Ok(()) };
        let Some(place) = self.letter_box.iter().position(|(other, _)| *other == order) else {
            return Ok(());
        };
        match self.letter_box.swap_remove(place).1 {
            Letter::Report { lease, attempt, fate } => {
                let proposal = self.propose(attempt, &fate);
                self.hear(Input::Report { lease: LeaseId(lease), outcome: fate.outcome, proposal })
            }
            Letter::Rules { scheme, fate } => {
                let scheme = if scheme == 0 { Scheme::Http } else { Scheme::Https };
                let answer = self.rules_answer(&fate);
                if matches!(answer, RulesAnswer::Elsewhere { .. }) && self.random.u8(..) < 192 {
                    // The other host answers, in time, too late, or never.
                    let later = self.now + Duration::from_millis(self.random.u64(..60_000));
                    self.send(later, Letter::Rules { scheme: scheme as u8, fate });
                }
                self.hear(Input::Rules { scheme, answer, hints: fate.hints })
            }
        }
    }

    fn propose(&mut self, attempt: u16, fate: &Fate) -> opilio_core::Proposal {
        // Where each page has to arrive, no request is one that must not be repeated.
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

    fn rules_answer(&mut self, fate: &Fate) -> RulesAnswer {
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
        let count = self.random.u32(1..=48).min(self.queue - self.fed);
        let leases = (self.fed..self.fed + count).map(|url| self.lease(url, Attempts::NONE)).collect();
        self.fed += count;
        self.feeding = false;
        self.hear(Input::Assign(leases))
    }

    /// One input and all that follows from it at this instant.
    fn hear(&mut self, input: Input) -> Result<(), Violation> {
        self.inbox.push_back(input);
        while let Some(input) = self.inbox.pop_front() {
            if self.passivated {
                self.come_back();
            }
            self.witness.hear(self.now, &input);
            self.host.handle(self.now, input);
            while let Some(output) = self.host.poll(self.now) {
                self.witness.see(self.now, &output)?;
                self.perform(output)?;
            }
            if !self.passivated {
                self.witness.rest(self.now, &self.host)?;
            }
            if self.counts.steps.is_multiple_of(16) {
                self.host.check(self.now)?;
            }
        }
        self.set_timer();
        Ok(())
    }

    fn come_back(&mut self) {
        let memo = self.host.memo();
        let (policy, seed) = (Arc::clone(&self.policy), self.random.u64(..));
        self.host = HostState::resume(policy, self.rules, HostLimits::default(), memo, seed, self.now);
        self.plant();
        self.witness.resumed();
        self.events.retain(|Reverse((.., event))| *event != Event::Grant);
        self.passivated = false;
    }

    /// Timers are late by a little, now and then early or for nothing.
    fn set_timer(&mut self) {
        let Some((at, _)) = self.host.wake_at().filter(|_| !self.passivated) else { return };
        let at = match self.random.u8(..) {
            0..8 => {
                Timestamp::from_micros(at.as_micros().saturating_sub(self.random.u64(..20_000))).max(self.now)
            }
            8..16 => at + Duration::from_micros(self.random.u64(..300_000)),
            _ => at + Duration::from_micros(self.random.u64(..1_000)),
        };
        let at = at.max(self.now + Duration::from_micros(1));
        if self.wake.is_none_or(|wake| at < wake) {
            self.wake = Some(at);
            self.at(at, Event::Wake);
        }
    }

    fn perform(&mut self, output: Output) -> Result<(), Violation> {
        match output {
            Output::Credit(_) => self.feed_later(),
            Output::AskSlot => {
                let soon = if self.random.u8(..) < 230 { 0 } else { self.random.u64(..50_000) };
                self.at(self.now + Duration::from_micros(soon), Event::Grant);
            }
            Output::Fetch(start) => self.started(&start)?,
            Output::FetchRules { scheme, .. } => {
                self.counts.starts += 1;
                self.counts.rules += 1;
                let arrival = self.now + self.travel();
                self.at(arrival, Event::ArriveRules { scheme: scheme as u8 });
            }
            Output::Deliver { lease, delivery, attempts } => {
                self.expect_page(lease.id.0, delivery, attempts)?;
                self.end(lease.id)?;
                let settled = self.now + Duration::from_micros(self.random.u64(..400_000));
                self.at(settled, Event::Settle { url: lease.id.0 as u32 });
            }
            // The host knows the witness's result already.
            Output::Settle { lease, .. } if lease.id.is_witness() => {}
            Output::Settle { lease, ending: Ending::Retry { due, attempts } } => {
                self.at(due, Event::Assign { url: lease.id.0 as u32, attempts });
            }
            Output::Settle { lease, ending } => {
                return Err(stuck(&format!("{:?} is settled as {ending:?}", lease.id)));
            }
            Output::Event(event) => self.note(event),
            Output::Passivate => {
                self.passivated = true;
                self.counts.passivations += 1;
                // A parked host asks for nothing: the scheduler brings the rest for it to end.
                self.feed_later();
            }
            Output::ReturnSlot => {}
        }
        Ok(())
    }

    /// The scheduler has more at once, or finds more after a pause that may well passivate the host.
    fn feed_later(&mut self) {
        if self.fed < self.queue && !self.feeding {
            self.feeding = true;
            let pause = if self.random.u8(..) < 230 { 0 } else { self.random.u64(..10_000_000) };
            self.at(self.now + Duration::from_micros(pause), Event::Feed);
        }
    }

    fn started(&mut self, start: &Start) -> Result<(), Violation> {
        self.counts.starts += 1;
        self.counts.probes += u64::from(start.probe);
        self.counts.retries += u64::from(start.attempt > 1);
        // The report of an expired lease may be taken for the next start's; its proposal was made for the
        // attempt before.
        if start.attempt > ATTEMPTS_MAX + u16::from(start.resent) {
            let text = format!("{:?} is at attempt {}", start.lease.id, start.attempt);
            return Err(Violation { invariant: Invariant::G7, text });
        }
        let arrival = self.now + self.travel();
        let lease = start.lease.id.0;
        self.at(arrival, Event::Arrive { lease, attempt: start.attempt });
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

    /// G11 as a user sees it: a page that its server would serve arrives, whatever other pages do. Chance and
    /// limits may refuse it as often as it may be tried.
    fn expect_page(&mut self, url: u64, delivery: Delivery, attempts: u16) -> Result<(), Violation> {
        let Delivery::Failure(reason) = delivery else { return Ok(()) };
        if self.temper.is_healthy(url) != Some(true) || attempts >= ATTEMPTS_MAX {
            self.counts.unlucky += u64::from(self.temper.is_healthy(url) == Some(true));
            return Ok(());
        }
        let text = format!("URL {url} is healthy, and ends as {reason} after {attempts} requests");
        Err(Violation { invariant: Invariant::G11, text })
    }

    fn end(&mut self, lease: LeaseId) -> Result<(), Violation> {
        let (word, bit) = (lease.0 as usize / 64, 1 << (lease.0 % 64));
        if self.ended[word] & bit != 0 {
            return Err(Violation { invariant: Invariant::G4, text: format!("{lease:?} ends twice") });
        }
        self.ended[word] |= bit;
        self.ends += 1;
        Ok(())
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

/// Of the default retry policy.
const ATTEMPTS_MAX: u16 = 4;
