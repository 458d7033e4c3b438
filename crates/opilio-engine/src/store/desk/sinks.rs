//! What lies between the desk and the sinks: numbered batches, given out in order and settled as a prefix.

use std::sync::Arc;
use std::time::Duration;

use opilio_core::{Ending, Host, LeaseId, Reason};
use opilio_frontier::{Fetched, FrontierError, Settlement};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Desk, Syncing, sleep_until};
use crate::exporter::{Rows, Written};
use crate::message::Parsed;
use crate::past::{self, RunState};

/// Leases whose rows travel under one number.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) sequence: u64,
    pub(super) settlements: Vec<Settlement>,
    pub(super) whose: Vec<(usize, Host, LeaseId)>,
    pub(super) rows: Vec<Vec<u8>>,
    pub(super) rows_bytes: usize,
    pub(super) items: u64,
    pub(super) sitemaps: u64,
}

impl Desk {
    /// Gives the pages' rows to the exporter under one number; redirects go on at once, since they
    /// write nothing.
    pub(super) async fn hand_over(&mut self, pages: Vec<Parsed>) -> Result<(), FrontierError> {
        if pages.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        let mut redirects = Vec::new();
        for page in pages {
            if page.items > 0 && page.rows.is_empty() && !self.told_of_items {
                self.told_of_items = true;
                tracing::warn!(
                    url = %page.origin,
                    "a page gave items, and the crawl has no output: they are dropped (see `Crawler::export`)"
                );
            }
            if page.next.is_some() {
                redirects.push(page);
            } else {
                batch.add(page);
            }
        }
        self.follow(redirects).await?;
        if batch.settlements.is_empty() {
            return Ok(());
        }
        self.send_rows(batch, self.syncing == Syncing::EachTime).await
    }

    /// Hands a batch to the exporter, under the next number.
    ///
    /// Waits while the sinks are behind: then the store's own channel fills, and the shards start
    /// nothing more.
    pub(super) async fn send_rows(&mut self, mut batch: Batch, sync: bool) -> Result<(), FrontierError> {
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

    async fn follow(&mut self, redirects: Vec<Parsed>) -> Result<(), FrontierError> {
        if redirects.is_empty() {
            return Ok(());
        }
        let mut settlements = Vec::with_capacity(redirects.len());
        let mut over = Vec::with_capacity(redirects.len());
        if let Some(cookies) = &mut self.cookies
            && redirects.iter().filter_map(|page| page.next.as_ref()).any(|next| next.sets_cookie)
        {
            // A chain passes a wall once: after a kill, too, it has to have what it was given there.
            cookies.save_early();
        }
        for page in redirects {
            let Some(next) = page.next else { continue };
            settlements.push(Settlement::redirected(page.lease, *next));
            over.push((page.shard, page.host, page.lease));
        }
        self.commit(settlements, &[])?;
        self.tell_settled(over).await;
        Ok(())
    }

    /// The sinks have written up to here: the leases of that prefix are over.
    pub(super) async fn settle(&mut self, written: Written) -> Result<(), FrontierError> {
        let mut settlements = Vec::new();
        let mut whose = Vec::new();
        while self.unwritten.front().is_some_and(|batch| batch.sequence <= written.sequence) {
            let Some(batch) = self.unwritten.pop_front() else { break };
            self.unwritten_bytes -= batch.rows_bytes;
            settlements.extend(batch.settlements);
            whose.extend(batch.whose);
            self.items += batch.items;
            self.sitemaps += batch.sitemaps;
        }
        self.commit(settlements, &written.positions)?;
        if written.synced && self.syncing != Syncing::EachTime {
            self.frontier.checkpoint()?;
        }
        if written.synced
            && let Some(cookies) = &mut self.cookies
        {
            cookies.save();
        }
        self.tell_settled(whose).await;
        Ok(())
    }

    /// Waits for the sinks, settles what they wrote, and makes it last: sinks before the store.
    pub(super) async fn close(&mut self) -> Result<(), FrontierError> {
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
        let mut totals = self.totals();
        if self.frontier.stats().left == 0 {
            let idle = totals.requests == self.before.requests && totals.items == self.before.items;
            let earlier = self.before.finished_unix_ms.filter(|_| idle);
            totals.finished_unix_ms = earlier.or(u64::try_from(self.clock.unix_millis()).ok());
        }
        let state = RunState::at_the_end(self.drained, self.unwritten.is_empty());
        past::note_run(&mut *self.frontier, self.clock.now(), totals, state);
        if let Some(cookies) = &mut self.cookies {
            cookies.save();
        }
        self.frontier.checkpoint()
    }
}

impl Batch {
    fn add(&mut self, page: Parsed) {
        let Parsed {
            shard, host, lease, ending, origin, attempts, rows, items, fetched, cause, is_list, ..
        } = page;
        self.sitemaps += u64::from(is_list && ending == Ending::Page);
        self.settlements.push(settlement(lease, ending, attempts, origin, fetched).because(cause));
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

/// How long a sink that takes nothing may hold up the end.
const CLOSE_MAX: Duration = Duration::from_millis(1_500);
/// How long the disk may take to say that it has what was written.
const SYNC_MAX: Duration = Duration::from_secs(2);
/// What the sinks may have before them: pages, and bytes of their rows.
const UNWRITTEN_PAGES_MAX: usize = 128;
const UNWRITTEN_BYTES_MAX: usize = 8 << 20;
