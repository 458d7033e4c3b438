//! The actor of one host. It passes messages, timers and answers to the host's state machine, and performs
//! the outputs of that state machine. Each handler is one step. Only the state machine decides what may be
//! done next.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, SpawnHandle};
use opilio_core::host::{Delivery, HostEvent, HostLoad, HostState, Input, Output, WakeReason};
use opilio_core::{Ending, Fault, Host, Lease, LeaseId, Outcome, Timestamp, Verdict};
use opilio_spider::memo;
use opilio_spider::parsed::Parsed;
use opilio_spider::rules::RulesTable;

use super::errands::{HostErrands, answer};
use super::events;
use super::progress::HostProgress;
use super::reports::LastAnswer;
use super::rules::{RulesNews, count_judged, take_in};
use crate::context::ShardContext;
use crate::message::{
    AskSlot, ClosedHost, Deliver, FetchFacts, FetchFor, Gone, HostGone, Report, Slot, SlotAnswer, Standing,
    StopHost, ToScheduler, Wake,
};
use crate::prepared::PreparedLeases;

pub(crate) struct HostActor {
    pub(super) cx: Rc<ShardContext>,
    pub(super) host: Host,
    pub(super) kept: Rc<HostParts>,
    pub(super) progress: HostProgress,
    /// The timer of this host: when it fires, why the state machine wants to be asked then, and the handle of
    /// the timer.
    timer: Option<(Timestamp, WakeReason, SpawnHandle)>,
    /// A granted slot that is neither used nor returned yet.
    pub(super) slot: Option<Slot>,
    pub(super) random: fastrand::Rng,
    restarted: bool,
    /// The reason why the actor stops itself, once it does.
    stops: Option<Gone>,
    /// Whether the current step closed the host. Then the host's saved state (memo) is written at once, so that it is
    /// not lost if the process is killed.
    closed: bool,
    /// Whether a test makes the actor panic. Such an actor does not sleep.
    #[cfg(test)]
    is_to_die: bool,
}

/// The parts of a live host that its shard keeps. They remain when the host's actor panics.
pub(crate) struct HostParts {
    pub(crate) state: RefCell<HostState>,
    pub(crate) rules: RefCell<RulesTable>,
    pub(crate) errands: RefCell<HostErrands>,
    pub(crate) prepared: RefCell<PreparedLeases>,
    /// The progress that an actor left when the host fell asleep. The next actor takes it.
    pub(crate) progress: Cell<Option<Box<HostProgress>>>,
    /// Whether the scheduler has been told that the host has had its first turn for a slot.
    pub(crate) begun: Cell<bool>,
}

impl HostParts {
    pub(crate) fn new(state: HostState, rules: RulesTable) -> Self {
        Self {
            state: RefCell::new(state),
            rules: RefCell::new(rules),
            errands: RefCell::default(),
            prepared: RefCell::default(),
            progress: Cell::default(),
            begun: Cell::default(),
        }
    }
}

impl HostActor {
    /// Starts an actor that uses the parts of the host that the shard keeps.
    pub(crate) fn start(
        cx: Rc<ShardContext>,
        host: Host,
        kept: Rc<HostParts>,
        restarted: bool,
    ) -> Addr<Self> {
        let progress = match kept.progress.take() {
            Some(progress) => *progress,
            None => HostProgress::new(kept.rules.borrow().readings()),
        };
        let random = fastrand::Rng::with_seed(cx.settings.seed ^ cx.clock.now().as_micros());
        Actor::start(Self {
            cx,
            host,
            kept,
            progress,
            timer: None,
            slot: None,
            random,
            restarted,
            stops: None,
            closed: false,
            #[cfg(test)]
            is_to_die: false,
        })
    }

    /// Takes one step: gives the input to the state, performs the outputs of the state, and sets the timer that the
    /// state asks for.
    fn step(&mut self, ctx: &mut Context<Self>, input: Input) {
        let now = self.cx.clock.now();
        let kept = self.kept.clone();
        let state = &kept.state;
        state.borrow_mut().handle(now, input);
        let judged =
            self.progress.attempts.judge_returned(&self.kept.rules.borrow(), &mut state.borrow_mut(), now);
        count_judged(judged);
        loop {
            let Some(output) = state.borrow_mut().poll(now) else { break };
            if let Some(input) = self.perform(ctx, output) {
                state.borrow_mut().handle(now, input);
            }
        }
        self.progress.reports.finish(&state.borrow());
        if std::mem::take(&mut self.closed) {
            let memo = state.borrow().memo();
            let memo = memo::write(memo, self.kept.rules.borrow().all(), &self.cx.settings.user_agent);
            self.cx.port.tell_closed(ClosedHost { host: self.host.clone(), memo });
        }
        self.count(state.borrow().load(now));
        if !state.borrow().waits_for_slot() && !kept.begun.replace(true) {
            self.cx.port.send(ToScheduler::Begun { host: self.host.clone() });
        }
        if self.may_sleep(now) {
            self.stops = Some(Gone::Asleep);
            return ctx.stop();
        }
        let wake = state.borrow().wake_at();
        self.rearm(ctx, now, wake);
    }

    /// Whether the host only waits, and for so long that it is worth while to stop the actor until then.
    fn may_sleep(&self, now: Timestamp) -> bool {
        #[cfg(test)]
        if self.is_to_die {
            return false;
        }
        let until = self.kept.state.borrow().may_sleep_until();
        self.stops.is_none()
            && self.slot.is_none()
            && until.is_some_and(|until| until.since(now) >= SLEEP_MIN)
    }

    /// Updates the counts of the shard, so that nothing has to go through all live hosts to count.
    fn count(&mut self, load: HostLoad) {
        let before = std::mem::replace(&mut self.progress.counted, load);
        if before != load {
            self.cx.count(|counts| {
                counts.held = counts.held + u32::from(load.is_held) - u32::from(before.is_held);
                counts.in_flight = counts.in_flight + load.in_flight - before.in_flight;
                counts.under_way = counts.under_way + load.under_way - before.under_way;
            });
        }
    }

    /// Performs one output of the state. Returns an input if the state must be told a result at once.
    fn perform(&mut self, ctx: &mut Context<Self>, output: Output) -> Option<Input> {
        match output {
            Output::Credit(leases) => {
                self.cx.port.send(ToScheduler::Credit { host: self.host.clone(), leases })
            }
            Output::AskSlot => {
                let standing = standing(&self.kept.state.borrow());
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
                self.stops = Some(Gone::Passive);
                ctx.stop();
            }
        }
        None
    }

    /// Gives a lease that has ended to the spider runner.
    fn deliver(&mut self, lease: Lease, delivery: Delivery, attempts: u16) {
        self.progress.attempts.end(lease.id);
        let LastAnswer { answer, location, error, waits } = self.progress.reports.end(lease.id, delivery);
        let waits = waits.or_else(|| answer.is_some().then(|| self.cx.backlog.wait()));
        let (prepared, known) = (self.kept.prepared.borrow_mut().take(&lease), None);
        let deliver = Deliver { lease, prepared, delivery, attempts, answer, location, error, known, waits };
        self.cx.runner.send(deliver);
    }

    /// Logs an event of the host, and records whether the event closed the host.
    fn tell(&mut self, event: HostEvent) {
        let mut rules = self.kept.rules.borrow_mut();
        self.closed |= events::tell(&self.host, &mut rules, event, self.cx.clock.now());
    }

    /// Sends the result of an errand to everyone who asked for it. If there is no report, the host is closed
    /// and nothing was fetched.
    fn end_errand(&mut self, id: LeaseId) {
        self.progress.attempts.end(id);
        let report = self.progress.reports.take(id);
        let facts = report.map_or_else(FetchFacts::nothing, |report| FetchFacts::of(&report));
        for asker in self.kept.errands.borrow_mut().end(id) {
            answer(&self.cx.port, asker, facts.clone());
        }
    }

    /// Ends a lease without calling the spider.
    fn settle(&mut self, lease: Lease, ending: Ending) {
        self.progress.attempts.end(lease.id);
        self.progress.reports.forget(lease.id);
        self.kept.prepared.borrow_mut().forget(lease.id);
        let (origin, attempts) = (lease.record.url, lease.record.attempts.requests);
        let host = self.host.clone();
        self.cx.port.give(self.cx.shard, Parsed::bare(host, lease.id, ending, origin, attempts));
    }

    /// Sets the timer. There is at most one timer, and it is replaced only if it would fire too late.
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
                tracing::debug!(host = %actor.host, ?reason, "the timer of this host fired");
            }
            actor.step(ctx, Input::Tick);
        });
        self.timer = Some((wake, reason, handle));
    }
}

impl Actor for HostActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The mailbox has room for every report and every `Settled` message that the host's leases can cause,
        // and for the messages of the shard.
        let policy = &self.cx.settings.hosts.of(&self.host).policy;
        let credit = self.cx.settings.limits_of(policy).credit;
        ctx.set_mailbox_capacity(credit as usize * 2 + 32);
        #[cfg(test)]
        if let Some(age) = super::chaos::due() {
            self.is_to_die = true;
            ctx.run_later(age, |_, _| super::chaos::die());
        }
        if self.restarted {
            self.step(ctx, Input::Restarted);
        }
    }
}

impl Drop for HostActor {
    fn drop(&mut self) {
        let died = std::thread::panicking().then_some(Gone::Died);
        let why = died.or(self.stops);
        if why == Some(Gone::Asleep) {
            // A host that sleeps still counts.
            let progress = std::mem::take(&mut self.progress);
            self.kept.progress.set((!progress.is_empty()).then(|| Box::new(progress)));
        } else {
            self.count(HostLoad::default());
        }
        if let Some(why) = why {
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
            SlotAnswer::Granted { slot, is_short } => {
                self.slot = Some(slot);
                self.step(ctx, Input::Granted { is_short });
            }
            SlotAnswer::Denied { until } => self.step(ctx, Input::SlotDenied { until }),
        }
    }
}

impl Handler<Report> for HostActor {
    type Result = ();

    fn handle(&mut self, mut report: Report, ctx: &mut Self::Context) {
        self.progress.reports.hear(&report);
        match report.what {
            FetchFor::Lease(lease) => {
                let Report { outcome, proposal, .. } = report;
                if outcome == Outcome::Failed(Fault::Proxy) {
                    self.progress.attempts.not_carried(lease);
                }
                self.progress.reports.begin(lease, report);
                self.step(ctx, Input::Report { lease, outcome, proposal });
            }
            FetchFor::Rules(scheme) => {
                let proposal = report.proposal;
                let carried = report.outcome != Outcome::Failed(Fault::Proxy);
                self.progress.rules_uncarried =
                    if carried { 0 } else { self.progress.rules_uncarried.saturating_add(1) };
                if !carried && matches!(proposal.verdict, Verdict::GiveUp(_)) {
                    // The leases that wait for this robots.txt end with this failure.
                    report.outcome = Outcome::Failed(Fault::NoProxy);
                }
                let facts = FetchFacts::of(&report);
                let news = RulesNews { scheme, facts: &facts, proposal, hints: proposal.hints };
                take_in(&self.cx, &self.host, &self.kept.rules, &self.kept.state, &news);
                self.step(ctx, Input::Tick);
            }
        }
    }
}

/// Returns a host's standing among the hosts that wait for slots.
fn standing(state: &HostState) -> Standing {
    match (state.is_proven(), state.snapshot().in_flight) {
        (false, _) => Standing::Doubtful,
        (true, 0) => Standing::Connected,
        (true, _) => Standing::Proven,
    }
}

/// The shortest wait for which a host sleeps. A million hosts that wait less would make a hundred thousand requests a
/// second, so memory is no concern there.
const SLEEP_MIN: Duration = Duration::from_secs(10);
