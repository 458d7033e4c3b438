//! The desk between the actors and the frontier.
//!
//! Every turn takes all that has come in, as one batch: (1) admit the links, (2) hand the rows to
//! the exporter under the next number, (3) settle the prefix that the sinks have written, (4) lease
//! what hosts want, (5) tell everybody. A short pause after a busy turn lets the next batch grow,
//! so that nobody is woken per page.

mod leasing;
mod sinks;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::{Message, Recipient};
use bytes::Bytes;
use opilio_core::scheduling::{Dispatch, DispatchInput, DispatchLimits};
use opilio_core::{Ending, Host, LeaseId, SinkPosition};
use opilio_frontier::{Failure, Frontier, FrontierError, FrontierStats, Settlement};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::exporter::{Rows, Written};
use crate::message::{
    Books, FromStore, Parsed, Passivated, Remember, Settled, ShardCounts, Stamp, ToStore, Visit,
};
use crate::past::{self, RunState, Totals};
use crate::report::{FAILURES_MAX, Stopped};
use crate::scope::Hosts;
use crate::settings::Settings;
use crate::store::KeptCookies;
use crate::store::known::KnownSteps;
use crate::store::names::Names;
use sinks::Batch;

/// What a desk needs to begin.
pub(crate) struct DeskSetup {
    pub(crate) frontier: Box<dyn Frontier>,
    pub(crate) exporter: mpsc::Sender<Rows>,
    pub(crate) written: mpsc::Receiver<Written>,
    pub(crate) scheduler: Recipient<FromStore>,
    pub(crate) shards: Vec<Recipient<Settled>>,
    pub(crate) closed_hosts: mpsc::Receiver<Remember>,
    pub(crate) hurry: Arc<Notify>,
    pub(crate) clock: Clock,
    pub(crate) pages_max: Option<u64>,
    pub(crate) hosts_max: u32,
    pub(crate) queued: Option<QueuedScope>,
    pub(crate) cookies: Option<KeptCookies>,
    pub(crate) shapes: HashSet<u64>,
    pub(crate) before: Totals,
    pub(crate) syncing: Syncing,
}

/// The scope that what earlier runs queued has to be in.
pub(crate) struct QueuedScope {
    pub(crate) settings: Arc<Settings>,
    pub(crate) hosts: Hosts,
}

/// When what is committed is made to survive a power cut, too: sinks first, then the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Syncing {
    /// When the run ends.
    AtTheEnd,
    /// That often, while there is something new.
    #[cfg_attr(not(feature = "disk"), expect(dead_code, reason = "only a store in a directory asks for it"))]
    Every(Duration),
    /// With each batch of pages, before it is settled.
    EachTime,
}

/// What the store knows when all is over.
pub(crate) struct StoreOutcome {
    pub(crate) stats: FrontierStats,
    /// The oldest [`FAILURES_MAX`] of them.
    pub(crate) failures: Vec<Failure>,
    pub(crate) totals: Totals,
}

pub(crate) struct Desk {
    frontier: Box<dyn Frontier>,
    exporter: mpsc::Sender<Rows>,
    written: mpsc::Receiver<Written>,
    scheduler: Recipient<FromStore>,
    shards: Vec<Recipient<Settled>>,
    clock: Clock,
    /// What is leased is judged once more: earlier runs may have queued it in another scope.
    queued: Option<QueuedScope>,
    cookies: Option<KeptCookies>,
    /// Shapes of steps that the store has a sample of.
    shapes: HashSet<u64>,
    known: KnownSteps,
    /// Somebody has been told that no output takes the items.
    told_of_items: bool,

    /// Who gets leases next.
    dispatch: Dispatch,
    /// The store has more redirected URLs that are decided: another turn is due at once.
    more_decided: bool,
    /// What hosts remember, not written down yet.
    memories: HashMap<Host, Bytes>,
    /// Passive hosts to confirm to their shards, once it is.
    kept: Vec<(Host, Stamp)>,
    /// Visits that came in this turn.
    visits: Vec<Visit>,
    /// Hosts that were closed: beside the inbox, so that no slow sink makes them wait.
    closed_hosts: mpsc::Receiver<Remember>,
    sequence: u64,
    /// Batches whose rows are on their way to the sinks, in sequence.
    unwritten: VecDeque<Batch>,
    unwritten_bytes: usize,
    /// Rung when the run is to close: no sink is waited for any longer than it may take then.
    hurry: Arc<Notify>,
    close_at: Option<Instant>,
    /// A batch could not be handed over any more. None that follows may be: the sequence is a prefix.
    cut_off: bool,
    /// Leases that are parsed and wait for their rows: a second report of one is dropped.
    parsed: HashSet<LeaseId>,
    seeded: bool,
    over: bool,
    /// All hosts have gone passive, and what they remember is here.
    drained: bool,
    /// What earlier runs did, what each shard of this one had counted when it last gave something,
    /// and the items that are settled.
    before: Totals,
    counts: Vec<ShardCounts>,
    items: u64,
    /// Sitemaps that are settled: the store counts them as pages.
    sitemaps: u64,
    syncing: Syncing,
    /// When what was committed since the last sync is to be synced.
    sync_due: Option<Instant>,
    /// Canonical names that pages stand for.
    names: Names,
    /// Redirected URLs that are out to end as the known ones did that they led to.
    decided: HashSet<LeaseId>,
}

impl Desk {
    pub(crate) fn new(setup: DeskSetup) -> Self {
        Self {
            counts: vec![ShardCounts::default(); setup.shards.len()],
            before: setup.before,
            syncing: setup.syncing,
            sync_due: None,
            frontier: setup.frontier,
            exporter: setup.exporter,
            written: setup.written,
            scheduler: setup.scheduler,
            shards: setup.shards,
            clock: setup.clock,
            dispatch: Dispatch::new(DispatchLimits {
                pages_max: setup.pages_max,
                hosts_max: setup.hosts_max,
            }),
            more_decided: false,
            queued: setup.queued,
            cookies: setup.cookies,
            shapes: setup.shapes,
            known: KnownSteps::default(),
            told_of_items: false,
            memories: HashMap::new(),
            kept: Vec::new(),
            visits: Vec::new(),
            closed_hosts: setup.closed_hosts,
            sequence: 0,
            unwritten: VecDeque::new(),
            unwritten_bytes: 0,
            hurry: setup.hurry,
            close_at: None,
            cut_off: false,
            parsed: HashSet::new(),
            seeded: false,
            over: false,
            drained: false,
            items: 0,
            sitemaps: 0,
            names: Names::default(),
            decided: HashSet::new(),
        }
    }

    /// Serves until it is told to close, or the store or a sink fails.
    pub(crate) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<ToStore>,
    ) -> Result<StoreOutcome, FrontierError> {
        let alarm = Alarm(self.scheduler.clone());
        let result = self.serve(&mut inbox).await;
        drop(alarm);
        let last = if result.is_ok() { FromStore::Closed } else { FromStore::Broken };
        let _ = deliver(&self.scheduler, last).await;
        result?;
        let stats = self.frontier.stats();
        let failures = self.frontier.failures(0, FAILURES_MAX)?;
        Ok(StoreOutcome { stats, failures, totals: self.totals() })
    }

    async fn serve(&mut self, inbox: &mut mpsc::Receiver<ToStore>) -> Result<(), FrontierError> {
        let mut messages = Vec::new();
        let mut close = false;
        while !close {
            let due = self.frontier.next_due().map(|at| self.clock.instant(at));
            tokio::select! {
                count = inbox.recv_many(&mut messages, TURN_MAX) => if count == 0 { close = true },
                written = self.written.recv() => match written {
                    Some(written) => self.settle(written).await?,
                    // The exporter ended early: a sink failed, and it has said so itself.
                    None => break,
                },
                Some(remember) = self.closed_hosts.recv() => self.remember(remember),
                () = sleep_until(due), if due.is_some() => {}
                () = tokio::task::yield_now(), if self.has_more() => {}
                () = sleep_until(self.sync_due), if self.sync_due.is_some() => self.begin_sync().await?,
            }
            while let Ok(written) = self.written.try_recv() {
                self.settle(written).await?;
            }
            while let Ok(remember) = self.closed_hosts.try_recv() {
                self.remember(remember);
            }
            self.clock.fault("store");
            let busy = !messages.is_empty();
            close |= self.take(&mut messages).await?;
            self.lease().await?;
            self.tell().await;
            if busy && !close {
                tokio::time::sleep(GATHER).await;
            }
        }
        self.close().await
    }

    /// Takes in one batch of messages; tells whether it is time to close.
    async fn take(&mut self, messages: &mut Vec<ToStore>) -> Result<bool, FrontierError> {
        let mut admissions = Vec::new();
        let mut pages = Vec::new();
        let mut close = false;
        for message in messages.drain(..) {
            match message {
                ToStore::Seeds(batch) => admissions.extend(batch),
                ToStore::Seeded => self.seeded = true,
                ToStore::Want { host, leases } => self.dispatch.handle(DispatchInput::Want { host, leases }),
                ToStore::Unwant(Passivated { host, memory, stamp }) => {
                    self.memories.insert(host.clone(), memory);
                    self.kept.push((host.clone(), stamp));
                    self.dispatch.handle(DispatchInput::Passivated(host));
                }
                ToStore::Visit(visit) => self.visits.push(visit),
                ToStore::Parsed(parsed, counts) => {
                    self.counts[parsed.shard] = counts;
                    self.decided.remove(&parsed.lease);
                    // A lease that expired and was fetched again may report twice: the first counts.
                    if self.frontier.is_out(parsed.lease) && self.parsed.insert(parsed.lease) {
                        pages.push(self.merged(*parsed));
                    }
                }
                ToStore::Take(level) => self.dispatch.handle(DispatchInput::Intake(level)),
                ToStore::Stop => self.dispatch.handle(DispatchInput::Stop),
                ToStore::Close { counts, drained } => {
                    // What was counted beside what was given, too.
                    if let Some(counts) = counts {
                        self.counts.fill(ShardCounts::default());
                        self.counts[0] = counts;
                    }
                    self.drained = drained;
                    close = true;
                }
            }
        }
        self.keep_memories()?;
        for page in &mut pages {
            if let Some(host) = page.grows.take() {
                // With the links of its page, or before.
                self.frontier.keep_listed(past::GROWN, host.as_str());
            }
            past::keep_samples(&mut *self.frontier, &mut self.shapes, std::mem::take(&mut page.samples));
            admissions.append(&mut page.links);
        }
        if !admissions.is_empty() {
            self.known.meet(&admissions);
            self.frontier.admit(admissions)?;
            self.committed();
        }
        self.hand_over(pages).await?;
        Ok(close)
    }

    /// Takes what a host remembers. Called before what came over the inbox is looked at: should the
    /// host have gone passive since, what it remembered then replaces this.
    fn remember(&mut self, Remember { host, memory }: Remember) {
        self.memories.insert(host, memory);
    }

    /// Writes down what hosts remember, in one commit.
    fn keep_memories(&mut self) -> Result<(), FrontierError> {
        if !self.memories.is_empty() {
            self.note();
            self.frontier.keep_hosts(self.memories.drain().collect())?;
            self.committed();
        }
        Ok(())
    }

    /// A page whose name another one has taken ends as its alias. Its links count all the same: should
    /// the site be wrong about names, that hides items, and no page.
    ///
    /// A name is taken here, and by a page that will be settled as one: so no page gives way to one
    /// that fails, and whether the named URL itself can be fetched does not matter.
    fn merged(&mut self, mut page: Parsed) -> Parsed {
        let names = std::mem::take(&mut page.names);
        let own: Vec<_> = names.iter().map(|name| name.fingerprint).collect();
        let taken = names.iter().position(|name| self.names.has(name.fingerprint));
        match taken.and_then(|at| names.into_iter().nth(at)) {
            Some(name) => {
                page.ending = Ending::Alias;
                page.rows = name.alias_rows;
                page.items = 0;
            }
            None => own.into_iter().for_each(|name| self.names.take(name)),
        }
        page
    }

    /// Settles in one commit with the sinks' positions, the clock and the totals.
    fn commit(
        &mut self,
        settlements: Vec<Settlement>,
        positions: &[SinkPosition],
    ) -> Result<opilio_frontier::Settled, FrontierError> {
        self.note();
        let settled = self.frontier.settle(settlements, positions, self.clock.now())?;
        if settled.over > 0 {
            self.committed();
        }
        Ok(settled)
    }

    /// Has the clock and the totals go along with the next commit.
    fn note(&mut self) {
        let totals = self.totals();
        past::note_run(&mut *self.frontier, self.clock.now(), totals, RunState::Running);
    }

    /// What all runs have done, up to what the shards of this one told last.
    fn totals(&self) -> Totals {
        let counts = self.counts.iter().fold(ShardCounts::default(), |all, counts| all.plus(*counts));
        let totals = self.before.and(counts, self.items, self.known.others(), self.clock.elapsed());
        Totals { sitemaps: self.sitemaps(), ..totals }
    }

    /// Sitemaps that all runs have read to their end.
    fn sitemaps(&self) -> u64 {
        self.before.sitemaps + self.sitemaps
    }

    /// Something new is in the store: it is to be synced some time.
    fn committed(&mut self) {
        if let Syncing::Every(span) = self.syncing {
            self.sync_due.get_or_insert_with(|| Instant::now() + span);
        }
    }

    /// Has the sinks synced; the store follows when they have said so.
    async fn begin_sync(&mut self) -> Result<(), FrontierError> {
        self.sync_due = None;
        self.send_rows(Batch::default(), true).await
    }

    async fn tell_settled(&mut self, whose: Vec<(usize, Host, LeaseId)>) {
        let mut by_shard: Vec<HashMap<Host, Vec<LeaseId>>> = vec![HashMap::new(); self.shards.len()];
        for (shard, host, lease) in whose {
            self.parsed.remove(&lease);
            by_shard[shard].entry(host).or_default().push(lease);
        }
        for (shard, hosts) in by_shard.into_iter().enumerate() {
            if !hosts.is_empty() {
                let _ = deliver(&self.shards[shard], Settled(hosts.into_iter().collect())).await;
            }
        }
    }

    /// The books for people, and whether the crawl is over.
    async fn tell(&mut self) {
        let stats = self.frontier.stats();
        let books = Books {
            admitted: stats.admitted,
            pages: stats.pages.saturating_sub(self.sitemaps()),
            sitemaps: self.sitemaps(),
            aliases: stats.aliases,
            failures: stats.failures_total(),
            left: stats.left,
            items: self.before.items + self.items,
        };
        // A lost one is made good by the next.
        let _ = self.scheduler.try_send(FromStore::Books(books));
        if self.over || !self.seeded {
            return;
        }
        let stopped = if stats.left == 0 {
            Stopped::Finished
        } else if self.dispatch.is_at_its_limit(leasing::counts(&stats, self.sitemaps())) {
            Stopped::MaxPages
        } else {
            return;
        };
        self.over = true;
        let _ = deliver(&self.scheduler, FromStore::Over(stopped)).await;
    }
}

/// Tells the scheduler when a store panics: nobody else would.
struct Alarm(Recipient<FromStore>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.try_send(FromStore::Broken);
        }
    }
}

/// Puts a message into a bounded mailbox, waiting while it is full. Those mailboxes are emptied by
/// actors that never wait for the store, so this ends.
async fn deliver<M>(to: &Recipient<M>, message: M) -> Result<(), ()>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    let mut message = message;
    loop {
        match to.try_send(message) {
            Ok(()) => return Ok(()),
            Err(actix::prelude::SendError::Full(back)) => message = back,
            Err(actix::prelude::SendError::Closed(_)) => return Err(()),
        }
        tokio::time::sleep(GATHER).await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}

/// Messages that one turn takes at the most.
const TURN_MAX: usize = 1_024;
/// How long a busy desk lets the next batch grow.
const GATHER: Duration = Duration::from_millis(1);
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests;
