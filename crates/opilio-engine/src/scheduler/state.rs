//! The scheduler without its thread: takes in the messages of one turn, calls the store, and lists the effects of
//! the turn.
//!
//! A turn handles all messages that have arrived as one batch. It (1) settles all batches of rows that every sink
//! has written, (2) admits the links, (3) gives the new rows to the exporter under the next batch number, (4)
//! leases URLs to hosts, and (5) tells the supervisor and the shards. [`Dispatch`] decides which hosts get leases,
//! [`Ledger`] decides which pages may be settled. A turn never waits: [`SchedulerLoop`](super::SchedulerLoop)
//! performs its effects, and then begins the next turn.

mod leasing;
mod outgoing;
mod pages;
mod sinks;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use opilio_core::scheduling::{Dispatch, DispatchInput, DispatchLimits, Ledger, LedgerInput, Syncing};
use opilio_core::{Host, SinkPosition, Timestamp};
use opilio_export::{RowBatch, SinkAtWork, Written};
use opilio_fetch::KeptCookies;
use opilio_frontier::{Admission, Failure, Frontier, FrontierError, FrontierStats, Settlement};
use opilio_spider::FieldCounts;
use opilio_spider::counts::Tally;
use opilio_spider::coverage::CrawlCoverage;
use opilio_spider::known::KnownSteps;
use opilio_spider::parsed::Parsed;
use opilio_spider::run_history::{self, RunState, Totals};
use opilio_spider::taken::TakenNames;
use opilio_spider::{FAILURES_MAX, Hosts, Stopped, Unwritten};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::message::{
    Assign, ClosedHost, ErrandResult, FromScheduler, PartSnapshot, Passivated, Settled, ToScheduler,
};
use crate::settings::Settings;
use leasing::Decisions;
use outgoing::Outgoing;
use pages::PageBatch;
use sinks::SinkWatch;

/// The arguments with which a scheduler is made.
pub(crate) struct SchedulerSetup {
    pub(crate) frontier: Box<dyn Frontier>,
    pub(crate) shards: usize,
    pub(crate) clock: Clock,
    pub(crate) pages_max: Option<u64>,
    pub(crate) hosts_max: u32,
    pub(crate) newcomers_max: u32,
    pub(crate) queued: Option<QueuedScope>,
    pub(crate) cookies: Option<KeptCookies>,
    pub(crate) shapes: HashSet<u64>,
    pub(crate) before: Totals,
    pub(crate) coverage: CrawlCoverage,
    pub(crate) syncing: Syncing,
    pub(crate) sink_at_work: watch::Receiver<Option<SinkAtWork>>,
}

/// The scope of this run. URLs that earlier runs queued are requested only if they are in this scope.
pub(crate) struct QueuedScope {
    pub(crate) settings: Arc<Settings>,
    pub(crate) hosts: Hosts,
}

/// The store's counts and failures at the end of a run.
pub(crate) struct SchedulerOutcome {
    pub(crate) stats: FrontierStats,
    /// The oldest [`FAILURES_MAX`] failures.
    pub(crate) failures: Vec<Failure>,
    pub(crate) totals: Totals,
    /// What was found for the fields of structs, in all runs.
    pub(crate) coverage: BTreeMap<String, FieldCounts>,
    /// The number of pages and bytes that remain unwritten, if the run ended before a sink had written all of its
    /// rows.
    pub(crate) unwritten: Option<Unwritten>,
}

/// The messages and other events that have arrived since the last turn.
#[derive(Default)]
pub(crate) struct Turn {
    pub(crate) written: Vec<Written>,
    /// The saved states (memos) of closed hosts. They arrive on a separate channel, so that a slow sink does not
    /// delay them.
    pub(crate) memos: Vec<ClosedHost>,
    /// The messages from the supervisor and the shards. They are received only while the scheduler [takes
    /// on](Scheduler::takes_on) more work.
    pub(crate) messages: Vec<ToScheduler>,
    /// Whether the channel of messages is closed, so that no more messages arrive.
    pub(crate) is_last: bool,
    /// Whether the exporter has ended. If it ended before the crawl, a sink has failed, and the exporter itself
    /// reports the failure.
    pub(crate) exporter_ended: bool,
    /// Whether the scheduler was told to hurry: from then on it may wait for the sinks only as long as a close may
    /// take.
    pub(crate) hurry: bool,
}

/// An effect of a turn. The loop performs the effects in the order in which they were listed.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Sends a message to the supervisor.
    Tell(FromScheduler),
    /// Sends a message to the supervisor if its mailbox has room. Otherwise the message is dropped, since the next
    /// message of this kind replaces it.
    TryTell(FromScheduler),
    /// Sends a shard leases for its hosts.
    Assign { shard: usize, assign: Assign },
    /// Sends a shard the result of an errand that one of its hosts asked for.
    ErrandResult { shard: usize, result: ErrandResult },
    /// Tells a shard which of its leases are settled.
    Settled { shard: usize, settled: Settled },
    /// Waits a moment before the next turn, so that more messages arrive and the turn handles more than one page.
    Gather,
}

pub(crate) struct Scheduler {
    frontier: Box<dyn Frontier>,
    clock: Clock,
    /// Decides which host gets leases next.
    dispatch: Dispatch,
    /// The pages whose rows are not yet safely written by the sinks, and the saved states of hosts (memos) that are
    /// not yet in the store.
    ledger: Ledger<PageBatch>,
    tally: Tally,
    /// The scope that leases are checked against in a resumed crawl: an earlier run may have queued their URLs
    /// under another scope.
    queued: Option<QueuedScope>,
    cookies: Option<KeptCookies>,
    /// The shapes (hashes of the names of variants and fields) of those steps of which the store keeps an example.
    shapes: HashSet<u64>,
    known: KnownSteps,
    /// The canonical URLs and contents of the pages so far. Duplicate pages are recognised by them.
    names: TakenNames,
    /// The errands and orders that wait to be sent to hosts.
    outgoing: Outgoing,
    decisions: Decisions,
    phase: SchedulerPhase,
    sinks: SinkWatch,
    effects: Vec<Effect>,
}

/// The phase of a crawl from the scheduler's view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SchedulerPhase {
    /// More seeds may arrive, so the crawl is not finished even if no URL is left.
    Seeding,
    Seeded,
    /// The supervisor has been told that no URL is left, or that a limit allows no more pages.
    Over,
    /// The run closes as soon as each shard has sent its last message.
    Draining,
    /// No more messages are received. `drained` is true if all hosts have become passive and their saved states
    /// (memos) have arrived.
    Closing {
        drained: bool,
    },
    Closed,
}

impl Scheduler {
    pub(crate) fn new(setup: SchedulerSetup) -> Self {
        let SchedulerSetup { frontier, clock, pages_max, hosts_max, newcomers_max, queued, .. } = setup;
        let (cookies, shapes) = (setup.cookies, setup.shapes);
        Self {
            frontier,
            clock,
            dispatch: Dispatch::new(DispatchLimits { pages_max, hosts_max, newcomers_max }),
            ledger: Ledger::new(setup.syncing),
            tally: Tally::new(setup.before, setup.coverage, setup.shards),
            queued,
            cookies,
            shapes,
            known: KnownSteps::default(),
            names: TakenNames::default(),
            outgoing: Outgoing::default(),
            decisions: Decisions::default(),
            phase: SchedulerPhase::Seeding,
            sinks: SinkWatch::new(setup.sink_at_work),
            effects: Vec::new(),
        }
    }

    /// Takes one turn: handles everything in `turn`, and empties `turn`.
    pub(crate) fn handle(&mut self, now: Timestamp, turn: &mut Turn) -> Result<(), FrontierError> {
        if self.takes_on() || !turn.written.is_empty() {
            self.sinks.moved(now);
        }
        for written in turn.written.drain(..) {
            self.settle(now, written)?;
        }
        for ClosedHost { host, memo } in turn.memos.drain(..) {
            // These memos are taken in before the messages: if a host has become passive in the meantime, the
            // message that says so carries a newer memo.
            self.ledger.handle(now, LedgerInput::Memo { host, memo });
        }
        // If all senders of messages are gone, nothing will announce the end of the run. So the scheduler begins to
        // close.
        if turn.hurry || turn.is_last {
            turn.hurry = false;
            self.ledger.handle(now, LedgerInput::Hurry);
        }
        if self.takes_on() {
            self.serve(now, &mut turn.messages)?;
        } else {
            self.keep_memos(now)?;
            self.wait(now);
        }
        if (turn.is_last || turn.exporter_ended) && !self.is_closing() {
            self.phase = SchedulerPhase::Closing { drained: false };
        }
        self.close(now, turn.exporter_ended)?;
        self.tell_of_waiting(now);
        Ok(())
    }

    /// Returns whether the scheduler receives messages and leases URLs to hosts. It does neither while it closes or
    /// too many rows wait for the sinks.
    pub(crate) fn takes_on(&self) -> bool {
        !self.is_closing() && self.ledger.has_room() && self.sinks.rows.is_empty()
    }

    /// Returns whether another turn is due at once.
    pub(crate) fn has_more(&self) -> bool {
        self.takes_on() && (self.dispatch.has_more() || self.decisions.has_more())
    }

    /// Returns when another turn is due if nothing arrives before.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        match self.takes_on() {
            true => self.frontier.next_due().into_iter().chain(self.ledger.sync_due()).min(),
            false => self.ledger.waits_until().into_iter().chain([self.sinks.says_at()]).min(),
        }
    }

    /// Returns whether the scheduler needs to be told when the run has to close, because it now waits for the sinks
    /// without a time limit.
    pub(crate) fn may_hurry(&self) -> bool {
        !self.takes_on() && self.ledger.waits_until().is_none()
    }

    /// Returns the rows that the exporter has not received yet, the oldest first. The rows stay here while the
    /// exporter has no room for them, and meanwhile the scheduler takes on no more work.
    pub(crate) fn rows(&mut self) -> &mut VecDeque<RowBatch> {
        &mut self.sinks.rows
    }

    /// Removes and returns the effects of the turn.
    pub(crate) fn effects(&mut self) -> impl Iterator<Item = Effect> {
        self.effects.drain(..)
    }

    /// Returns the scheduler's part of a snapshot of the crawl: how many URLs, hosts, rows and orders the scheduler
    /// counts.
    pub(crate) fn snapshot(&self) -> PartSnapshot {
        let stats = self.frontier.stats();
        PartSnapshot::Scheduler {
            admitted: stats.admitted,
            left: stats.left,
            leased: stats.out,
            live: self.dispatch.live(),
            ready: self.dispatch.ready(),
            rows_waiting: self.sinks.rows.len(),
            standing_orders: self.outgoing.standing(),
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.phase, SchedulerPhase::Closing { .. } | SchedulerPhase::Closed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase == SchedulerPhase::Closed
    }

    pub(crate) fn outcome(&self, now: Timestamp) -> Result<SchedulerOutcome, FrontierError> {
        let stats = self.frontier.stats();
        let failures = self.frontier.failures(0, FAILURES_MAX)?;
        let unwritten = self.sinks.unwritten.clone();
        let coverage = self.tally.coverage().fields();
        Ok(SchedulerOutcome { stats, failures, totals: self.totals(now), coverage, unwritten })
    }

    /// Takes in one batch of messages, and leases URLs to the hosts that have room.
    fn serve(&mut self, now: Timestamp, messages: &mut Vec<ToScheduler>) -> Result<(), FrontierError> {
        let is_busy = !messages.is_empty();
        if let Some(numbered) = self.ledger.begin_sync(now) {
            self.send(Vec::new(), numbered);
        }
        self.take(now, messages)?;
        self.lease(now)?;
        self.tell();
        if is_busy && !self.is_closing() {
            self.effects.push(Effect::Gather);
        }
        Ok(())
    }

    /// Takes in one batch of messages, without leasing URLs.
    fn take(&mut self, now: Timestamp, messages: &mut Vec<ToScheduler>) -> Result<(), FrontierError> {
        let mut admissions = Vec::new();
        let mut pages = Vec::new();
        for message in messages.drain(..) {
            if let ToScheduler::Passivated(Passivated { host, .. }) | ToScheduler::Lost { host } = &message {
                self.frontier.stop_leasing(host)?;
            }
            self.hear(now, message, &mut admissions, &mut pages);
        }
        self.keep_memos(now)?;
        for (_, page) in &mut pages {
            if let Some(host) = page.grows.take() {
                // This entry is saved in the same commit as the links of the page that extended the scope, or
                // earlier.
                self.frontier.keep_listed(run_history::GROWN, host.as_str());
            }
            run_history::keep_samples(
                &mut *self.frontier,
                &mut self.shapes,
                std::mem::take(&mut page.samples),
            );
            admissions.append(&mut page.links);
        }
        if !admissions.is_empty() {
            self.known.meet(&admissions);
            self.frontier.admit(admissions)?;
            self.ledger.handle(now, LedgerInput::Committed);
        }
        self.hand_over(now, pages)
    }

    /// Takes in one message. Admissions and pages are only collected here, so that the turn handles them as one
    /// batch.
    fn hear(
        &mut self,
        now: Timestamp,
        message: ToScheduler,
        admissions: &mut Vec<Admission>,
        pages: &mut Vec<(usize, Parsed)>,
    ) {
        match message {
            ToScheduler::Seeds(batch) => admissions.extend(batch),
            ToScheduler::Seeded => {
                if self.phase == SchedulerPhase::Seeding {
                    self.phase = SchedulerPhase::Seeded;
                }
            }
            ToScheduler::Credit { host, leases } => {
                self.dispatch.handle(DispatchInput::Want { host, leases })
            }
            ToScheduler::Begun { host } => self.dispatch.handle(DispatchInput::Begun(host)),
            ToScheduler::Passivated(Passivated { host, memo, stamp }) => {
                let passivated = LedgerInput::Passivated { host: host.clone(), memo, stamp };
                self.ledger.handle(now, passivated);
                self.dispatch.handle(DispatchInput::Passivated(host));
            }
            ToScheduler::Drained { shard } => self.drained(shard),
            ToScheduler::Errand(errand) => self.outgoing.errands.push(*errand),
            ToScheduler::ErrandResult(result) => {
                let shard = self.shard_of(&result.question.host);
                self.effects.push(Effect::ErrandResult { shard, result: *result });
            }
            ToScheduler::Parsed { shard, counts, parsed } => {
                self.tally.count(shard, counts);
                self.decisions.end(parsed.lease);
                if self.frontier.is_out(parsed.lease) && self.ledger.accept(parsed.lease) {
                    pages.push((shard, self.names.merge(*parsed)));
                }
            }
            ToScheduler::Order(order) => {
                let is_live = self.dispatch.is_live(&order.host);
                self.outgoing.order(order, is_live);
            }
            ToScheduler::Lost { host } => self.dispatch.handle(DispatchInput::Passivated(host)),
            ToScheduler::Take(level) => self.dispatch.handle(DispatchInput::Intake(level)),
            ToScheduler::Stop => self.dispatch.handle(DispatchInput::Stop),
            ToScheduler::Close { counts, drained } => {
                if let Some(counts) = counts {
                    self.tally.count_all(counts);
                }
                match drained && !self.tally.is_drained() {
                    true => self.phase = SchedulerPhase::Draining,
                    false => self.phase = SchedulerPhase::Closing { drained },
                }
            }
        }
    }

    /// Records that a shard has sent its last message. When all shards have done so, the saved states (memos) of
    /// all hosts have arrived.
    fn drained(&mut self, shard: usize) {
        self.tally.drained(shard);
        if self.phase == SchedulerPhase::Draining && self.tally.is_drained() {
            self.phase = SchedulerPhase::Closing { drained: true };
        }
    }

    /// Returns the index of the shard to which a host belongs. All hosts of a registrable domain belong to the same
    /// shard.
    fn shard_of(&self, host: &Host) -> usize {
        host.group().shard(self.tally.shards())
    }

    /// Updates the wait for the sinks, which lasts as long as too many rows are unwritten. If the time limit of the
    /// wait is over, drops the rows that are unwritten.
    fn wait(&mut self, now: Timestamp) {
        if self.is_closing() {
            return;
        }
        self.ledger.handle(now, LedgerInput::Waiting);
        if self.ledger.is_cut_off() {
            self.sinks.rows.clear();
        }
    }

    /// Saves those states of hosts (memos) that are not saved yet in the store, in one commit.
    fn keep_memos(&mut self, now: Timestamp) -> Result<(), FrontierError> {
        let memos = self.ledger.memos();
        if !memos.is_empty() {
            self.note(now);
            self.frontier.keep_hosts(memos)?;
            self.ledger.handle(now, LedgerInput::MemosKept);
            self.ledger.handle(now, LedgerInput::Committed);
        }
        Ok(())
    }

    /// Settles leases, and saves the sinks' positions, the clock, the totals and the coverage in the same commit.
    fn commit(
        &mut self,
        now: Timestamp,
        settlements: Vec<Settlement>,
        positions: &[SinkPosition],
    ) -> Result<opilio_frontier::SettledCounts, FrontierError> {
        self.note(now);
        let settled = self.frontier.settle(settlements, positions, now)?;
        if settled.over > 0 {
            self.ledger.handle(now, LedgerInput::Committed);
        }
        Ok(settled)
    }

    /// Gives the clock, the totals and the coverage to the store, which saves them with its next commit.
    fn note(&mut self, now: Timestamp) {
        let totals = self.totals(now);
        run_history::note_run(&mut *self.frontier, now, totals, RunState::Running);
        self.tally.keep_coverage(&mut *self.frontier);
    }

    /// Returns the totals of all runs. The totals of this run are those that the shards reported last.
    fn totals(&self, now: Timestamp) -> Totals {
        self.tally.totals(self.known.others(), now.since(self.clock.opened()))
    }

    /// Sends the supervisor the counts of the crawl, and tells it when the crawl is over.
    fn tell(&mut self) {
        let stats = self.frontier.stats();
        self.effects.push(Effect::TryTell(FromScheduler::Books(self.tally.books(&stats))));
        if self.phase != SchedulerPhase::Seeded {
            return;
        }
        let stopped = if stats.left == 0 {
            Stopped::Finished
        } else if self.dispatch.is_at_its_limit(self.tally.store_counts(&stats)) {
            Stopped::MaxPages
        } else {
            return;
        };
        self.phase = SchedulerPhase::Over;
        self.effects.push(Effect::Tell(FromScheduler::Over(stopped)));
    }

    /// Closes the run after the last message: waits until the sinks have synced to disk, then syncs the store.
    fn close(&mut self, now: Timestamp, exporter_ended: bool) -> Result<(), FrontierError> {
        let SchedulerPhase::Closing { drained } = self.phase else { return Ok(()) };
        self.ledger.handle(now, LedgerInput::Close);
        let is_late = self.ledger.waits_until().is_some_and(|until| now >= until);
        if !exporter_ended && !is_late {
            return Ok(());
        }
        if !exporter_ended {
            self.give_up_waiting();
        }
        let mut totals = self.totals(now);
        if self.frontier.stats().left == 0 {
            totals.finished_unix_ms =
                self.tally.finished_before(&totals).or(u64::try_from(self.clock.unix_millis()).ok());
        }
        let state = RunState::at_the_end(drained, self.ledger.is_all_written());
        run_history::note_run(&mut *self.frontier, now, totals, state);
        if let Some(cookies) = &mut self.cookies {
            cookies.save();
        }
        self.frontier.checkpoint()?;
        self.phase = SchedulerPhase::Closed;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests;
