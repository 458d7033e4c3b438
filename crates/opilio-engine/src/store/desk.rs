//! The desk between the actors and the frontier.
//!
//! Every turn takes all that has come in, as one batch: (1) admit the links, (2) hand the rows to
//! the exporter under the next number, (3) settle the prefix that the sinks have written, (4) lease
//! what hosts want, (5) tell everybody. A short pause after a busy turn lets the next batch grow,
//! so that nobody is woken per page.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::{Message, Recipient};
use bytes::Bytes;
use opilio_core::intake::Level;
use opilio_core::{Ending, Host, Lease, LeaseId, Reason, SinkPosition, Timestamp};
use opilio_frontier::{Failure, Fetched, Frontier, FrontierError, FrontierStats, Settlement, Want};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::exporter::{Rows, Written};
use crate::message::{
    Assign, Books, Call, FromStore, Next, Parsed, Passivated, Remember, Settled, ShardCounts, Stamp, ToStore,
    Visit, Work,
};
use crate::past::{self, RunState, Totals};
use crate::report::{FAILURES_MAX, Stopped};
use crate::store::names::Names;

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
    pub(crate) before: Totals,
    pub(crate) syncing: Syncing,
}

/// When what is committed is made to survive a power cut, too: sinks first, then the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Syncing {
    /// When the run ends.
    AtTheEnd,
    /// That often, while there is something new.
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
    pages_max: Option<u64>,
    hosts_max: u32,

    /// Live hosts that have room, and how much.
    wants: HashMap<Host, u32>,
    /// Those of them to try in this turn: the want is new, or the host has come to have work.
    try_now: Vec<Host>,
    live: HashSet<Host>,
    /// Hosts with work that are not live, in their order. The rest of them stays with the store.
    ready: VecDeque<Host>,
    /// Another turn is due at once: the store has more of them and there is room, or some may come alive.
    more_ready: bool,
    /// Live hosts that have not been served yet: should nothing be due for one, it is live no more.
    waking: HashSet<Host>,
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
    stopped: bool,
    over: bool,
    /// All hosts have gone passive, and what they remember is here.
    drained: bool,
    /// How much to hand out, as memory goes, and how many hosts were live when that first mattered.
    level: Level,
    live_then: usize,
    /// What earlier runs did, what each shard of this one had counted when it last gave something,
    /// and the items that are settled.
    before: Totals,
    counts: Vec<ShardCounts>,
    items: u64,
    syncing: Syncing,
    /// When what was committed since the last sync is to be synced.
    sync_due: Option<Instant>,
    /// Canonical names that pages stand for.
    names: Names,
}

/// Leases whose rows travel under one number.
#[derive(Default)]
struct Batch {
    sequence: u64,
    settlements: Vec<Settlement>,
    whose: Vec<(usize, Host, LeaseId)>,
    rows: Vec<Vec<u8>>,
    rows_bytes: usize,
    items: u64,
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
            pages_max: setup.pages_max,
            hosts_max: setup.hosts_max,
            wants: HashMap::new(),
            try_now: Vec::new(),
            live: HashSet::new(),
            ready: VecDeque::new(),
            more_ready: false,
            waking: HashSet::new(),
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
            stopped: false,
            over: false,
            drained: false,
            level: Level::Full,
            live_then: 0,
            items: 0,
            names: Names::default(),
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
                () = tokio::task::yield_now(), if self.more_ready => {}
                () = sleep_until(self.sync_due), if self.sync_due.is_some() => self.begin_sync().await?,
            }
            while let Ok(written) = self.written.try_recv() {
                self.settle(written).await?;
            }
            while let Ok(remember) = self.closed_hosts.try_recv() {
                self.remember(remember);
            }
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
                ToStore::Want { host, leases } => {
                    if self.live.insert(host.clone()) {
                        // It was overtaken by the news that its host is passive: whoever is given leases
                        // now may wake with them, and must remember.
                        self.waking.insert(host.clone());
                    } else {
                        self.waking.remove(&host);
                    }
                    self.try_now.push(host.clone());
                    self.wants.insert(host, leases);
                }
                ToStore::Unwant(Passivated { host, memory, stamp }) => {
                    self.wants.remove(&host);
                    self.memories.insert(host.clone(), memory);
                    self.kept.push((host.clone(), stamp));
                    if self.live.remove(&host) {
                        // What it did not take is still due: it gets its turn again.
                        self.ready.push_back(host);
                    }
                }
                ToStore::Visit(visit) => self.visits.push(visit),
                ToStore::Parsed(parsed, counts) => {
                    self.counts[parsed.shard] = counts;
                    // A lease that expired and was fetched again may report twice: the first counts.
                    if self.frontier.is_out(parsed.lease) && self.parsed.insert(parsed.lease) {
                        pages.push(self.merged(*parsed));
                    }
                }
                ToStore::Take(level) => {
                    if self.level == Level::Full {
                        self.live_then = self.live.len();
                    }
                    self.level = level;
                }
                ToStore::Stop => self.stopped = true,
                ToStore::Close { counts, drained } => {
                    // What was counted beside what was given, too.
                    self.counts.fill(ShardCounts::default());
                    self.counts[0] = counts;
                    self.drained = drained;
                    close = true;
                }
            }
        }
        self.keep_memories()?;
        for page in &mut pages {
            admissions.append(&mut page.links);
        }
        if !admissions.is_empty() {
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
        if let Some(name) = page.name.take()
            && !self.names.take(name.fingerprint)
        {
            page.ending = Ending::Alias;
            page.rows = name.alias_rows;
            page.items = 0;
        }
        page
    }

    /// Gives the pages' rows to the exporter under one number; redirects go on at once, since they
    /// write nothing unless their target turns out to be known.
    async fn hand_over(&mut self, pages: Vec<Parsed>) -> Result<(), FrontierError> {
        if pages.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        let mut redirects = Vec::new();
        for page in pages {
            if page.next.is_some() {
                redirects.push(page);
            } else {
                batch.add(page);
            }
        }
        self.follow(redirects, &mut batch).await?;
        if batch.settlements.is_empty() {
            return Ok(());
        }
        self.send_rows(batch, self.syncing == Syncing::EachTime).await
    }

    /// Hands a batch to the exporter, under the next number.
    ///
    /// Waits while the sinks are behind: then the store's own channel fills, and the shards start
    /// nothing more.
    async fn send_rows(&mut self, mut batch: Batch, sync: bool) -> Result<(), FrontierError> {
        while self.is_far_ahead() && !self.cut_off {
            self.wait_for_sinks().await?;
        }
        self.sequence += 1;
        batch.sequence = self.sequence;
        batch.rows_bytes = batch.rows.iter().map(Vec::len).sum();
        self.unwritten_bytes += batch.rows_bytes;
        let mut rows = Rows { sequence: self.sequence, rows: std::mem::take(&mut batch.rows), sync };
        self.unwritten.push_back(batch);
        while !self.cut_off {
            rows = match self.exporter.try_send(rows) {
                // An exporter that ended early is known by its answers, which end too.
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(back)) => back,
            };
            self.wait_for_sinks().await?;
        }
        Ok(())
    }

    /// Whether the sinks have as much before them as they may have.
    fn is_far_ahead(&self) -> bool {
        let pages: usize = self.unwritten.iter().map(|batch| batch.settlements.len()).sum();
        pages >= UNWRITTEN_PAGES_MAX || self.unwritten_bytes >= UNWRITTEN_BYTES_MAX
    }

    /// Waits until the sinks have written something, or are not to be waited for any more.
    async fn wait_for_sinks(&mut self) -> Result<(), FrontierError> {
        let close_at = self.close_at;
        tokio::select! {
            written = self.written.recv() => match written {
                Some(written) => self.settle(written).await?,
                None => self.cut_off = true,
            },
            // A sink may be slow for long, and a kill may come meanwhile.
            Some(remember) = self.closed_hosts.recv() => {
                self.remember(remember);
                self.keep_memories()?;
            }
            () = self.hurry.notified(), if close_at.is_none() => {
                self.close_at = Some(Instant::now() + CLOSE_MAX);
            }
            () = sleep_until(close_at), if close_at.is_some() => self.cut_off = true,
        }
        Ok(())
    }

    async fn follow(&mut self, redirects: Vec<Parsed>, batch: &mut Batch) -> Result<(), FrontierError> {
        if redirects.is_empty() {
            return Ok(());
        }
        let mut settlements = Vec::with_capacity(redirects.len());
        let mut rest: HashMap<LeaseId, (Parsed, Vec<Vec<u8>>)> = HashMap::new();
        for mut page in redirects {
            let Some(next) = page.next.take() else { continue };
            let Next { record, alias_rows } = *next;
            settlements.push(Settlement::redirected(page.lease, record));
            rest.insert(page.lease, (page, alias_rows));
        }
        let settled = self.commit(settlements, &[])?;
        for lease in settled.known_targets {
            if let Some((mut page, rows)) = rest.remove(&lease) {
                page.ending = Ending::Alias;
                page.rows = rows;
                batch.add(page);
            }
        }
        let over = rest.into_values().map(|(page, _)| (page.shard, page.host, page.lease)).collect();
        self.tell_settled(over).await;
        Ok(())
    }

    /// The sinks have written up to here: the leases of that prefix are over.
    async fn settle(&mut self, written: Written) -> Result<(), FrontierError> {
        let mut settlements = Vec::new();
        let mut whose = Vec::new();
        while self.unwritten.front().is_some_and(|batch| batch.sequence <= written.sequence) {
            let Some(batch) = self.unwritten.pop_front() else { break };
            self.unwritten_bytes -= batch.rows_bytes;
            settlements.extend(batch.settlements);
            whose.extend(batch.whose);
            self.items += batch.items;
        }
        self.commit(settlements, &written.positions)?;
        if written.synced && self.syncing != Syncing::EachTime {
            self.frontier.checkpoint()?;
        }
        self.tell_settled(whose).await;
        Ok(())
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
        self.before.and(counts, self.items, self.clock.elapsed())
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

    /// Hands out what hosts have room for.
    async fn lease(&mut self) -> Result<(), FrontierError> {
        let now = self.clock.now();
        let asked = self.room_for_ready();
        let told = self.frontier.hosts_ready(now, asked)?;
        let all = told.len() < asked;
        for host in told {
            if self.live.contains(&host) {
                self.try_now.push(host);
            } else {
                self.ready.push_back(host);
            }
        }
        let nothing = self.stopped || self.level == Level::Paused;
        let work = if nothing { Vec::new() } else { self.work(now)? };
        // Those that came alive may have had nothing to do: the next ones must not wait for other news.
        let may_wake = !nothing && !self.ready.is_empty() && self.live.len() < self.hosts_max();
        self.more_ready = may_wake || (!all && self.room_for_ready() > 0);
        let assign = Assign { work, calls: self.calls()?, kept: std::mem::take(&mut self.kept) };
        if !assign.is_empty() {
            let _ = deliver(&self.scheduler, FromStore::Leased(assign)).await;
        }
        Ok(())
    }

    /// How many hosts to ask the store for: some a turn, since a crawl that is resumed may have millions
    /// and a turn that takes them all hears nothing else, and no more than could all be live next.
    fn room_for_ready(&self) -> usize {
        (self.hosts_max as usize).saturating_sub(self.ready.len()).min(READY_MAX)
    }

    /// Visits, with what their hosts remember. A host that comes alive for one asks for leases itself.
    fn calls(&mut self) -> Result<Vec<Call>, FrontierError> {
        let mut calls = Vec::new();
        for visit in std::mem::take(&mut self.visits) {
            let wakes = self.live.insert(visit.host.clone()) || self.waking.contains(&visit.host);
            let memory = if wakes { self.frontier.host_memo(&visit.host)? } else { None };
            calls.push(Call { visit, memory });
        }
        Ok(calls)
    }

    /// Leases for live hosts that have room, and for hosts that come alive with them.
    fn work(&mut self, now: Timestamp) -> Result<Vec<Work>, FrontierError> {
        let many_out = self.frontier.stats().out >= OUT_MANY || self.level > Level::Full;
        let first = if many_out { FEW_LEASES } else { FIRST_LEASES };
        let hosts_max = self.hosts_max();
        while self.live.len() < hosts_max {
            let Some(host) = self.ready.pop_front() else { break };
            if self.live.insert(host.clone()) {
                self.wants.insert(host.clone(), first);
                self.waking.insert(host.clone());
                self.try_now.push(host);
            }
        }
        let wants = self.affordable(if many_out { FEW_LEASES } else { u32::MAX });
        if wants.is_empty() {
            return Ok(Vec::new());
        }
        let mut leases = Vec::new();
        self.frontier.lease(&wants, now, &mut leases)?;
        let mut work = group(leases);
        let served: HashMap<Host, usize> =
            work.iter().enumerate().map(|(at, work)| (work.host.clone(), at)).collect();
        for Want { host, n } in wants {
            let waking = self.waking.remove(&host);
            match (served.get(&host), waking) {
                (Some(at), true) => work[*at].memory = self.frontier.host_memo(&host)?,
                (Some(_), false) => {}
                // Its actor does not run: it is told again when it has work, and then comes alive.
                (None, true) => {
                    self.live.remove(&host);
                }
                (None, false) => {
                    self.wants.insert(host, u32::try_from(n).unwrap_or(u32::MAX));
                }
            }
        }
        Ok(work)
    }

    /// How many hosts may be live: near the memory limit those of that time at the most, and fewer the
    /// nearer it is. A few always may, since some that are live may be held.
    fn hosts_max(&self) -> usize {
        let max = self.hosts_max as usize;
        match self.level {
            Level::Full => max,
            level => {
                let then = u32::try_from(self.live_then).unwrap_or(u32::MAX);
                max.min((level.of(then) as usize).max(FEW_HOSTS))
            }
        }
    }

    /// What of the wants to try in this turn the page limit allows; the others are tried again.
    fn affordable(&mut self, each_max: u32) -> Vec<Want> {
        let mut allowance = if self.try_now.is_empty() { 0 } else { self.allowance() };
        // Near a page limit nobody gets more than its share: a host that is held must not sit on
        // the last pages while others could fetch theirs.
        let share = (allowance / (self.try_now.len().max(1) as u64)).max(1);
        let mut wants = Vec::with_capacity(self.try_now.len());
        let mut later = Vec::new();
        for host in std::mem::take(&mut self.try_now) {
            // Taken out while it is tried, so that a host that is here twice is asked for once.
            let Some(room) = self.wants.remove(&host) else { continue };
            let n = allowance.min(share).min(u64::from(room.min(each_max)));
            allowance -= n;
            if n == 0 {
                self.wants.insert(host.clone(), room);
                later.push(host);
            } else {
                wants.push(Want { host, n: usize::try_from(n).unwrap_or(usize::MAX) });
            }
        }
        self.try_now = later;
        wants
    }

    /// How many leases the page limit still allows: each one out may become a page.
    fn allowance(&self) -> u64 {
        let Some(max) = self.pages_max else { return u64::MAX };
        let stats = self.frontier.stats();
        max.saturating_sub(stats.pages).saturating_sub(stats.out)
    }

    /// The books for people, and whether the crawl is over.
    async fn tell(&mut self) {
        let stats = self.frontier.stats();
        let books = Books {
            admitted: stats.admitted,
            pages: stats.pages,
            aliases: stats.aliases,
            failures: stats.failures_total(),
            left: stats.left,
            items: self.items,
        };
        // A lost one is made good by the next.
        let _ = self.scheduler.try_send(FromStore::Books(books));
        if self.over || !self.seeded {
            return;
        }
        let stopped = if stats.left == 0 {
            Stopped::Finished
        } else if stats.out == 0 && self.pages_max.is_some_and(|max| stats.pages >= max) {
            Stopped::MaxPages
        } else {
            return;
        };
        self.over = true;
        let _ = deliver(&self.scheduler, FromStore::Over(stopped)).await;
    }

    /// Waits for the sinks, settles what they wrote, and makes it last: sinks before the store.
    async fn close(&mut self) -> Result<(), FrontierError> {
        // Without its sender the exporter syncs and ends, and then its answers end.
        let (closed, _) = mpsc::channel(1);
        self.exporter = closed;
        let mut close_at = *self.close_at.get_or_insert_with(|| Instant::now() + CLOSE_MAX);
        loop {
            match tokio::time::timeout_at(close_at, self.written.recv()).await {
                Ok(Some(written)) => {
                    self.settle(written).await?;
                    if self.unwritten.is_empty() {
                        // All is written; what is waited for now is the disk.
                        close_at = Instant::now() + SYNC_MAX;
                    }
                }
                Ok(None) => break,
                Err(_) if self.unwritten.is_empty() => {
                    tracing::warn!("the output is written, but the disk has not said in time that it has it");
                    break;
                }
                Err(_) => {
                    tracing::warn!("a sink did not take its rows in time: their pages count as left");
                    break;
                }
            }
        }
        let totals = self.totals();
        let state = RunState::at_the_end(self.drained, self.unwritten.is_empty());
        past::note_run(&mut *self.frontier, self.clock.now(), totals, state);
        self.frontier.checkpoint()
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

impl Batch {
    fn add(&mut self, page: Parsed) {
        let Parsed { shard, host, lease, ending, origin, attempts, rows, items, fetched, .. } = page;
        self.settlements.push(settlement(lease, ending, attempts, origin, fetched));
        self.whose.push((shard, host, lease));
        self.items += items;
        if self.rows.len() < rows.len() {
            self.rows.resize_with(rows.len(), Vec::new);
        }
        for (all, mut one) in self.rows.iter_mut().zip(rows) {
            if all.is_empty() {
                *all = one;
            } else {
                all.append(&mut one);
            }
        }
    }
}

fn settlement(
    lease: LeaseId,
    ending: Ending,
    attempts: u16,
    origin: Arc<str>,
    fetched: Fetched,
) -> Settlement {
    match ending {
        Ending::Page => Settlement::fetched_page(lease, attempts, fetched),
        Ending::Alias => Settlement::alias(lease),
        Ending::Failed(reason) => Settlement::failed(lease, reason, attempts, Some(origin)),
        Ending::Retry { due, attempts } => Settlement::retry(lease, due, attempts),
        Ending::Return => Settlement::give_back(lease),
        // A redirect without a target cannot come here; were it to, it must not vanish.
        Ending::Redirected => Settlement::failed(lease, Reason::Internal, attempts, Some(origin)),
    }
}

fn group(leases: Vec<Lease>) -> Vec<Work> {
    let mut by_host: Vec<Work> = Vec::new();
    for lease in leases {
        match by_host.last_mut() {
            Some(work) if work.host == lease.record.host => work.leases.push(lease),
            _ => {
                by_host.push(Work { host: lease.record.host.clone(), leases: vec![lease], memory: None });
            }
        }
    }
    by_host
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
/// Hosts that one turn takes from the store at the most.
const READY_MAX: usize = 1_024;
/// Leases for a host that comes alive; it asks for more by itself.
const FIRST_LEASES: u32 = 16;
/// When so many are out, hosts get a few at a time: what is leased is in memory. None waits for
/// another one's.
const OUT_MANY: u64 = 32_768;
const FEW_LEASES: u32 = 2;
/// So many hosts are never too many for any memory.
const FEW_HOSTS: usize = 64;
/// How long a busy desk lets the next batch grow.
const GATHER: Duration = Duration::from_millis(1);
/// How long a sink that takes nothing may hold up the end.
const CLOSE_MAX: Duration = Duration::from_millis(1_500);
/// How long the disk may take to say that it has what was written.
const SYNC_MAX: Duration = Duration::from_secs(2);
/// What the sinks may have before them: pages, and bytes of their rows.
const UNWRITTEN_PAGES_MAX: usize = 128;
const UNWRITTEN_BYTES_MAX: usize = 8 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests;
