//! One host and its server as a discrete-event loop: no clock, no socket, a seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use opilio_core::explain::outcome_of_status;
use opilio_core::host::{
    Delivery, HostLimits, HostState, Input, Output, RulesAnswer, RulesMode, Start, Witness,
};
use opilio_core::{
    Attempts, Ending, Fault, Fingerprint, Hints, Host, HostPolicy, Lease, LeaseId, Outcome, Proposal, Record,
    RequestFacts, RetryPolicy, Scheme, Timestamp,
};
use opilio_sandbox as sandbox;

/// The result of one run.
pub(super) struct Outcomes {
    /// The server's side.
    pub(super) server: sandbox::Host,
    /// URLs that ended as pages.
    pub(super) pages: usize,
    /// URLs that ended otherwise, with attempts left.
    pub(super) failures: usize,
    /// How each URL ended.
    pub(super) ends: Vec<Option<End>>,
    /// Bans, invariants and ends that are wrong.
    pub(super) faults: Vec<String>,
    /// When the last URL ended.
    pub(super) end: Timestamp,
}

/// How a URL ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) delivery: Delivery,
    /// Attempts, as the report has them.
    pub(super) attempts: u16,
}

/// The parameters of a run.
pub(super) struct Plan<'a> {
    pub(super) policy: &'a HostPolicy,
    pub(super) config: sandbox::HostConfig,
    pub(super) urls: u64,
    /// The first URLs are listings, on which the others are found in equal parts. With 0 all URLs are seeds.
    pub(super) listings: u64,
    pub(super) rules: RulesMode,
    /// Retries of one URL.
    pub(super) retries: u16,
    /// The client's patience with one answer.
    pub(super) timeout: Duration,
    pub(super) seed: u64,
    /// Of the whole run.
    pub(super) limit: Duration,
}

/// Something that happens at a time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Wake,
    /// With the number of the attempt, and whether the URL failed before.
    Arrive {
        lease: u64,
        path: String,
        attempt: (u16, bool),
        kept_alive: bool,
    },
    ArriveRules {
        scheme: Scheme,
        kept_alive: bool,
    },
    Land {
        lease: u64,
        arrival: u64,
    },
    LandRules {
        scheme: Scheme,
        arrival: u64,
    },
    Assign {
        id: u64,
        attempts: Attempts,
    },
}

/// The server's answer, kept until it arrives.
struct Reply {
    outcome: Outcome,
    headers: HeaderMap,
    status: u16,
    attempt: (u16, bool),
}

pub(super) struct World {
    host: HostState,
    witness: Witness,
    policy: HostPolicy,
    rules: RulesMode,
    limits: HostLimits,
    server: sandbox::Host,
    retry: RetryPolicy,
    retries: u16,
    random: fastrand::Rng,
    now: Timestamp,
    queue: BinaryHeap<Reverse<(Timestamp, u64, Happening)>>,
    order: u64,
    /// When the earliest timer in the queue fires.
    wake: Option<Timestamp>,
    replies: Vec<(u64, Reply)>,
    /// Connections that are kept alive and have nothing to do.
    kept_alive: usize,
    /// URLs that the scheduler has.
    unassigned: VecDeque<u64>,
    /// Room for leases that the host has requested.
    credit: usize,
    listings: u64,
    ends: Vec<Option<End>>,
    pages: usize,
    failures: usize,
    /// URLs that failed by themselves as often as they may.
    exhausted: usize,
    faults: Vec<String>,
    passivated: bool,
}

/// Runs the URLs of one host to their end, or for as long as the plan allows.
pub(super) fn run(plan: Plan<'_>) -> Outcomes {
    let limit = plan.limit;
    let mut world = World::new(plan);
    world.hear(Input::Tick);
    while let Some(Reverse((at, _, happening))) = world.queue.pop() {
        if at > Timestamp::EPOCH + limit {
            break;
        }
        world.now = at;
        world.happen(happening);
        if world.is_over() {
            break;
        }
    }
    let left = world.ends.iter().filter(|end| end.is_none()).count();
    if left > 0 {
        world.faults.push(format!("{left} URLs never ended"));
    }
    Outcomes {
        server: world.server,
        pages: world.pages,
        failures: world.failures,
        ends: world.ends,
        faults: world.faults,
        end: world.now,
    }
}

/// The path of a URL.
pub(super) fn path(id: u64) -> String {
    format!("/products/{id}")
}

impl World {
    fn new(plan: Plan<'_>) -> Self {
        let (now, seed) = (Timestamp::EPOCH, plan.seed);
        let policy = plan.policy.clone();
        let limits = HostLimits { fetch_timeout: plan.timeout, ..HostLimits::default() };
        let listed = if plan.listings == 0 { plan.urls } else { plan.listings.min(plan.urls) };
        Self {
            host: HostState::new(policy.clone(), plan.rules, limits, seed, now),
            witness: Witness::new(&policy),
            policy,
            rules: plan.rules,
            limits,
            server: sandbox::Host::new(plan.config.seed(seed).bodies(false)),
            retry: RetryPolicy::default().retries(plan.retries),
            retries: plan.retries,
            random: fastrand::Rng::with_seed(seed ^ 0x5EED),
            now,
            queue: BinaryHeap::new(),
            order: 0,
            wake: None,
            replies: Vec::new(),
            kept_alive: 0,
            unassigned: (0..listed).collect(),
            credit: 0,
            listings: plan.listings,
            ends: vec![None; plan.urls as usize],
            pages: 0,
            failures: 0,
            exhausted: 0,
            faults: Vec::new(),
            passivated: false,
        }
    }

    fn is_over(&self) -> bool {
        self.pages + self.failures + self.exhausted == self.ends.len()
    }

    fn at(&mut self, at: Timestamp, happening: Happening) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, happening)));
    }

    /// One way over the network.
    fn travel(&mut self) -> Duration {
        Duration::from_micros(self.random.u64(500..15_000))
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake => {
                self.wake = self.wake.filter(|wake| *wake > self.now);
                self.hear(Input::Tick);
            }
            Happening::Arrive { lease, path, attempt, kept_alive } => {
                let (back, arrival) = self.arrive(&path, attempt, kept_alive);
                self.at(back, Happening::Land { lease, arrival });
            }
            Happening::ArriveRules { scheme, kept_alive } => {
                let (back, arrival) = self.arrive("/robots.txt", (1, false), kept_alive);
                self.at(back, Happening::LandRules { scheme, arrival });
            }
            Happening::Land { lease, arrival } => self.land(lease, arrival),
            Happening::LandRules { scheme, arrival } => self.land_rules(scheme, arrival),
            Happening::Assign { id, attempts } => {
                let lease = self.lease(id, attempts);
                self.hear(Input::Assign(vec![lease]));
            }
        }
    }

    /// A request reaches the server: when its answer is back, and the answer's number.
    fn arrive(&mut self, path: &str, attempt: (u16, bool), kept_alive: bool) -> (Timestamp, u64) {
        let since_start = self.now.since(Timestamp::EPOCH);
        let answer = self.server.arrive(since_start, &sandbox::Ask::get(path));
        let mut headers = HeaderMap::new();
        for (name, value) in &answer.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(*name, value);
            }
        }
        let mut back = self.now + answer.latency + self.travel();
        // The longest time that any run may take.
        let patience = self.now + self.limits.fetch_timeout;
        let outcome = match answer.fault {
            Some(sandbox::Fault::Silence) => Outcome::Failed(Fault::Timeout),
            _ if back > patience => Outcome::Failed(Fault::Timeout),
            Some(sandbox::Fault::Unreachable) => Outcome::Failed(Fault::Connect),
            // From a connection that the server may have closed for its age this looks the same.
            Some(sandbox::Fault::Reset) if kept_alive => Outcome::Failed(Fault::StaleConnection),
            Some(fault) if fault.breaks_answer() => Outcome::Failed(Fault::Reset),
            Some(_) | None => outcome_of_status(answer.status, &headers),
        };
        if outcome == Outcome::Failed(Fault::Timeout) {
            back = patience;
        }
        self.replies.push((answer.id, Reply { outcome, headers, status: answer.status, attempt }));
        (back, answer.id)
    }

    fn land(&mut self, lease: u64, arrival: u64) {
        if let Some((outcome, proposal)) = self.read(arrival) {
            self.hear(Input::Report { lease: LeaseId(lease), outcome, proposal });
        }
    }

    /// The engine's reading of an answer to `/robots.txt`.
    fn land_rules(&mut self, scheme: Scheme, arrival: u64) {
        let Some((outcome, proposal)) = self.read(arrival) else { return };
        let answer = match outcome {
            Outcome::Answered(200..=299 | 400..=428 | 430..=499) => {
                RulesAnswer::Known { crawl_delay: None, expires_in: Duration::from_secs(86_400) }
            }
            outcome => RulesAnswer::Unavailable { outcome, proposal },
        };
        self.hear(Input::Rules { scheme, answer, hints: proposal.hints });
    }

    /// The answer, and the fetcher's proposal.
    fn read(&mut self, arrival: u64) -> Option<(Outcome, Proposal)> {
        let place = self.replies.iter().position(|(id, _)| *id == arrival)?;
        let (_, reply) = self.replies.swap_remove(place);
        self.server.left(self.now.since(Timestamp::EPOCH), arrival);
        let wall_ms = 1_767_225_600_000 + self.now.as_micros() as i64 / 1_000;
        let broken = matches!(reply.outcome, Outcome::Failed(_));
        if !broken {
            self.kept_alive += 1;
        }
        let hints =
            if broken { Hints::default() } else { Hints::read(&reply.headers, reply.status, wall_ms) };
        let facts = RequestFacts {
            repeatable: true,
            attempt: reply.attempt.0,
            elapsed: Duration::ZERO,
            retries: None,
            failed_before: reply.attempt.1,
        };
        Some((reply.outcome, self.retry.propose(&facts, reply.outcome, hints, self.random.f64())))
    }

    fn hear(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            if self.passivated {
                self.come_back();
            }
            self.witness.hear(self.now, &input);
            self.host.handle(self.now, input);
            while let Some(output) = self.host.poll(self.now) {
                if let Err(violation) = self.witness.see(self.now, &output) {
                    self.faults.push(violation.to_string());
                }
                self.perform(output, &mut inputs);
            }
            if !self.passivated
                && let Err(violation) = self.witness.rest(self.now, &self.host)
            {
                self.faults.push(violation.to_string());
            }
        }
        self.set_timer();
    }

    /// Timers are late, seldom much.
    fn set_timer(&mut self) {
        let Some((at, _)) = self.host.wake_at().filter(|_| !self.passivated) else { return };
        let late = if self.random.u8(..) < 8 { self.random.u64(..5_000) } else { self.random.u64(..1_500) };
        let at = at.max(self.now) + Duration::from_micros(late);
        if self.wake.is_none_or(|wake| at < wake) {
            self.wake = Some(at);
            self.at(at, Happening::Wake);
        }
    }

    fn come_back(&mut self) {
        let memo = self.host.memo();
        let (policy, seed) = (self.policy.clone(), self.random.u64(..));
        self.host = HostState::resume(policy, self.rules, self.limits, memo, seed, self.now);
        self.witness.resumed();
        self.passivated = false;
    }

    fn perform(&mut self, output: Output, inputs: &mut VecDeque<Input>) {
        match output {
            Output::AskSlot => inputs.push_back(Input::Granted),
            Output::Fetch(start) => self.send(&start),
            Output::FetchRules { scheme, .. } => {
                let arrival = self.now + self.travel();
                let kept_alive = self.take_connection();
                self.at(arrival, Happening::ArriveRules { scheme, kept_alive });
            }
            Output::Credit(more) => {
                self.credit = more as usize;
                self.feed(inputs);
            }
            Output::Deliver { lease, delivery, attempts } => {
                self.end(lease.id, delivery, attempts);
                inputs.push_back(Input::Settled(vec![lease.id]));
                self.feed(inputs);
            }
            // The host knows the witness's result already.
            Output::Settle { lease, .. } if lease.id.is_witness() => {}
            Output::Settle { lease, ending } => match ending {
                Ending::Retry { due, attempts } => {
                    self.at(due, Happening::Assign { id: lease.id.0, attempts });
                }
                Ending::Page | Ending::Alias | Ending::Redirected | Ending::Failed(_) | Ending::Return => {
                    self.faults.push(format!("{:?} is settled as {ending:?}", lease.id));
                }
            },
            Output::Passivate => self.passivated = true,
            Output::ReturnSlot | Output::Event(_) => {}
        }
    }

    /// Gives the host what it has room for.
    fn feed(&mut self, inputs: &mut VecDeque<Input>) {
        let count = self.unassigned.len().min(self.credit);
        if count > 0 {
            self.credit = 0;
            let ids: Vec<u64> = self.unassigned.drain(..count).collect();
            inputs
                .push_back(Input::Assign(ids.into_iter().map(|id| self.lease(id, Attempts::NONE)).collect()));
        }
    }

    /// Whether a request goes out on a connection that was kept alive.
    fn take_connection(&mut self) -> bool {
        let kept_alive = self.kept_alive > 0;
        self.kept_alive -= usize::from(kept_alive);
        kept_alive
    }

    fn send(&mut self, start: &Start) {
        let arrival = self.now + self.travel();
        let kept_alive = self.take_connection();
        let path = start.lease.record.url.trim_start_matches("http://server.test").to_owned();
        let (lease, attempt) = (start.lease.id.0, (start.attempt, start.failed_before));
        self.at(arrival, Happening::Arrive { lease, path, attempt, kept_alive });
    }

    fn end(&mut self, lease: LeaseId, delivery: Delivery, attempts: u16) {
        let end = &mut self.ends[lease.0 as usize];
        if end.replace(End { delivery, attempts }).is_some() {
            self.faults.push(format!("{lease:?} ended twice"));
        }
        if delivery == Delivery::Page {
            self.pages += 1;
            self.unassigned.extend(self.found_on(lease.0));
        } else if attempts > self.retries {
            self.exhausted += 1;
        } else {
            self.failures += 1;
        }
    }

    /// The URLs that a listing leads to.
    fn found_on(&self, id: u64) -> std::ops::Range<u64> {
        if id >= self.listings {
            return 0..0;
        }
        let others = self.ends.len() as u64 - self.listings;
        let first = |id: u64| self.listings + others * id / self.listings;
        first(id)..first(id + 1)
    }

    fn lease(&self, id: u64, attempts: Attempts) -> Lease {
        let text = format!("http://server.test{}", path(id));
        #[allow(clippy::expect_used, reason = "the URL is our own")]
        let url = text.parse().expect("a valid URL");
        #[allow(clippy::expect_used, reason = "the URL is our own")]
        let host = Host::of(&url).expect("a URL with a host");
        let record = Record {
            depth: u16::from(self.listings > 0 && id >= self.listings),
            attempts,
            ..Record::new(text, Fingerprint(u128::from(id)), host, Scheme::Http)
        };
        Lease { id: LeaseId(id), record }
    }
}
