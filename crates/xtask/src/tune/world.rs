//! One host and its server as a discrete-event loop: no clock, no socket, a seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use opilio_core::explain::outcome_of_status;
use opilio_core::host::{Delivery, HostLimits, HostState, Input, Output, RulesMode, Start, Witness};
use opilio_core::{
    Ending, Fault, Fingerprint, Hints, Host, HostPolicy, Lease, LeaseId, Outcome, Priority, Record,
    RecordKind, RequestFacts, RetryPolicy, Scheme, Score, Timestamp,
};
use opilio_sandbox as sandbox;

/// What came out of one run.
pub(super) struct Outcomes {
    /// The server's side.
    pub(super) server: sandbox::Host,
    /// URLs that ended as pages.
    pub(super) pages: usize,
    /// URLs that ended otherwise, with attempts left.
    pub(super) failures: usize,
    /// Bans, invariants and ends that are wrong.
    pub(super) faults: Vec<String>,
    /// When the last URL ended.
    pub(super) end: Timestamp,
}

/// Something that happens at a time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Wake,
    Arrive { lease: u64, attempt: u16, kept_alive: bool },
    Land { lease: u64, arrival: u64 },
    Assign { id: u64 },
}

/// What the client hears, kept until it lands.
struct Reply {
    outcome: Outcome,
    headers: HeaderMap,
    status: u16,
    attempt: u16,
}

pub(super) struct World {
    host: HostState,
    witness: Witness,
    policy: HostPolicy,
    server: sandbox::Host,
    retry: RetryPolicy,
    random: fastrand::Rng,
    now: Timestamp,
    queue: BinaryHeap<Reverse<(Timestamp, u64, Happening)>>,
    order: u64,
    /// When the earliest timer in the queue fires.
    wake: Option<Timestamp>,
    replies: Vec<(u64, Reply)>,
    /// Connections that are kept alive and have nothing to do.
    kept_alive: usize,
    unassigned: VecDeque<u64>,
    ended: Vec<bool>,
    pages: usize,
    failures: usize,
    /// URLs that failed by themselves as often as they may.
    exhausted: usize,
    faults: Vec<String>,
    passivated: bool,
}

/// Runs `urls` URLs of one host to their end, or for at most `limit`.
pub(super) fn run(
    policy: &HostPolicy,
    config: sandbox::HostConfig,
    urls: u64,
    seed: u64,
    limit: Duration,
) -> Outcomes {
    let mut world = World::new(policy.clone(), config, urls, seed);
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
    let left = world.ended.iter().filter(|ended| !**ended).count();
    if left > 0 {
        world.faults.push(format!("{left} URLs never ended"));
    }
    Outcomes {
        server: world.server,
        pages: world.pages,
        failures: world.failures,
        faults: world.faults,
        end: world.now,
    }
}

impl World {
    fn new(policy: HostPolicy, config: sandbox::HostConfig, urls: u64, seed: u64) -> Self {
        let now = Timestamp::EPOCH;
        Self {
            host: HostState::new(policy.clone(), RulesMode::Off, HostLimits::default(), seed, now),
            witness: Witness::new(&policy),
            policy,
            server: sandbox::Host::new(config.seed(seed).bodies(false)),
            retry: RetryPolicy::default(),
            random: fastrand::Rng::with_seed(seed ^ 0x5EED),
            now,
            queue: BinaryHeap::new(),
            order: 0,
            wake: None,
            replies: Vec::new(),
            kept_alive: 0,
            unassigned: (0..urls).collect(),
            ended: vec![false; urls as usize],
            pages: 0,
            failures: 0,
            exhausted: 0,
            faults: Vec::new(),
            passivated: false,
        }
    }

    fn is_over(&self) -> bool {
        self.pages + self.failures + self.exhausted == self.ended.len()
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
            Happening::Arrive { lease, attempt, kept_alive } => self.arrive(lease, attempt, kept_alive),
            Happening::Land { lease, arrival } => self.land(lease, arrival),
            Happening::Assign { id } => {
                let lease = lease(id);
                self.hear(Input::Assign(vec![lease]));
            }
        }
    }

    fn arrive(&mut self, lease: u64, attempt: u16, kept_alive: bool) {
        let path = format!("/products/{lease}");
        let since_start = self.now.since(Timestamp::EPOCH);
        let answer = self.server.arrive(since_start, &sandbox::Ask::get(&path));
        let mut headers = HeaderMap::new();
        for (name, value) in &answer.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(*name, value);
            }
        }
        let outcome = match answer.fault {
            Some(sandbox::Fault::Unreachable) => Outcome::Failed(Fault::Connect),
            // From a connection that the server may have closed for its age this looks the same.
            Some(sandbox::Fault::Reset) if kept_alive => Outcome::Failed(Fault::StaleConnection),
            Some(fault) if fault.breaks_answer() => Outcome::Failed(Fault::Reset),
            Some(_) | None => outcome_of_status(answer.status, &headers),
        };
        self.replies.push((answer.id, Reply { outcome, headers, status: answer.status, attempt }));
        let back = self.now + answer.latency + self.travel();
        self.at(back, Happening::Land { lease, arrival: answer.id });
    }

    fn land(&mut self, lease: u64, arrival: u64) {
        let Some(place) = self.replies.iter().position(|(id, _)| *id == arrival) else { return };
        let (_, reply) = self.replies.swap_remove(place);
        self.server.left(self.now.since(Timestamp::EPOCH), arrival);
        let wall_ms = 1_767_225_600_000 + self.now.as_micros() as i64 / 1_000;
        let broken = matches!(reply.outcome, Outcome::Failed(_));
        if !broken {
            self.kept_alive += 1;
        }
        let hints =
            if broken { Hints::default() } else { Hints::read(&reply.headers, reply.status, wall_ms) };
        let facts =
            RequestFacts { repeatable: true, attempt: reply.attempt, elapsed: Duration::ZERO, retries: None };
        let proposal = self.retry.propose(&facts, reply.outcome, hints, self.random.f64());
        self.hear(Input::Report { lease: LeaseId(lease), outcome: reply.outcome, proposal });
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
        self.host = HostState::resume(policy, RulesMode::Off, HostLimits::default(), memo, seed, self.now);
        self.witness.resumed();
        self.passivated = false;
    }

    fn perform(&mut self, output: Output, inputs: &mut VecDeque<Input>) {
        match output {
            Output::AskSlot => inputs.push_back(Input::Granted),
            Output::Fetch(start) => self.send(&start),
            Output::Credit(more) => {
                let count = self.unassigned.len().min(more as usize);
                if count > 0 {
                    inputs.push_back(Input::Assign(self.unassigned.drain(..count).map(lease).collect()));
                }
            }
            Output::Deliver { lease, delivery, attempts } => {
                self.end(lease.id, delivery, attempts);
                inputs.push_back(Input::Settled(vec![lease.id]));
            }
            Output::Settle { lease, ending } => match ending {
                Ending::Retry { due, .. } => self.at(due, Happening::Assign { id: lease.id.0 }),
                Ending::Page | Ending::Alias | Ending::Redirected | Ending::Failed(_) | Ending::Return => {
                    self.faults.push(format!("{:?} is settled as {ending:?}", lease.id));
                }
            },
            Output::Passivate => self.passivated = true,
            Output::ReturnSlot | Output::FetchRules { .. } | Output::Event(_) => {}
        }
    }

    fn send(&mut self, start: &Start) {
        let arrival = self.now + self.travel();
        let kept_alive = self.kept_alive > 0;
        self.kept_alive -= usize::from(kept_alive);
        self.at(arrival, Happening::Arrive { lease: start.lease.id.0, attempt: start.attempt, kept_alive });
    }

    fn end(&mut self, lease: LeaseId, delivery: Delivery, attempts: u16) {
        let ended = &mut self.ended[lease.0 as usize];
        if std::mem::replace(ended, true) {
            self.faults.push(format!("{lease:?} ended twice"));
        }
        if delivery == Delivery::Page {
            self.pages += 1;
        } else if attempts > RETRIES {
            self.exhausted += 1;
        } else {
            self.failures += 1;
        }
    }
}

fn lease(id: u64) -> Lease {
    let text = format!("http://server.test/products/{id}");
    #[allow(clippy::expect_used, reason = "the URL is our own")]
    let url = text.parse().expect("a valid URL");
    #[allow(clippy::expect_used, reason = "the URL is our own")]
    let host = Host::of(&url).expect("a URL with a host");
    let record = Record {
        url: text.into(),
        fingerprint: Fingerprint(u128::from(id)),
        host,
        scheme: Scheme::Http,
        depth: 0,
        priority: Priority(0),
        score: Score::default(),
        attempts: Default::default(),
        kind: RecordKind::Discovered,
        validators: None,
        extra: Default::default(),
    };
    Lease { id: LeaseId(id), record }
}

/// Of the default policy.
const RETRIES: u16 = 3;
