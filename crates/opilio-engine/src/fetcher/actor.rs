//! The fetcher pool. It grants slots to hosts, runs their fetches, and reports the outcome of each fetch
//! together with a proposal of what to do next with the URL. The pool decides nothing about a URL itself.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::SendError;
use actix::{Actor, Addr, AsyncContext, Context, Handler, MessageResult, Recipient};
use futures_util::FutureExt;
use opilio_core::scheduling::{GroupBudgets, Slots, SlotsInput, SlotsOutput, Standing, Surroundings};
use opilio_core::{Blame, Fault, Group, Hints, Outcome, Timestamp};
use opilio_fetch::{Fetched, Fetcher};
use opilio_spider::reading::words_of_panic;

use super::answer::answer_of;
use crate::backlog::ParseBacklog;
use crate::clock::Clock;
use crate::death::DeathWatch;
use crate::message::{
    Advisor, AskSlot, AskSnapshot, Fetch, FetchFor, Lend, Lent, MoreSlots, PartSnapshot, Report, Returned,
    ShardCounts, SlotAnswer, SlotsBack, SlotsWanted, Take,
};
use crate::outbox::Outbox;
use crate::port::SchedulerPort;

/// A host that waits for a slot.
struct Waiter {
    answer: Recipient<SlotAnswer>,
    /// The host's group, if groups share a budget.
    group: Option<Group>,
}

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.answer == other.answer
    }
}

/// The arguments with which a pool is started.
pub(crate) struct PoolSetup {
    pub(crate) shard: usize,
    pub(crate) slots: u32,
    /// The most hosts that count as connected while they wait for a slot.
    pub(crate) connected_max: usize,
    /// The shared budgets of the groups of hosts, if groups have any.
    pub(crate) groups: GroupBudgets,
    pub(crate) clock: Clock,
    pub(crate) fetcher: Rc<Fetcher>,
    pub(crate) port: SchedulerPort,
    pub(crate) counts: Rc<Cell<ShardCounts>>,
    pub(crate) backlog: ParseBacklog,
    /// The longest time that a fetch may take, including its waits for memory. After this time the fetch is
    /// abandoned.
    pub(crate) fetch_max: Duration,
    pub(crate) wanted: Recipient<SlotsWanted>,
    pub(crate) lent: Recipient<Lent>,
    pub(crate) death: DeathWatch,
}

pub(crate) struct Pool {
    shard: usize,
    /// Decides which host is granted a slot next.
    slots: Slots<Waiter>,
    groups: GroupBudgets,
    returned: Returned,
    clock: Clock,
    fetcher: Rc<Fetcher>,
    port: SchedulerPort,
    counts: Rc<Cell<ShardCounts>>,
    backlog: ParseBacklog,
    fetch_max: Duration,
    wanted: Recipient<SlotsWanted>,
    lent: Outbox<Lent>,
    _death: DeathWatch,
}

impl Pool {
    /// Starts a pool on this thread.
    pub(crate) fn start(setup: PoolSetup) -> Addr<Self> {
        Actor::start(Self {
            shard: setup.shard,
            slots: Slots::new(setup.slots, setup.connected_max),
            groups: setup.groups,
            returned: Returned::default(),
            backlog: setup.backlog,
            fetch_max: setup.fetch_max,
            clock: setup.clock,
            fetcher: setup.fetcher,
            port: setup.port,
            counts: setup.counts,
            wanted: setup.wanted,
            lent: Outbox::new(setup.lent),
            _death: setup.death,
        })
    }

    /// Gives one input, if any, to the state of the slots, and performs all outputs of that state.
    fn step(&mut self, ctx: &mut Context<Self>, input: Option<SlotsInput<Waiter>>) {
        let timer = self.slots.wake_at();
        let now = self.clock.now();
        self.slots.handle(SlotsInput::Back(self.returned.take()));
        if let Some(input) = input {
            self.slots.handle(input);
        }
        let is_clogged = self.port.is_behind() || self.backlog.is_full();
        while let Some(output) =
            self.slots.poll(now, Surroundings { is_clogged, doubtful_out: self.returned.doubtful_out() })
        {
            self.perform(ctx, output);
        }
        match self.slots.wake_at() {
            Some(at) if timer != Some(at) => {
                ctx.run_later(at.since(now), |pool, ctx| pool.step(ctx, Some(SlotsInput::Tick)));
            }
            Some(_) | None => {}
        }
    }

    /// Answers the host that is granted a slot. If the host's mailbox is full, the host is answered later.
    fn grant(&mut self, ctx: &mut Context<Self>, standing: Standing, host: Waiter, is_short: bool) {
        let afforded = match &host.group {
            Some(group) => self.groups.spend(self.clock.now(), group),
            None => Ok(()),
        };
        let slot = self.returned.slot(standing, ctx.address().recipient());
        let answer = match afforded {
            Ok(()) => SlotAnswer::Granted { slot, is_short },
            // The slot is dropped here, which returns it to the pool.
            Err(until) => SlotAnswer::Denied { until },
        };
        match host.answer.try_send(answer) {
            Ok(()) => {}
            Err(SendError::Full(_)) => self.slots.handle(SlotsInput::Refused { standing, host }),
            // The host's actor has panicked while the host waited. The actor that replaces it asks for a slot
            // again.
            Err(SendError::Closed(_)) => {}
        }
    }

    fn perform(&mut self, ctx: &mut Context<Self>, output: SlotsOutput<Waiter>) {
        match output {
            SlotsOutput::Grant { standing, host, is_short } => self.grant(ctx, standing, host, is_short),
            SlotsOutput::Give { to, slots } => self.lent.send(Lent { to, slots }),
            SlotsOutput::AskOthers => {
                let _ = self.wanted.try_send(SlotsWanted { shard: self.shard });
            }
        }
    }
}

impl Actor for Pool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<AskSlot> for Pool {
    type Result = ();

    fn handle(&mut self, AskSlot { host, standing, group }: AskSlot, ctx: &mut Self::Context) {
        let host = Waiter { answer: host, group };
        self.step(ctx, Some(SlotsInput::Ask { standing, host }));
    }
}

impl Handler<AskSnapshot> for Pool {
    type Result = MessageResult<AskSnapshot>;

    fn handle(&mut self, _: AskSnapshot, _: &mut Self::Context) -> Self::Result {
        let (slots, granted) = (self.slots.owned(), self.slots.out());
        MessageResult(PartSnapshot::Pool { shard: self.shard, slots, granted })
    }
}

impl Handler<SlotsBack> for Pool {
    type Result = ();

    fn handle(&mut self, _: SlotsBack, ctx: &mut Self::Context) {
        self.step(ctx, None);
    }
}

impl Handler<MoreSlots> for Pool {
    type Result = ();

    fn handle(&mut self, MoreSlots(more): MoreSlots, ctx: &mut Self::Context) {
        self.step(ctx, Some(SlotsInput::More(more)));
    }
}

impl Handler<Take> for Pool {
    type Result = ();

    fn handle(&mut self, Take(level): Take, ctx: &mut Self::Context) {
        self.step(ctx, Some(SlotsInput::Intake(level)));
    }
}

impl Handler<Lend> for Pool {
    type Result = ();

    fn handle(&mut self, Lend { to }: Lend, ctx: &mut Self::Context) {
        self.step(ctx, Some(SlotsInput::Lend { to }));
    }
}

impl Handler<Fetch> for Pool {
    type Result = ();

    fn handle(&mut self, fetch: Fetch, _: &mut Self::Context) {
        self.clock.fault("fetcher pool");
        let fetcher = self.fetcher.clone();
        let fetch_max = self.fetch_max;
        let (counts, clock, backlog) = (self.counts.clone(), self.clock, self.backlog.clone());
        let Fetch { slot, what, request, advisor, reply } = fetch;
        // Each fetch runs in a task of its own: an actor would poll all its futures whenever one of them is
        // ready.
        actix::spawn(async move {
            // The fetch's own deadline does not count its waits for memory. But the host has to hear of the
            // end of the fetch before it regards the fetch as lost. So this second deadline counts the waits
            // for memory, too.
            // A task is moved several times before it runs, and the future of a fetch takes some 8 kB.
            let fetch = AssertUnwindSafe(Box::pin(fetcher.fetch(request))).catch_unwind();
            let ended = tokio::time::timeout(fetch_max, fetch).await;
            let seen = EndedFetch { what, advisor, now: clock.now(), unix_millis: clock.unix_millis() };
            let mut report = match ended {
                Ok(Ok(fetched)) => seen.report(fetched, &counts),
                Ok(Err(panic)) => seen.panicked(&words_of_panic(&*panic)),
                Err(_) => seen.lost(),
            };
            // The page is counted before the slot of its fetch is free for another fetch.
            report.waits = report.answer.is_some().then(|| backlog.wait());
            // The slot is given back before the host gets the report, so that the host can start the next fetch at
            // once.
            drop(slot);
            if let Err(SendError::Full(report)) = reply.try_send(report) {
                let _ = reply.send(report).await;
            }
        });
    }
}

/// A fetch that has ended, and the facts that its report needs.
struct EndedFetch {
    what: FetchFor,
    advisor: Advisor,
    now: Timestamp,
    unix_millis: i64,
}

impl EndedFetch {
    fn report(self, mut fetched: Fetched, counts: &Cell<ShardCounts>) -> Report {
        let (outcome, hints) = (fetched.outcome, fetched.hints);
        let mut now = counts.get();
        now.bytes += fetched.body.len() as u64;
        if fetched.cached {
            // The fetch was counted as a request when it began. But no request was sent, since the answer
            // came from the cache.
            now.requests = now.requests.saturating_sub(1);
            now.cached += 1;
        }
        now.refusals += u64::from(outcome.blame() == Blame::Refusal);
        counts.set(now);
        let (location, error) = (fetched.location.take(), fetched.error.take());
        let proposal = self.advisor.propose(self.now, outcome, hints);
        let answer = answer_of(fetched, self.unix_millis);
        Report { what: self.what, outcome, proposal, answer, location, error, waits: None }
    }

    /// Returns the report of a fetch that was abandoned. Whether the server has acted on the request is not
    /// known.
    fn lost(self) -> Report {
        self.failed(Fault::Lost, "it waited too long for memory".to_owned())
    }

    /// Returns the report of a fetch that panicked in the user's own transport. This failure counts against
    /// the URL and not against its host.
    fn panicked(self, words: &str) -> Report {
        self.failed(Fault::Middleware, format!("send the request by the transport: {words}"))
    }

    fn failed(self, fault: Fault, error: String) -> Report {
        let outcome = Outcome::Failed(fault);
        let proposal = self.advisor.propose(self.now, outcome, Hints::default());
        let (what, error) = (self.what, Some(error));
        Report { what, outcome, proposal, answer: None, location: None, error, waits: None }
    }
}

/// The most messages that wait in the pool's mailbox. A host whose message finds no room there sends it again
/// later.
const MAILBOX: usize = 4_096;
