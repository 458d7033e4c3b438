//! The pool: grants slots to hosts in the order in which they could start, runs their fetches, and
//! reports what happened with a proposed verdict. It decides nothing about a URL.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix::prelude::SendError;
use actix::{Actor, Addr, AsyncContext, Context, Handler, Recipient};
use futures_util::FutureExt;
use opilio_core::intake::IntakeLevel;
use opilio_core::{Blame, Fault, Hints, Outcome, Timestamp};
use opilio_fetch::{Connection, Fetched, Fetcher};

use super::kept::{Connections, Keeping};
use crate::clock::Clock;
use crate::death::{DeathWatch, words_of_panic};
use crate::fetcher::queue::Queue;
use crate::fetcher::{Advisor, Slot, Standing};
use crate::message::{
    AskSlot, Errand, Fetch, Granted, Lend, Lent, Report, ShardCounts, Slots, SlotsBack, SlotsWanted, Take,
};
use crate::outbox::Outbox;
use crate::page::Answer;
use crate::runner::Hand;
use crate::store::StorePort;

/// What a pool needs to begin.
pub(crate) struct PoolSetup {
    pub(crate) shard: usize,
    pub(crate) slots: u32,
    /// Connections that may be kept open for later.
    pub(crate) connections: usize,
    pub(crate) clock: Clock,
    pub(crate) fetcher: Rc<Fetcher>,
    pub(crate) port: StorePort,
    pub(crate) counts: Rc<Cell<ShardCounts>>,
    pub(crate) hand: Hand,
    /// A fetch that takes longer, waits for memory included, is given up.
    pub(crate) fetch_max: Duration,
    pub(crate) wanted: Recipient<SlotsWanted>,
    pub(crate) lent: Recipient<Lent>,
    pub(crate) death: DeathWatch,
}

pub(crate) struct Pool {
    shard: usize,
    free: u32,
    /// Slots of this shard by right, and those that it has now; more than its own are borrowed.
    share: u32,
    owned: u32,
    /// Who is owed borrowed slots as they come back.
    debt: Option<(usize, u32)>,
    /// Slots that came back since the last look.
    back: Arc<AtomicU32>,
    waiting: Queue<Recipient<Granted>>,
    /// How many of its slots may be used, as memory goes.
    level: IntakeLevel,
    /// Slots that doubtful hosts hold.
    doubtful: Arc<AtomicU32>,
    connections: Rc<RefCell<Connections>>,
    clock: Clock,
    fetcher: Rc<Fetcher>,
    port: StorePort,
    counts: Rc<Cell<ShardCounts>>,
    hand: Hand,
    fetch_max: Duration,
    wanted: Recipient<SlotsWanted>,
    lent: Outbox<Lent>,
    /// A look is due at what could not be granted: slots were asked for elsewhere, or the store is
    /// behind.
    looking: bool,
    _death: DeathWatch,
}

impl Pool {
    /// Starts a pool on this thread.
    pub(crate) fn start(setup: PoolSetup) -> Addr<Self> {
        Actor::start(Self {
            shard: setup.shard,
            free: setup.slots,
            share: setup.slots,
            owned: setup.slots,
            debt: None,
            hand: setup.hand,
            fetch_max: setup.fetch_max,
            back: Arc::default(),
            waiting: Queue::default(),
            level: IntakeLevel::Full,
            doubtful: Arc::default(),
            connections: Rc::new(RefCell::new(Connections::new(setup.connections))),
            clock: setup.clock,
            fetcher: setup.fetcher,
            port: setup.port,
            counts: setup.counts,
            wanted: setup.wanted,
            lent: Outbox::new(setup.lent),
            looking: false,
            _death: setup.death,
        })
    }

    fn grant(&mut self, ctx: &mut Context<Self>) {
        self.collect();
        let clogged = self.port.is_clogged() || self.hand.is_full();
        let usable = self.level.of(self.owned);
        while self.free > 0 && !clogged {
            if self.owned - self.free >= usable {
                // As much as memory allows: a slot that comes back, or another level, brings it here again.
                return;
            }
            let doubtful_out = self.doubtful.load(Ordering::Acquire);
            let Some((standing, host)) = self.waiting.pop(usable, doubtful_out) else { break };
            self.free -= 1;
            let counted = (standing == Standing::Doubtful).then(|| self.doubtful.clone());
            let slot = Slot::new(self.back.clone(), ctx.address().recipient(), counted);
            match host.try_send(Granted(slot)) {
                Ok(()) => {}
                // The slot comes back by itself.
                Err(SendError::Full(_)) => {
                    self.waiting.push(standing, host);
                    break;
                }
                // It died while it waited; its successor asks anew.
                Err(SendError::Closed(_)) => {}
            }
        }
        if self.waiting.is_empty() || self.looking || self.level == IntakeLevel::Paused {
            return;
        }
        if !clogged {
            let _ = self.wanted.try_send(SlotsWanted { shard: self.shard });
        }
        self.looking = true;
        let pause = if clogged { CLOGGED } else { STARVED };
        ctx.run_later(pause, |pool, ctx| {
            pool.looking = false;
            pool.grant(ctx);
        });
    }
}

impl Pool {
    /// Counts what came back, and pays what is owed before anything is granted.
    fn collect(&mut self) {
        self.free += self.back.swap(0, Ordering::AcqRel);
        if let Some((to, owed)) = self.debt.take() {
            let paid = owed.min(self.free);
            self.give(to, paid);
            self.debt = (paid < owed).then(|| (to, owed - paid));
        }
    }

    fn give(&mut self, to: usize, slots: u32) {
        if slots > 0 {
            self.free -= slots;
            self.owned -= slots;
            self.lent.send(Lent { to, slots });
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

    fn handle(&mut self, AskSlot { host, standing }: AskSlot, ctx: &mut Self::Context) {
        self.waiting.push(standing, host);
        self.grant(ctx);
    }
}

impl Handler<SlotsBack> for Pool {
    type Result = ();

    fn handle(&mut self, _: SlotsBack, ctx: &mut Self::Context) {
        self.grant(ctx);
    }
}

impl Handler<Slots> for Pool {
    type Result = ();

    fn handle(&mut self, Slots(more): Slots, ctx: &mut Self::Context) {
        self.free += more;
        self.owned += more;
        self.grant(ctx);
    }
}

impl Handler<Take> for Pool {
    type Result = ();

    fn handle(&mut self, Take(level): Take, ctx: &mut Self::Context) {
        self.level = level;
        self.grant(ctx);
    }
}

impl Handler<Lend> for Pool {
    type Result = ();

    fn handle(&mut self, Lend { to }: Lend, _: &mut Self::Context) {
        self.collect();
        if self.waiting.is_empty() {
            return self.give(to, self.free);
        }
        // Whoever asks for its own gets it as soon as the borrowed slots come back.
        let borrowed = self.owned.saturating_sub(self.share);
        if borrowed > 0 {
            self.debt = Some((to, borrowed));
            self.collect();
        }
    }
}

impl Handler<Fetch> for Pool {
    type Result = ();

    fn handle(&mut self, fetch: Fetch, _: &mut Self::Context) {
        self.clock.fault("fetcher pool");
        let fetcher = self.fetcher.clone();
        let fetch_max = self.fetch_max;
        let (counts, clock) = (self.counts.clone(), self.clock);
        let Fetch { slot, what, mut order, advisor, reply } = fetch;
        let kept = match order.connection {
            Connection::Keep => Keeping::begin(&self.connections, self.clock, &order.url),
            Connection::Close | Connection::Fresh => None,
        };
        if kept.is_none() && order.connection == Connection::Keep {
            order.connection = Connection::Close;
        }
        // A task and not a future of this actor: an actor polls all its futures whenever one wakes.
        actix::spawn(async move {
            // Waits for memory do not count against the fetch's own deadline, but the host expects its
            // lease back: it must hear of the end before it takes the fetch for lost.
            let fetch = AssertUnwindSafe(fetcher.fetch(order)).catch_unwind();
            let ended = tokio::time::timeout(fetch_max, fetch).await;
            let seen = Seen { what, advisor, now: clock.now() };
            let report = match ended {
                Ok(Ok(fetched)) => seen.report(fetched, &counts),
                Ok(Err(panic)) => seen.panicked(&words_of_panic(&*panic)),
                Err(_) => seen.lost(),
            };
            drop(kept);
            // The slot is free before the host hears of it, so that it can start the next one at once.
            drop(slot);
            if let Err(SendError::Full(report)) = reply.try_send(report) {
                let _ = reply.send(report).await;
            }
        });
    }
}

/// A fetch that has ended: makes its report.
struct Seen {
    what: Errand,
    advisor: Advisor,
    now: Timestamp,
}

impl Seen {
    fn report(self, mut fetched: Fetched, counts: &Cell<ShardCounts>) -> Report {
        let (outcome, hints) = (fetched.outcome, fetched.hints);
        let mut now = counts.get();
        now.bytes += fetched.body.len() as u64;
        if fetched.cached {
            // It was counted as a request when it began.
            now.requests = now.requests.saturating_sub(1);
            now.cached += 1;
        }
        now.refusals += u64::from(outcome.blame() == Blame::Refusal);
        counts.set(now);
        let (location, error) = (fetched.location.take(), fetched.error.take());
        let proposal = self.advisor.propose(self.now, outcome, hints);
        Report { what: self.what, outcome, proposal, answer: Answer::of(fetched), location, error }
    }

    /// The fetch was given up: it is not known whether the server acted on it.
    fn lost(self) -> Report {
        self.failed(Fault::Lost, "it waited too long for memory".to_owned())
    }

    /// The fetch panicked, in the user's own transport: the URL pays, and no other.
    fn panicked(self, words: &str) -> Report {
        self.failed(Fault::Middleware, format!("send the request by the transport: {words}"))
    }

    fn failed(self, fault: Fault, error: String) -> Report {
        let outcome = Outcome::Failed(fault);
        let proposal = self.advisor.propose(self.now, outcome, Hints::default());
        Report { what: self.what, outcome, proposal, answer: None, location: None, error: Some(error) }
    }
}

/// Room for a message of each live host; more of them wait in the hosts' own state.
const MAILBOX: usize = 4_096;
/// How soon a starved pool asks the other shards again.
const STARVED: Duration = Duration::from_millis(20);
/// How soon a pool looks whether the store has caught up.
const CLOGGED: Duration = Duration::from_millis(1);
