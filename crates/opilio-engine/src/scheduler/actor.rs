//! The scheduler actor. It waits for nobody: what it has to send goes through outboxes.

use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use opilio_core::Host;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::message::{
    Assign, Books, Credit, Drain, FromShard, FromStore, Lend, Lent, ShardCounts, ShardReport, Slots,
    SlotsWanted, ToStore, Visit, Visited,
};
use crate::outbox::Outbox;
use crate::past::Totals;
use crate::report::Stopped;
use crate::runner::{OVERDUE, ParseWatch};
use crate::scheduler::Progress;
use crate::store::{StoreDoor, StorePort};

/// What a scheduler needs to begin.
pub(crate) struct SchedulerSetup {
    pub(crate) clock: Clock,
    pub(crate) store: StoreDoor,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) ended: tokio::sync::oneshot::Sender<Ended>,
    pub(crate) duration_max: Option<Duration>,
    /// How long a drain may take before what is under way is given up.
    pub(crate) drain_max: Duration,
    /// What earlier runs of the crawl have done.
    pub(crate) before: Totals,
}

/// How the actors' part of a crawl ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) stopped: Stopped,
}

/// A shard as the scheduler sees it.
pub(crate) struct ShardLink {
    pub(crate) assign: Recipient<Assign>,
    pub(crate) drain: Recipient<Drain>,
    pub(crate) visited: Recipient<Visited>,
    pub(crate) lend: Recipient<Lend>,
    pub(crate) slots: Recipient<Slots>,
    pub(crate) watch: ParseWatch,
}

/// What the outside may ask of a running crawl.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Command {
    /// The shards stand; begin.
    Begin(Vec<ShardLink>),
    /// Start nothing more, let what is under way end.
    Stop(Stopped),
    /// End at once.
    Abort,
}

pub(crate) struct Scheduler {
    setup: SchedulerParts,
    shards: Vec<Shard>,
    books: Books,
    phase: Phase,
}

struct SchedulerParts {
    clock: Clock,
    port: StorePort,
    progress: watch::Sender<Progress>,
    ended: Option<tokio::sync::oneshot::Sender<Ended>>,
    duration_max: Option<Duration>,
    drain_max: Duration,
    before: Totals,
}

struct Shard {
    assign: Outbox<Assign>,
    drain: Outbox<Drain>,
    visited: Outbox<Visited>,
    lend: Outbox<Lend>,
    slots: Outbox<Slots>,
    watch: ParseWatch,
    counts: ShardCounts,
    drained: bool,
}

/// Where a crawl stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Running,
    Draining(Stopped),
    Closing(Stopped),
}

impl Scheduler {
    pub(crate) fn start(setup: SchedulerSetup) -> actix::Addr<Self> {
        let SchedulerSetup { clock, store, progress, ended, duration_max, drain_max, before } = setup;
        let ended = Some(ended);
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            // It counts nothing itself.
            let port = StorePort::new(store, Rc::default());
            let setup = SchedulerParts { clock, port, progress, ended, duration_max, drain_max, before };
            Self { setup, shards: Vec::new(), books: Books::default(), phase: Phase::Running }
        })
    }

    fn stop(&mut self, ctx: &mut Context<Self>, stopped: Stopped) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Draining(stopped);
        self.setup.port.send(ToStore::Stop);
        for shard in &self.shards {
            shard.drain.send(Drain);
        }
        ctx.run_later(self.setup.drain_max, |scheduler, _| {
            if let Phase::Draining(stopped) = scheduler.phase {
                tracing::warn!("what is under way did not end in time and is given up");
                scheduler.close(stopped);
            }
        });
    }

    /// Nothing is under way any more: the store writes down what it has.
    fn close(&mut self, stopped: Stopped) {
        if !matches!(self.phase, Phase::Closing(_)) {
            self.phase = Phase::Closing(stopped);
            self.setup.port.send(ToStore::Close(self.counts()));
            self.setup.port.hurry();
        }
    }

    fn end(&mut self) {
        let stopped = match self.phase {
            Phase::Running => Stopped::Interrupted,
            Phase::Draining(stopped) | Phase::Closing(stopped) => stopped,
        };
        self.publish();
        if let Some(ended) = self.setup.ended.take() {
            let _ = ended.send(Ended { stopped });
        }
    }

    fn counts(&self) -> ShardCounts {
        self.shards.iter().fold(ShardCounts::default(), |all, shard| all.plus(shard.counts))
    }

    fn publish(&self) {
        let counts = self.counts();
        let totals = self.setup.before.and(counts, 0, self.setup.clock.elapsed());
        let Books { admitted, pages, aliases, failures, left, items } = self.books;
        self.setup.progress.send_replace(Progress {
            admitted,
            pages,
            aliases,
            failures,
            left,
            items,
            requests: totals.requests,
            retries: totals.retries,
            refusals: totals.refusals,
            bytes: totals.bytes,
            in_flight: counts.in_flight,
            hosts: counts.hosts,
            held: counts.held,
            elapsed: totals.elapsed,
        });
    }

    fn look_around(&mut self, ctx: &mut Context<Self>) {
        self.publish();
        for shard in &self.shards {
            if let Some(url) = shard.watch.overdue(OVERDUE) {
                tracing::warn!(%url, "parse is still running and keeps its shard waiting");
            }
        }
        if self.setup.duration_max.is_some_and(|max| self.setup.clock.elapsed() >= max) {
            self.stop(ctx, Stopped::MaxDuration);
        }
    }

    fn drained(&mut self, shard: usize, counts: ShardCounts) {
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.counts = counts;
            shard.drained = true;
        }
        if let Phase::Draining(stopped) = self.phase
            && self.shards.iter().all(|shard| shard.drained)
        {
            self.close(stopped);
        }
    }

    fn shard_of(&self, host: &Host) -> usize {
        host.group().shard(self.shards.len())
    }
}

impl Actor for Scheduler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK_EVERY, Self::look_around);
        if let Some(max) = self.setup.duration_max {
            ctx.run_later(max, |scheduler, ctx| scheduler.stop(ctx, Stopped::MaxDuration));
        }
    }
}

impl Handler<Command> for Scheduler {
    type Result = ();

    fn handle(&mut self, command: Command, ctx: &mut Self::Context) {
        match command {
            Command::Begin(links) => {
                self.shards = links.into_iter().map(Shard::new).collect();
                if self.phase != Phase::Running {
                    for shard in &self.shards {
                        shard.drain.send(Drain);
                    }
                }
            }
            Command::Stop(stopped) => self.stop(ctx, stopped),
            Command::Abort => {
                self.stop(ctx, Stopped::Interrupted);
                self.close(Stopped::Interrupted);
            }
        }
    }
}

impl Handler<FromStore> for Scheduler {
    type Result = ();

    fn handle(&mut self, news: FromStore, ctx: &mut Self::Context) {
        match news {
            FromStore::Leased(Assign { work, calls, kept }) => {
                let mut by_shard: Vec<Assign> = self.shards.iter().map(|_| Assign::default()).collect();
                for work in work {
                    by_shard[self.shard_of(&work.host)].work.push(work);
                }
                for call in calls {
                    by_shard[self.shard_of(&call.visit.host)].calls.push(call);
                }
                for (host, stamp) in kept {
                    by_shard[self.shard_of(&host)].kept.push((host, stamp));
                }
                for (shard, assign) in self.shards.iter().zip(by_shard) {
                    if !assign.is_empty() {
                        shard.assign.send(assign);
                    }
                }
            }
            FromStore::Books(books) => self.books = books,
            FromStore::Over(stopped) => self.stop(ctx, stopped),
            FromStore::Broken | FromStore::Closed => self.end(),
        }
    }
}

impl Handler<Credit> for Scheduler {
    type Result = ();

    fn handle(&mut self, Credit { host, leases }: Credit, _: &mut Self::Context) {
        if self.phase == Phase::Running {
            self.setup.port.send(ToStore::Want { host, leases });
        }
    }
}

impl Handler<FromShard> for Scheduler {
    type Result = ();

    fn handle(&mut self, news: FromShard, _: &mut Self::Context) {
        match news {
            // Through here and not straight from the shard, so that it cannot overtake a credit.
            FromShard::Passivated(passivated) => self.setup.port.send(ToStore::Unwant(passivated)),
            FromShard::Drained { shard, counts } => self.drained(shard, counts),
        }
    }
}

impl Handler<Visit> for Scheduler {
    type Result = ();

    fn handle(&mut self, visit: Visit, _: &mut Self::Context) {
        // By the store, since it keeps what a passive host remembers: its holds above all.
        self.setup.port.send(ToStore::Visit(visit));
    }
}

impl Handler<Visited> for Scheduler {
    type Result = ();

    fn handle(&mut self, visited: Visited, _: &mut Self::Context) {
        self.shards[self.shard_of(&visited.asker.host)].visited.send(visited);
    }
}

impl Handler<ShardReport> for Scheduler {
    type Result = ();

    fn handle(&mut self, ShardReport { shard, counts }: ShardReport, _: &mut Self::Context) {
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.counts = counts;
        }
    }
}

impl Handler<SlotsWanted> for Scheduler {
    type Result = ();

    fn handle(&mut self, SlotsWanted { shard: to }: SlotsWanted, _: &mut Self::Context) {
        for (shard, link) in self.shards.iter().enumerate() {
            if shard != to {
                link.lend.send(Lend { to });
            }
        }
    }
}

impl Handler<Lent> for Scheduler {
    type Result = ();

    fn handle(&mut self, Lent { to, slots }: Lent, _: &mut Self::Context) {
        if let Some(shard) = self.shards.get(to).filter(|_| slots > 0) {
            shard.slots.send(Slots(slots));
        }
    }
}

impl Shard {
    fn new(link: ShardLink) -> Self {
        Self {
            assign: Outbox::new(link.assign),
            drain: Outbox::new(link.drain),
            visited: Outbox::new(link.visited),
            lend: Outbox::new(link.lend),
            slots: Outbox::new(link.slots),
            watch: link.watch,
            counts: ShardCounts::default(),
            drained: false,
        }
    }
}

/// Room for what shards and store may say at once.
const MAILBOX: usize = 8_192;
/// How often the scheduler tells people where the crawl stands.
const LOOK_EVERY: Duration = Duration::from_millis(200);
