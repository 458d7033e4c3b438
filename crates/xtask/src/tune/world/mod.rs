//! Simulates one host and its server in a loop over events, without a real clock and without sockets. A run depends
//! only on its seed.

mod agenda;
mod server;
mod urls;

use std::collections::VecDeque;
use std::time::Duration;

use opilio_core::host::{
    Delivery, HostLimits, HostState, Input, Output, RulesAnswer, RulesMode, Start, Witness,
};
use opilio_core::{
    Attempts, Ending, Fingerprint, Host, HostPolicy, Lease, LeaseId, Outcome, Proposal, Record, RequestFacts,
    RetryPolicy, Scheme, Timestamp,
};
use opilio_sandbox as sandbox;

use agenda::{Agenda, Happening};
use server::RemoteServer;
pub(super) use urls::End;
use urls::UrlSet;

/// The result of one simulated run.
pub(super) struct Outcomes {
    /// The server, which contains the log of all requests.
    pub(super) server: sandbox::Host,
    /// The number of URLs that ended as pages.
    pub(super) pages: usize,
    /// The number of URLs that did not end as pages although they had retries left.
    pub(super) failures: usize,
    /// For each URL, by its number, how it ended. `None` if it did not end.
    pub(super) ends: Vec<Option<End>>,
    /// The errors of the run: bans, violated invariants, and URLs that ended in a wrong way.
    pub(super) faults: Vec<String>,
    /// The time at which the last URL ended.
    pub(super) end: Timestamp,
}

/// The parameters of a simulated run.
pub(super) struct WorldPlan<'a> {
    pub(super) policy: &'a HostPolicy,
    pub(super) config: sandbox::HostConfig,
    pub(super) urls: u64,
    /// The number of listings: the first URLs are pages that link to the other URLs, each to an equal part of them.
    /// With 0, all URLs are seeds.
    pub(super) listings: u64,
    pub(super) rules: RulesMode,
    /// The most retries of one URL.
    pub(super) retries: u16,
    /// The longest time that the crawler waits for an answer.
    pub(super) timeout: Duration,
    pub(super) seed: u64,
    /// The longest time that the run may take, in virtual time.
    pub(super) limit: Duration,
}

/// The simulated host, its server and its URLs.
struct World {
    host: HostState,
    witness: Witness,
    passivated: bool,
    policy: HostPolicy,
    rules: RulesMode,
    limits: HostLimits,
    server: RemoteServer,
    retry: RetryPolicy,
    /// The most retries of one URL.
    retries: u16,
    random: fastrand::Rng,
    agenda: Agenda,
    urls: UrlSet,
    /// The errors found so far: bans, violated invariants, and URLs that ended in a wrong way.
    faults: Vec<String>,
}

/// Runs a simulation until all URLs have ended, or until the plan's limit of time is reached.
pub(super) fn run(plan: WorldPlan<'_>) -> Outcomes {
    let end = Timestamp::EPOCH + plan.limit;
    let mut world = World::new(plan);
    world.hear(Input::Tick);
    while let Some(happening) = world.agenda.advance(end) {
        world.happen(happening);
        if world.urls.have_ended() {
            break;
        }
    }
    let left = world.urls.left();
    if left > 0 {
        world.faults.push(format!("{left} URLs never ended"));
    }
    Outcomes {
        server: world.server.server,
        pages: world.urls.pages,
        failures: world.urls.failures,
        ends: world.urls.ends,
        faults: world.faults,
        end: world.agenda.now,
    }
}

/// Returns the path of the URL with this number.
pub(super) fn path(id: u64) -> String {
    format!("/products/{id}")
}

impl World {
    fn new(plan: WorldPlan<'_>) -> Self {
        let (now, seed) = (Timestamp::EPOCH, plan.seed);
        let policy = plan.policy.clone();
        let limits = HostLimits { fetch_timeout: plan.timeout, ..HostLimits::default() };
        let server = sandbox::Host::new(plan.config.seed(seed).bodies(false));
        Self {
            host: HostState::new(policy.clone(), plan.rules, limits, seed, now),
            witness: Witness::new(&policy),
            passivated: false,
            policy,
            rules: plan.rules,
            limits,
            server: RemoteServer::new(server, plan.timeout),
            retry: RetryPolicy::default().retries(plan.retries),
            retries: plan.retries,
            random: fastrand::Rng::with_seed(seed ^ 0x5EED),
            agenda: Agenda::new(now),
            urls: UrlSet::new(plan.urls, plan.listings),
            faults: Vec::new(),
        }
    }

    /// Returns a random time for a message to travel over the network in one direction.
    fn travel(&mut self) -> Duration {
        travel(&mut self.random)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake => self.hear(Input::Tick),
            Happening::Arrive { lease, path, attempt, kept_alive } => {
                let (back, arrival) = self.arrive(&path, attempt, kept_alive);
                self.agenda.plan(back, Happening::Land { lease, arrival });
            }
            Happening::ArriveRules { scheme, kept_alive } => {
                let (back, arrival) = self.arrive("/robots.txt", (1, false), kept_alive);
                self.agenda.plan(back, Happening::LandRules { scheme, arrival });
            }
            Happening::Land { lease, arrival } => self.land(lease, arrival),
            Happening::LandRules { scheme, arrival } => self.land_rules(scheme, arrival),
            Happening::Assign { id, attempts } => {
                let lease = self.lease(id, attempts);
                self.hear(Input::Assign(vec![lease]));
            }
        }
    }

    /// Makes a request reach the server. Returns the time at which the answer arrives at the crawler, and the number
    /// of the answer.
    fn arrive(&mut self, path: &str, attempt: (u16, bool), kept_alive: bool) -> (Timestamp, u64) {
        let random = &mut self.random;
        self.server.arrive(self.agenda.now, path, attempt, kept_alive, || travel(random))
    }

    fn land(&mut self, lease: u64, arrival: u64) {
        if let Some((outcome, proposal)) = self.read(arrival) {
            self.hear(Input::Report { lease: LeaseId(lease), outcome, proposal });
        }
    }

    /// Passes an answer to a request for `/robots.txt` to the host. The answer is interpreted as in a real crawl.
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

    /// Reads an answer that has arrived. Returns its outcome, and the verdict that the fetcher proposes (such as a
    /// retry).
    fn read(&mut self, arrival: u64) -> Option<(Outcome, Proposal)> {
        let (reply, hints) = self.server.land(self.agenda.now, arrival)?;
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
            self.witness.hear(self.agenda.now, &input);
            self.host.handle(self.agenda.now, input);
            while let Some(output) = self.host.poll(self.agenda.now) {
                if let Err(violation) = self.witness.see(self.agenda.now, &output) {
                    self.faults.push(violation.to_string());
                }
                self.perform(output, &mut inputs);
            }
            if !self.passivated
                && let Err(violation) = self.witness.rest(self.agenda.now, &self.host)
            {
                self.faults.push(violation.to_string());
            }
        }
        self.set_timer();
    }

    /// Sets the host's timer, with a random delay that is seldom long.
    fn set_timer(&mut self) {
        let Some((at, _)) = self.host.wake_at().filter(|_| !self.passivated) else { return };
        let late = if self.random.u8(..) < 8 { self.random.u64(..5_000) } else { self.random.u64(..1_500) };
        let at = at.max(self.agenda.now) + Duration::from_micros(late);
        self.agenda.set_timer(at);
    }

    fn come_back(&mut self) {
        let memo = self.host.memo();
        let (policy, seed) = (self.policy.clone(), self.random.u64(..));
        self.host = HostState::resume(policy, self.rules, self.limits, memo, seed, self.agenda.now);
        self.witness.resumed();
        self.passivated = false;
    }

    fn perform(&mut self, output: Output, inputs: &mut VecDeque<Input>) {
        match output {
            Output::AskSlot => inputs.push_back(Input::Granted { is_short: false }),
            Output::Fetch(start) => self.send(&start),
            Output::FetchRules { scheme, .. } => {
                let arrival = self.agenda.now + self.travel();
                let kept_alive = self.server.take_connection();
                self.agenda.plan(arrival, Happening::ArriveRules { scheme, kept_alive });
            }
            Output::Credit(more) => {
                self.urls.ask(more as usize);
                self.feed(inputs);
            }
            Output::Deliver { lease, delivery, attempts } => {
                self.end(lease.id, delivery, attempts);
                inputs.push_back(Input::Settled(vec![lease.id]));
                self.feed(inputs);
            }
            // A witness request only shows whether the host works. Its end is not the end of a URL, and the host
            // knows of it already.
            Output::Settle { lease, .. } if lease.id.is_witness() => {}
            Output::Settle { lease, ending } => match ending {
                Ending::Retry { due, attempts } => {
                    self.agenda.plan(due, Happening::Assign { id: lease.id.0, attempts });
                }
                Ending::Page | Ending::Alias | Ending::Redirected | Ending::Failed(_) | Ending::Return => {
                    self.faults.push(format!("{:?} is settled as {ending:?}", lease.id));
                }
            },
            Output::Passivate => self.passivated = true,
            Output::ReturnSlot | Output::Event(_) => {}
        }
    }

    /// Gives the host as many leases as it has asked for, by adding them to `inputs`.
    fn feed(&mut self, inputs: &mut VecDeque<Input>) {
        let ids = self.urls.feed();
        if !ids.is_empty() {
            let leases = ids.into_iter().map(|id| self.lease(id, Attempts::NONE)).collect();
            inputs.push_back(Input::Assign(leases));
        }
    }

    fn send(&mut self, start: &Start) {
        let arrival = self.agenda.now + self.travel();
        let kept_alive = self.server.take_connection();
        let path = start.lease.record.url.trim_start_matches("http://server.test").to_owned();
        let (lease, attempt) = (start.lease.id.0, (start.attempt, start.failed_before));
        self.agenda.plan(arrival, Happening::Arrive { lease, path, attempt, kept_alive });
    }

    fn end(&mut self, lease: LeaseId, delivery: Delivery, attempts: u16) {
        if !self.urls.end(lease.0, End { delivery, attempts }, self.retries) {
            self.faults.push(format!("{lease:?} ended twice"));
        }
    }

    fn lease(&self, id: u64, attempts: Attempts) -> Lease {
        let text = format!("http://server.test{}", path(id));
        #[allow(clippy::expect_used, reason = "the URL is our own")]
        let url = text.parse().expect("a valid URL");
        #[allow(clippy::expect_used, reason = "the URL is our own")]
        let host = Host::of(&url).expect("a URL with a host");
        let record = Record {
            depth: self.urls.depth(id),
            attempts,
            ..Record::new(text, Fingerprint(u128::from(id)), host, Scheme::Http)
        };
        Lease { id: LeaseId(id), record }
    }
}

/// Returns a random time for a message to travel over the network in one direction.
fn travel(random: &mut fastrand::Rng) -> Duration {
    Duration::from_micros(random.u64(500..15_000))
}
