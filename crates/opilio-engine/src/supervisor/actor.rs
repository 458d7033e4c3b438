//! The supervisor actor. It never waits for another actor: messages that do not fit into a mailbox wait in an
//! outbox.

use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use opilio_core::intake::{Advice, IntakeLevel};
use opilio_core::{Host, Timestamp};
use opilio_export::ExportError;
use opilio_spider::counts::Books;
use opilio_spider::run_history::Totals;
use opilio_spider::{PartSnapshot, Progress, Snapshot, Stopped};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::message::{
    ANSWER_MAX, ActorDied, AskSnapshot, Drain, Drained, FromScheduler, HostOrder, Lend, Lent, MoreSlots,
    OrderAnswer, OrderKind, OutputRefused, ShardCounts, ShardReport, SlotsWanted, Take, ToScheduler,
};
use crate::outbox::Outbox;
use crate::port::{SchedulerPort, SchedulerSenders};
use crate::runner::{OVERDUE, ParseWatch};
use crate::signals::Signals;
use crate::supervisor::intake::MemoryWatch;

/// The arguments with which a supervisor is started.
pub(crate) struct SupervisorSetup {
    pub(crate) plan: SupervisorPlan,
    pub(crate) clock: Clock,
    /// The totals of earlier runs of the crawl.
    pub(crate) before: Totals,
    pub(crate) scheduler: SchedulerSenders,
    pub(crate) ended: oneshot::Sender<Ended>,
}

/// The supervisor's part of the plan of a crawl, known before the crawl starts.
pub(crate) struct SupervisorPlan {
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) pages_max: Option<u64>,
    pub(crate) duration_max: Option<Duration>,
    pub(crate) memory: Option<MemoryWatch>,
    /// The signals that stop the crawl, if it catches any.
    pub(crate) signals: Option<Signals>,
}

/// The result of a crawl's actors when all of them have ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) stopped: Stopped,
    /// The total time for which the crawl was slowed because its memory was near the limit.
    pub(crate) slowed: Duration,
    /// The name of the actor whose panic ended the crawl.
    pub(crate) died: Option<&'static str>,
    /// The error of an output that could not write any item of this run.
    pub(crate) refused: Option<ExportError>,
}

/// The addresses of the actors of one shard, for the supervisor.
pub(crate) struct ShardLink {
    pub(crate) drain: Recipient<Drain>,
    pub(crate) lend: Recipient<Lend>,
    pub(crate) slots: Recipient<MoreSlots>,
    pub(crate) take: Recipient<Take>,
    pub(crate) watch: ParseWatch,
    /// The shard actor, its fetcher pool and its spider runner, which are asked for snapshots.
    pub(crate) status: [Recipient<AskSnapshot>; 3],
}

/// The commands that a running crawl receives from its handle and from the launching code.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Command {
    /// All shards have started: begin the crawl.
    Begin(Vec<ShardLink>),
    /// Start no more requests, and let the requests in flight end.
    Stop(Stopped),
    /// Give up the requests in flight, and end as soon as the store has closed.
    Abort,
    /// Ask every actor for its current state.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Send nothing to a host for this span from now on.
    Hold { host: Host, span: Duration, reply: oneshot::Sender<OrderAnswer> },
    /// Pass a message on to the scheduler.
    #[cfg(test)]
    Tell(ToScheduler),
}

pub(crate) struct Supervisor {
    plan: SupervisorPlan,
    clock: Clock,
    before: Totals,
    port: SchedulerPort,
    ended: Option<oneshot::Sender<Ended>>,
    shards: Vec<Shard>,
    books: Books,
    phase: Phase,
    /// Whether the scheduler has said, since this flag was last cleared, that it waits for a sink.
    sink_is_late: bool,
    died: Option<&'static str>,
    refused: Option<ExportError>,
}

struct Shard {
    drain: Outbox<Drain>,
    lend: Outbox<Lend>,
    slots: Outbox<MoreSlots>,
    take: Outbox<Take>,
    watch: ParseWatch,
    status: [Recipient<AskSnapshot>; 3],
    counts: ShardCounts,
    /// The time of the shard's last report of its counts.
    heard: Timestamp,
    drained: bool,
}

/// The phase of a crawl, from its start to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Running,
    Draining(Stopped),
    Closing(Stopped),
}

impl Supervisor {
    pub(crate) fn start(setup: SupervisorSetup) -> actix::Addr<Self> {
        let SupervisorSetup { plan, clock, before, scheduler, ended } = setup;
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            Self {
                plan,
                clock,
                before,
                // The supervisor has no counts of a shard to send.
                port: SchedulerPort::new(scheduler, Rc::default()),
                ended: Some(ended),
                shards: Vec::new(),
                books: Books::default(),
                phase: Phase::Running,
                sink_is_late: false,
                died: None,
                refused: None,
            }
        })
    }

    fn stop(&mut self, ctx: &mut Context<Self>, stopped: Stopped) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Draining(stopped);
        if stopped != Stopped::Finished {
            tracing::info!(why = ?stopped, "no more requests are started, and the requests in flight may end");
        }
        self.port.send(ToScheduler::Stop);
        for shard in &self.shards {
            shard.drain.send(Drain);
        }
        self.sink_is_late = false;
        ctx.run_later(DRAIN_MAX, Self::give_up_draining);
    }

    /// Stops the crawl because of a command. If the crawl already waits only for its sinks, this wait is ended.
    fn ordered_to_stop(&mut self, ctx: &mut Context<Self>, stopped: Stopped) {
        match self.phase {
            Phase::Running => self.stop(ctx, stopped),
            Phase::Draining(_) => self.phase = Phase::Draining(stopped),
            Phase::Closing(_) => self.port.hurry(),
        }
    }

    /// Gives up the requests in flight that did not end within the time for draining. While a sink is late, the
    /// crawl goes on waiting, unless it was interrupted.
    fn give_up_draining(&mut self, ctx: &mut Context<Self>) {
        let Phase::Draining(stopped) = self.phase else { return };
        if stopped != Stopped::Interrupted && std::mem::take(&mut self.sink_is_late) {
            ctx.run_later(DRAIN_MAX, Self::give_up_draining);
            return;
        }
        tracing::warn!("requests in flight did not end in time and are given up");
        self.close(stopped);
    }

    /// Closes the crawl: the scheduler settles the pages that are written, and syncs the store. The crawl no longer
    /// waits for requests in flight.
    fn close(&mut self, stopped: Stopped) {
        if !matches!(self.phase, Phase::Closing(_)) {
            self.phase = Phase::Closing(stopped);
            let drained = self.shards.iter().all(|shard| shard.drained);
            self.port.send(ToScheduler::Close { counts: Some(self.counts()), drained });
        }
        // Unless the crawl was interrupted, the scheduler waits for the sinks until they have written all rows.
        if stopped == Stopped::Interrupted {
            self.port.hurry();
        }
    }

    fn end(&mut self) {
        let stopped = match self.phase {
            Phase::Running => Stopped::Interrupted,
            Phase::Draining(stopped) | Phase::Closing(stopped) => stopped,
        };
        self.publish();
        if let Some(ended) = self.ended.take() {
            let slowed = self.plan.memory.as_ref().map_or(Duration::ZERO, MemoryWatch::slowed);
            let _ = ended.send(Ended { stopped, slowed, died: self.died, refused: self.refused.take() });
        }
    }

    fn counts(&self) -> ShardCounts {
        self.shards.iter().fold(ShardCounts::default(), |all, shard| all.plus(shard.counts))
    }

    fn publish(&self) {
        let counts = self.counts();
        let totals = self.before.plus(Totals { elapsed: self.clock.elapsed(), ..counts.totals() });
        let mut progress = Progress::of_books(self.books, &totals);
        progress.pages_max = self.plan.pages_max;
        progress.in_flight = counts.in_flight;
        progress.hosts = counts.hosts;
        progress.held = counts.held;
        progress.slowed = self.is_slowed();
        self.plan.progress.send_replace(progress);
    }

    /// Returns whether fewer requests than usual may be started, because the memory is near its limit.
    fn is_slowed(&self) -> bool {
        self.plan.memory.as_ref().is_some_and(|memory| memory.level() > IntakeLevel::Full)
    }

    fn look_around(&mut self, ctx: &mut Context<Self>) {
        self.publish();
        if self.plan.signals.as_ref().is_some_and(Signals::came) {
            self.signalled(ctx);
        }
        for shard in &self.shards {
            if let Some(url) = shard.watch.overdue(OVERDUE) {
                tracing::warn!(%url, "the spider's `parse` is still running on this page, and the other pages of its shard wait");
            }
        }
        if self.plan.duration_max.is_some_and(|max| self.clock.elapsed() >= max) {
            self.stop(ctx, Stopped::MaxDuration);
        }
    }

    /// Handles a signal. The first signal lets requests in flight end; the second one stops the crawl at once.
    fn signalled(&mut self, ctx: &mut Context<Self>) {
        match self.phase {
            Phase::Running => {
                tracing::warn!(
                    "stopping: requests in flight may end (within 10 s); a second signal ends them"
                );
                self.stop(ctx, Stopped::Signal);
            }
            Phase::Draining(stopped) => {
                self.close(stopped);
                self.port.hurry();
            }
            Phase::Closing(_) => self.port.hurry(),
        }
    }

    /// Measures the memory of the process, if there is a memory limit, and changes how much may be started.
    /// Measuring takes some microseconds, which delays no other actor, since messages to the supervisor come in
    /// batches.
    fn look_at_memory(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let under_way = self.under_way(now);
        let watch = self.plan.memory.as_mut().filter(|_| self.phase == Phase::Running);
        match watch.and_then(|memory| memory.look(now, under_way)) {
            None => {}
            Some(Advice::Take(level)) => {
                self.port.send(ToScheduler::Take(level));
                for shard in &self.shards {
                    shard.take.send(Take(level));
                }
            }
            Some(Advice::End) => self.stop(ctx, Stopped::MemoryLimit),
        }
    }

    /// Returns the number of fetches in flight and of fetched pages that are not settled yet, added up over all
    /// shards. A shard that has not reported its counts lately is busy, and counts as at least 1.
    fn under_way(&self, now: Timestamp) -> u32 {
        let of = |shard: &Shard| match now.since(shard.heard) < HEARD_MAX {
            true => shard.counts.under_way,
            false => shard.counts.under_way.max(1),
        };
        self.shards.iter().map(of).sum()
    }

    /// Asks every actor for its current state. An actor that does not answer in time is listed as missing.
    fn snapshot(&self, reply: oneshot::Sender<Snapshot>) {
        let phase = match self.phase {
            Phase::Running => "running",
            Phase::Draining(_) => "draining",
            Phase::Closing(_) => "closing",
        };
        let slowed = self.is_slowed();
        let mut snapshot = Snapshot::default();
        snapshot.parts.push(PartSnapshot::Supervisor { phase, slowed });
        let [scheduler, exporter] = self.port.ask();
        let names = ["shard", "fetcher pool", "spider runner"];
        let asked = self.shards.iter().enumerate().flat_map(|(number, shard)| {
            let named = names.iter().zip(&shard.status);
            named.map(move |(name, actor)| (format!("{name} {number}"), actor.send(AskSnapshot)))
        });
        let asked: Vec<_> = asked.collect();
        actix::spawn(async move {
            let answers = asked.into_iter().map(|(name, answer)| async move {
                (name, tokio::time::timeout(ANSWER_MAX, answer).await.ok().and_then(Result::ok))
            });
            let scheduler = tokio::time::timeout(ANSWER_MAX, scheduler);
            let exporter = tokio::time::timeout(ANSWER_MAX, exporter);
            let answers = futures_util::future::join_all(answers);
            let (scheduler, exporter, answers) = tokio::join!(scheduler, exporter, answers);
            let scheduler = ("scheduler".to_owned(), scheduler.ok().and_then(Result::ok));
            let exporter = ("exporter".to_owned(), exporter.ok().and_then(Result::ok));
            for (name, answer) in [scheduler, exporter].into_iter().chain(answers) {
                match answer {
                    Some(part) => snapshot.parts.push(part),
                    None => snapshot.missing.push(name),
                }
            }
            let _ = reply.send(snapshot);
        });
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
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK_EVERY, Self::look_around);
        if self.plan.memory.is_some() {
            ctx.run_interval(MEMORY_EVERY, Self::look_at_memory);
        }
        if let Some(max) = self.plan.duration_max {
            ctx.run_later(max, |supervisor, ctx| supervisor.stop(ctx, Stopped::MaxDuration));
        }
    }
}

impl Handler<Command> for Supervisor {
    type Result = ();

    fn handle(&mut self, command: Command, ctx: &mut Self::Context) {
        match command {
            Command::Begin(links) => {
                let now = self.clock.now();
                self.shards = links.into_iter().map(|link| Shard::new(link, now)).collect();
                // The memory is checked before the first request starts.
                self.look_at_memory(ctx);
                if self.phase != Phase::Running {
                    for shard in &self.shards {
                        shard.drain.send(Drain);
                    }
                }
            }
            Command::Stop(stopped) => self.ordered_to_stop(ctx, stopped),
            Command::Abort => {
                self.stop(ctx, Stopped::Interrupted);
                self.close(Stopped::Interrupted);
            }
            Command::Snapshot(reply) => self.snapshot(reply),
            Command::Hold { host, span, reply } => {
                let what = OrderKind::Hold { until: self.clock.now() + span };
                let order = HostOrder { host, what, reply: Some(reply) };
                self.port.send(ToScheduler::Order(order));
            }
            #[cfg(test)]
            Command::Tell(message) => self.port.send(message),
        }
    }
}

impl Handler<FromScheduler> for Supervisor {
    type Result = ();

    fn handle(&mut self, news: FromScheduler, ctx: &mut Self::Context) {
        match news {
            FromScheduler::Books(books) => self.books = books,
            FromScheduler::Over(stopped) => self.stop(ctx, stopped),
            FromScheduler::SinkIsLate => self.sink_is_late = true,
            FromScheduler::Broken | FromScheduler::Closed => self.end(),
        }
    }
}

impl Handler<ActorDied> for Supervisor {
    type Result = ();

    fn handle(&mut self, ActorDied { name }: ActorDied, ctx: &mut Self::Context) {
        tracing::error!(actor = name, "an actor panicked: the crawl ends, and can be resumed");
        self.died = self.died.or(Some(name));
        self.stop(ctx, Stopped::Interrupted);
        // The leases of the actor that panicked would never end, so the crawl does not wait for them.
        self.close(Stopped::Interrupted);
    }
}

impl Handler<OutputRefused> for Supervisor {
    type Result = ();

    fn handle(&mut self, OutputRefused(error): OutputRefused, ctx: &mut Self::Context) {
        self.refused.get_or_insert(error);
        self.stop(ctx, Stopped::Interrupted);
        self.close(Stopped::Interrupted);
    }
}

impl Handler<Drained> for Supervisor {
    type Result = ();

    fn handle(&mut self, Drained { shard, counts }: Drained, _: &mut Self::Context) {
        self.drained(shard, counts);
    }
}

impl Handler<ShardReport> for Supervisor {
    type Result = ();

    fn handle(&mut self, ShardReport { shard, counts }: ShardReport, _: &mut Self::Context) {
        self.clock.fault("supervisor");
        let now = self.clock.now();
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.counts = counts;
            shard.heard = now;
        }
    }
}

impl Handler<SlotsWanted> for Supervisor {
    type Result = ();

    fn handle(&mut self, SlotsWanted { shard: to }: SlotsWanted, _: &mut Self::Context) {
        for (shard, link) in self.shards.iter().enumerate() {
            if shard != to {
                link.lend.send(Lend { to });
            }
        }
    }
}

impl Handler<Lent> for Supervisor {
    type Result = ();

    fn handle(&mut self, Lent { to, slots }: Lent, _: &mut Self::Context) {
        if let Some(shard) = self.shards.get(to).filter(|_| slots > 0) {
            shard.slots.send(MoreSlots(slots));
        }
    }
}

impl Shard {
    fn new(link: ShardLink, now: Timestamp) -> Self {
        Self {
            drain: Outbox::new(link.drain),
            lend: Outbox::new(link.lend),
            slots: Outbox::new(link.slots),
            take: Outbox::new(link.take),
            watch: link.watch,
            status: link.status,
            counts: ShardCounts::default(),
            heard: now,
            drained: false,
        }
    }
}

/// The longest time that requests in flight may take to end after a stop, before they are given up. A stop may take
/// 10 s in all; the rest of that time is for writing.
const DRAIN_MAX: Duration = Duration::from_secs(7);
/// The most messages that wait in the supervisor's mailbox: enough for all that shards and scheduler may send at
/// the same time.
const MAILBOX: usize = 8_192;
/// The time between two rounds in which the supervisor publishes the progress and checks signals and time limits.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The time between two measurements of the memory of the process, if there is a memory limit.
const MEMORY_EVERY: Duration = Duration::from_millis(100);
/// A shard whose last report of counts is older than this counts as busy: something blocks its thread.
const HEARD_MAX: Duration = Duration::from_secs(1);
