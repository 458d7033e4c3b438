//! Carries messages, timers and answers to and from the state of one host. Every handler is one
//! step of the state machine; what may be done next is decided there and never here.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, SpawnHandle};
use opilio_core::host::{
    Delivery, HostEvent, HostLoad, HostState, Input, Output, RulesAnswer, Start, WakeReason,
};
use opilio_core::{
    Ending, Fault, Hints, Host, Lease, LeaseId, Outcome, Reason, RequestFacts, Scheme, Timestamp, Verdict,
};
use opilio_fetch::connections::IDLE_MAX;
use opilio_fetch::{Connection, FetchRequest, Purpose};
use opilio_spider::data::Reads;
use opilio_spider::rules::{self, RulesTable, Unjudged};
use opilio_spider::{Answer, memo};
use url::Url;

use super::errands::Errands;
use super::rules::{RulesNews, refuse, take_in};
use crate::context::ShardContext;
use crate::message::{
    Advisor, AskSlot, ClosedHost, Deliver, ErrandResult, Fetch, FetchFacts, FetchFor, Parsed, Report, Slot,
    SlotAnswer, Standing, StopHost, ToScheduler, Wake,
};
use crate::message::{Gone, HostGone};
use crate::prepared::{LeaseRequest, PreparedLeases};

pub(crate) struct HostActor {
    cx: Rc<ShardContext>,
    host: Host,
    state: Rc<RefCell<HostState>>,
    rules: Rc<RefCell<RulesTable>>,
    errands: Rc<RefCell<Errands>>,
    prepared: Rc<RefCell<PreparedLeases>>,
    /// Leases that were started and are not handed on yet.
    trying: HashMap<LeaseId, Attempt>,
    /// Those that were under way when newer rules came: they are judged should they be ready again.
    unjudged: HashSet<LeaseId>,
    /// How often rules had been read at the last step.
    readings: u64,
    /// The report that is being handled, for the delivery that it may lead to.
    report: Option<(LeaseId, Box<Report>)>,
    /// What was reported of leases whose end waits to be told whose fault it was. There are few of them.
    undecided: HashMap<LeaseId, Box<Report>>,
    /// When it wakes if nothing is heard before, and why.
    timer: Option<(Timestamp, WakeReason, SpawnHandle)>,
    /// Granted, and not yet used or handed back.
    slot: Option<Slot>,
    random: fastrand::Rng,
    restarted: bool,
    passive: bool,
    /// How often in a row the crawl's proxies did not carry a request for rules.
    rules_uncarried: u16,
    /// What was last said of a failed fetch, and the word for it: what waits for rules ends by it, unasked.
    last_error: Option<(Reason, String)>,
    /// It was closed in this step: what it remembers is to outlive a kill.
    closed: bool,
    /// Its part of what the shard counts.
    counted: HostLoad,
}

/// What a shard keeps of a live host: it outlives the host's actor.
#[derive(Clone)]
pub(crate) struct HostParts {
    pub(crate) state: Rc<RefCell<HostState>>,
    pub(crate) rules: Rc<RefCell<RulesTable>>,
    pub(crate) errands: Rc<RefCell<Errands>>,
    pub(crate) prepared: Rc<RefCell<PreparedLeases>>,
}

/// What earlier attempts of a lease leave to know.
#[derive(Clone, Copy)]
struct Attempt {
    first_start: Timestamp,
    /// How often the crawl's proxies did not carry it.
    uncarried: u16,
}

impl HostActor {
    /// Starts an actor over what the shard keeps of its host.
    pub(crate) fn start(cx: Rc<ShardContext>, host: Host, kept: HostParts, restarted: bool) -> Addr<Self> {
        let HostParts { state, rules, errands, prepared } = kept;
        let readings = rules.borrow().readings();
        let random = fastrand::Rng::with_seed(cx.settings.seed ^ cx.clock.now().as_micros());
        Actor::start(Self {
            rules,
            errands,
            prepared,
            cx,
            host,
            state,
            trying: HashMap::new(),
            unjudged: HashSet::new(),
            readings,
            report: None,
            undecided: HashMap::new(),
            timer: None,
            slot: None,
            random,
            restarted,
            passive: false,
            rules_uncarried: 0,
            last_error: None,
            closed: false,
            counted: HostLoad::default(),
        })
    }

    /// One step: tell the state, do what it says, set the timer that it asks for.
    fn step(&mut self, ctx: &mut Context<Self>, input: Input) {
        let now = self.cx.clock.now();
        let state = self.state.clone();
        state.borrow_mut().handle(now, input);
        self.judge_returned(now);
        loop {
            let Some(output) = state.borrow_mut().poll(now) else { break };
            if let Some(answer) = self.perform(ctx, output) {
                state.borrow_mut().handle(now, answer);
            }
        }
        if let Some((lease, mut report)) = self.report.take()
            && state.borrow().is_undecided(lease)
        {
            // Other fetches decide: they must not wait for this one.
            report.waits = None;
            self.undecided.insert(lease, report);
        }
        if std::mem::take(&mut self.closed) {
            let memo = state.borrow().memo();
            let memo = memo::write(memo, self.rules.borrow().all(), &self.cx.settings.user_agent);
            self.cx.port.tell_closed(ClosedHost { host: self.host.clone(), memo });
        }
        self.count(state.borrow().load(now));
        let wake = state.borrow().wake_at();
        self.rearm(ctx, now, wake);
    }

    /// Brings what the shard counts up to date: nobody has to look at all live hosts for it.
    fn count(&mut self, load: HostLoad) {
        let before = std::mem::replace(&mut self.counted, load);
        if before != load {
            self.cx.count(|counts| {
                counts.held = counts.held + u32::from(load.is_held) - u32::from(before.is_held);
                counts.in_flight = counts.in_flight + load.in_flight - before.in_flight;
                counts.under_way = counts.under_way + load.under_way - before.under_way;
            });
        }
    }

    /// Ends what was under way when newer rules came, is ready again, and is forbidden by them.
    fn judge_returned(&mut self, now: Timestamp) {
        let readings = self.rules.borrow().readings();
        if std::mem::replace(&mut self.readings, readings) != readings {
            self.unjudged.extend(self.trying.keys());
        }
        self.unjudged.retain(|lease| self.trying.contains_key(lease));
        if self.unjudged.is_empty() {
            return;
        }
        let mut state = self.state.borrow_mut();
        for scheme in [Scheme::Http, Scheme::Https] {
            if state.knows_rules(scheme, now) {
                refuse(&self.rules.borrow(), scheme, Unjudged::Only(&self.unjudged), &mut state, now);
            }
        }
    }

    /// Does one thing that the state asked for; tells what the state must hear of it at once.
    fn perform(&mut self, ctx: &mut Context<Self>, output: Output) -> Option<Input> {
        match output {
            Output::Credit(leases) => {
                self.cx.port.send(ToScheduler::Credit { host: self.host.clone(), leases })
            }
            Output::AskSlot => {
                let proven = self.state.borrow().is_proven();
                let standing = if proven { Standing::Proven } else { Standing::Doubtful };
                let group = self.cx.settings.group_rate.map(|_| self.host.group());
                let asked = AskSlot { host: ctx.address().recipient(), standing, group };
                let asked = self.cx.pool.slots.try_send(asked);
                return asked.err().map(|_| Input::Refused);
            }
            Output::ReturnSlot => self.slot = None,
            Output::Fetch(start) => return self.fetch(ctx, start),
            Output::FetchRules { scheme, .. } => return self.fetch_rules(ctx, scheme),
            Output::Deliver { lease, .. } if lease.id.is_errand() => {
                let id = lease.id;
                self.end_errand(id);
                return Some(Input::Settled(vec![id]));
            }
            Output::Settle { lease, .. } if lease.id.is_errand() => self.end_errand(lease.id),
            Output::Deliver { lease, delivery, attempts } => self.deliver(lease, delivery, attempts),
            Output::Settle { lease, ending } => self.settle(lease, ending),
            Output::Event(event) => self.tell(event),
            Output::Passivate => {
                self.passive = true;
                ctx.stop();
            }
        }
        None
    }

    fn fetch(&mut self, ctx: &mut Context<Self>, start: Start) -> Option<Input> {
        let Start { lease, attempt, resent, probe, failed_before, .. } = start;
        let id = lease.id;
        self.undecided.remove(&id);
        let now = self.cx.clock.now();
        let earlier = *self.trying.entry(id).or_insert(Attempt { first_start: now, uncarried: 0 });
        let facts = RequestFacts {
            repeatable: false,
            attempt,
            elapsed: Duration::ZERO,
            retries: Some(0),
            failed_before,
        };
        let mut advisor = self.advisor(facts, earlier);
        let sent = self.prepared.borrow_mut().request(&lease, &self.cx.settings.scope);
        let Some(LeaseRequest { mut request, retries, reads }) = sent else {
            // A record that we wrote and cannot read: never the web's fault.
            return Some(self.unsent(id, &advisor, Fault::UnsupportedScheme));
        };
        advisor.facts.repeatable = request.repeatable;
        if resent && !request.repeatable {
            // It may have reached the server once, and nobody said that twice does no harm.
            return Some(self.unsent(id, &advisor, Fault::Lost));
        }
        if id.is_errand() {
            // The host that asked tries again, or does not.
            advisor.is_errand = true;
            request.purpose = Purpose::Robots;
            request.enough = Some(rules::READ_BYTES_MAX);
        } else {
            advisor.facts.retries = retries;
        }
        match reads {
            Reads::Page => request.accept = self.cx.settings.accept(),
            Reads::Sitemap { .. } => request.enough = Some(self.cx.settings.body_bytes_max),
            Reads::SitemapsOf => {
                // A probe has to find out how the host is.
                if !probe && let Some(answer) = self.sitemaps_known(lease.record.scheme, &request.url) {
                    return Some(self.answered_from_rules(id, &advisor, answer));
                }
                request.enough = Some(rules::READ_BYTES_MAX);
            }
        }
        let retry = u64::from(attempt > 1 || earlier.first_start < now);
        self.cx.count(|counts| {
            counts.requests += 1;
            counts.retries += retry;
        });
        (!self.send(ctx, FetchFor::Lease(id), request, advisor)).then_some(Input::Undelivered(id))
    }

    /// What travels with a fetch, so that the report of it carries a proposal.
    fn advisor(&mut self, facts: RequestFacts, earlier: Attempt) -> Advisor {
        let Attempt { first_start, uncarried } = earlier;
        let (settings, host, random) = (self.cx.settings.clone(), self.host.clone(), self.random.f64());
        Advisor { settings, host, facts, first_start, uncarried, is_errand: false, random }
    }

    /// The input for an attempt of which nothing was sent.
    fn unsent(&mut self, lease: LeaseId, advisor: &Advisor, fault: Fault) -> Input {
        self.slot = None;
        let outcome = Outcome::Failed(fault);
        let proposal = advisor.propose(self.cx.clock.now(), outcome, Hints::default());
        Input::Report { lease, outcome, proposal }
    }

    /// The sitemaps that the origin's rules name, as a robots.txt, if that was fetched for the rules already.
    fn sitemaps_known(&self, scheme: Scheme, url: &Url) -> Option<Answer> {
        let known = self.state.try_borrow().is_ok_and(|state| state.knows_rules(scheme, self.cx.clock.now()));
        let rules = self.rules.borrow();
        let sitemaps = rules.sitemaps(scheme).filter(|_| known)?;
        let lines: String = sitemaps.iter().map(|loc| format!("Sitemap: {loc}\n")).collect();
        Some(Answer {
            url: url.clone(),
            status: 200,
            headers: http::HeaderMap::new(),
            body: lines.into(),
            cut: false,
            permit: None,
            elapsed: Duration::ZERO,
        })
    }

    /// The input for an attempt that needed no request.
    fn answered_from_rules(&mut self, lease: LeaseId, advisor: &Advisor, answer: Answer) -> Input {
        self.slot = None;
        let outcome = Outcome::Answered(200);
        let proposal = advisor.propose(self.cx.clock.now(), outcome, Hints::default());
        let what = FetchFor::Lease(lease);
        let (answer, location, error, waits) = (Some(answer), None, None, None);
        let report = Report { what, outcome, proposal, answer, location, error, waits };
        self.report = Some((lease, Box::new(report)));
        Input::Report { lease, outcome, proposal }
    }

    fn fetch_rules(&mut self, ctx: &mut Context<Self>, scheme: Scheme) -> Option<Input> {
        let url = self.rules.borrow().url(scheme);
        let request = url.map(|url| FetchRequest {
            purpose: Purpose::Robots,
            enough: Some(rules::READ_BYTES_MAX),
            ..FetchRequest::get(url)
        });
        let first_start = self.cx.clock.now();
        let advisor = self.advisor(rules::ATTEMPT, Attempt { first_start, uncarried: self.rules_uncarried });
        // Nothing was sent otherwise: that says nothing about the host.
        let outcome = Outcome::Failed(Fault::Ours);
        let proposal = advisor.propose(first_start, outcome, Hints::default());
        if request.is_some_and(|request| self.send(ctx, FetchFor::Rules(scheme), request, advisor)) {
            self.cx.count(|counts| counts.requests += 1);
            return None;
        }
        self.slot = None;
        let answer = RulesAnswer::Unavailable { outcome, proposal };
        Some(Input::Rules { scheme, answer, hints: Hints::default() })
    }

    /// Hands a fetch to the pool; tells whether there was a slot for it.
    fn send(
        &mut self,
        ctx: &Context<Self>,
        what: FetchFor,
        mut request: FetchRequest,
        advisor: Advisor,
    ) -> bool {
        self.cx.settings.dress(&self.host, &mut request);
        let idle = self.idle_time();
        if idle > IDLE_MAX {
            // It is closed by then: it would only be a burden, to the server and to us.
            request.connection = Connection::Close;
        }
        // The state starts nothing without a grant; should it, nothing is sent.
        let Some(slot) = self.slot.take() else { return false };
        let fetch = Fetch { slot, what, request, idle, advisor, reply: ctx.address().recipient() };
        self.cx.pool.fetches.send(fetch);
        true
    }

    /// How long the connection of a request would be idle after it, whatever it is that keeps the next start
    /// away: rate, crawl delay, quota, the pace that was learnt.
    fn idle_time(&self) -> Duration {
        let host = self.state.borrow().snapshot();
        let next = host.next_start.map_or(Duration::ZERO, |at| at.since(self.cx.clock.now()));
        let idle = host.spacing.max(next);
        let has_more = host.ready + host.waiting > 0;
        // Without another URL in hand nobody knows: its pages may have links.
        if has_more { idle } else { idle.max(IDLE_MAX / 2) }
    }

    fn deliver(&mut self, lease: Lease, delivery: Delivery, attempts: u16) {
        self.trying.remove(&lease.id);
        let earlier = self.undecided.remove(&lease.id);
        let report = self.report.take_if(|(id, _)| *id == lease.id).map(|(_, report)| report).or(earlier);
        let stated = report.as_ref().and_then(|report| report.proposal.hints.retry_after);
        let (answer, location, mut error, waits) = report.map_or((None, None, None, None), |report| {
            (report.answer, report.location, report.error, report.waits)
        });
        if let (None, Delivery::Failure(reason), Some((last, words))) = (&error, delivery, &self.last_error) {
            error = match reason {
                // It waited for rules that could not be had, or for others to tell whose fault it was.
                reason if reason == *last => Some(words.clone()),
                Reason::HostClosed => Some(format!("its host was put aside, where this came last: {words}")),
                _ => None,
            };
        }
        if let (Some(wait), Delivery::Failure(Reason::HostClosed)) = (stated, delivery) {
            let seconds = wait.as_secs();
            error = Some(format!(
                "asked for a wait of {seconds} s, which put its host aside for the rest of the run"
            ));
        }
        let waits = waits.or_else(|| answer.is_some().then(|| self.cx.backlog.wait()));
        let (prepared, known) = (self.prepared.borrow_mut().take(&lease), None);
        let deliver = Deliver { lease, prepared, delivery, attempts, answer, location, error, known, waits };
        self.cx.runner.send(deliver);
    }

    /// Tells the askers of an errand what it gave. Without a report nothing was fetched: the host is closed.
    fn end_errand(&mut self, id: LeaseId) {
        self.trying.remove(&id);
        self.prepared.borrow_mut().forget(id);
        let report = self.report.take_if(|(reported, _)| *reported == id);
        let facts = report.map_or_else(FetchFacts::nothing, |(_, report)| FetchFacts::of(&report));
        for asker in self.errands.borrow_mut().end(id) {
            let result = ErrandResult { asker, facts: facts.clone() };
            self.cx.port.send(ToScheduler::ErrandResult(result));
        }
    }

    /// Ends a lease that gives nothing to the spider.
    fn settle(&mut self, lease: Lease, ending: Ending) {
        self.trying.remove(&lease.id);
        self.undecided.remove(&lease.id);
        self.prepared.borrow_mut().forget(lease.id);
        let (origin, attempts) = (lease.record.url, lease.record.attempts.requests);
        let host = self.host.clone();
        self.cx.port.give(Parsed::bare(self.cx.shard, host, lease.id, ending, origin, attempts));
    }

    fn tell(&mut self, event: HostEvent) {
        self.closed |= matches!(event, HostEvent::Held { .. } | HostEvent::Parked { .. });
        let host = &self.host;
        let now = self.cx.clock.now();
        match event {
            HostEvent::Held { until, reason, clamped } => {
                let wait = until.since(now);
                tracing::info!(%host, ?reason, ?wait, clamped, "host is held");
            }
            HostEvent::Opened => tracing::info!(%host, "host is open again"),
            HostEvent::Parked { reason } => {
                tracing::warn!(%host, ?reason, "host is put aside for the rest of the run");
            }
            HostEvent::Paced { per_second } => tracing::info!(%host, per_second, "host has a new pace"),
            HostEvent::Forbidden { in_a_row } => {
                tracing::warn!(%host, in_a_row, "host answers 401 or 403 again and again");
            }
            HostEvent::RulesUnavailable { scheme, outcome } => {
                let first = self.rules.borrow_mut().start_over(scheme);
                let origin = scheme.as_str();
                if first {
                    tracing::warn!(%host, origin, ?outcome, "robots.txt cannot be had: the host counts as closed");
                } else {
                    tracing::debug!(%host, origin, ?outcome, "robots.txt still cannot be had");
                }
            }
            HostEvent::CrawlDelayClamped { asked, kept } => {
                tracing::warn!(%host, ?asked, ?kept, "the crawl delay of robots.txt is longer than allowed");
            }
            other => tracing::debug!(%host, ?other, "host"),
        }
    }

    /// Keeps at most one timer, and moves it only when it would come too late.
    fn rearm(&mut self, ctx: &mut Context<Self>, now: Timestamp, wake: Option<(Timestamp, WakeReason)>) {
        let Some((wake, reason)) = wake else { return };
        if let Some((armed, _, handle)) = self.timer {
            if armed <= wake {
                return;
            }
            ctx.cancel_future(handle);
        }
        let handle = ctx.run_later(wake.since(now), |actor, ctx| {
            if let Some((_, reason, _)) = actor.timer.take() {
                tracing::debug!(host = %actor.host, ?reason, "host wakes");
            }
            actor.step(ctx, Input::Tick);
        });
        self.timer = Some((wake, reason, handle));
    }
}

impl Actor for HostActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Room for every report and settle that its leases can cause, and for the shard's messages.
        let policy = &self.cx.settings.hosts.of(&self.host).policy;
        let credit = self.cx.settings.limits_of(policy).credit;
        ctx.set_mailbox_capacity(credit as usize * 2 + 32);
        #[cfg(test)]
        if let Some(age) = super::chaos::due() {
            ctx.run_later(age, |_, _| super::chaos::die());
        }
        if self.restarted {
            self.step(ctx, Input::Restarted);
        }
    }
}

impl Drop for HostActor {
    fn drop(&mut self) {
        self.count(HostLoad::default());
        let why = if self.passive { Gone::Passive } else { Gone::Died };
        if self.passive || std::thread::panicking() {
            self.cx.gone.send(HostGone { host: self.host.clone(), why });
        }
    }
}

impl Handler<StopHost> for HostActor {
    type Result = ();

    fn handle(&mut self, _: StopHost, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<Wake> for HostActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.step(ctx, Input::Tick);
    }
}

impl Handler<SlotAnswer> for HostActor {
    type Result = ();

    fn handle(&mut self, answer: SlotAnswer, ctx: &mut Self::Context) {
        match answer {
            SlotAnswer::Granted(slot) => {
                self.slot = Some(slot);
                self.step(ctx, Input::Granted);
            }
            SlotAnswer::Denied { until } => self.step(ctx, Input::SlotDenied { until }),
        }
    }
}

impl Handler<Report> for HostActor {
    type Result = ();

    fn handle(&mut self, mut report: Report, ctx: &mut Self::Context) {
        if let (Outcome::Failed(_), Some(error)) = (report.outcome, &report.error) {
            self.last_error = Some((report.outcome.reason(), error.clone()));
        }
        match report.what {
            FetchFor::Lease(lease) => {
                let Report { outcome, proposal, .. } = report;
                if outcome == Outcome::Failed(Fault::Proxy)
                    && let Some(attempt) = self.trying.get_mut(&lease)
                {
                    attempt.uncarried = attempt.uncarried.saturating_add(1);
                }
                self.report = Some((lease, Box::new(report)));
                self.step(ctx, Input::Report { lease, outcome, proposal });
            }
            FetchFor::Rules(scheme) => {
                let proposal = report.proposal;
                let carried = report.outcome != Outcome::Failed(Fault::Proxy);
                self.rules_uncarried = if carried { 0 } else { self.rules_uncarried.saturating_add(1) };
                if !carried && matches!(proposal.verdict, Verdict::GiveUp(_)) {
                    // What waits for the rules ends.
                    report.outcome = Outcome::Failed(Fault::NoProxy);
                }
                let facts = FetchFacts::of(&report);
                let news = RulesNews { scheme, facts: &facts, proposal, hints: proposal.hints };
                take_in(&self.cx, &self.host, &self.rules, &self.state, &news);
                self.step(ctx, Input::Tick);
            }
        }
    }
}
