//! Gives the rows of pages to the exporter in numbered batches. Settles the pages of a batch once the sinks have
//! written this batch and all earlier ones.

use std::collections::HashMap;

use opilio_core::scheduling::{LedgerInput, Numbered, Syncing};
use opilio_core::{Ending, Host, LeaseId, Timestamp};
use opilio_export::{RowBatch, Written};
use opilio_frontier::{FrontierError, Settlement};
use opilio_spider::coverage::EndedCoverage;
use opilio_spider::parsed::{Parsed, settlement};

use super::{Effect, Scheduler};
use crate::message::Settled;

/// The pages of one batch. All their rows have the same batch number, so these pages are settled together.
#[derive(Default)]
pub(super) struct PageBatch {
    settlements: Vec<Settlement>,
    whose: Vec<(usize, Host, LeaseId)>,
    items: u64,
    sitemaps: u64,
    coverage: EndedCoverage,
}

/// The rows of a batch: one buffer for each sink.
type SinkRows = Vec<Vec<u8>>;

impl Scheduler {
    /// Gives the rows of pages to the exporter under one batch number. Redirected URLs have no rows, so they are
    /// settled at once.
    pub(super) fn hand_over(
        &mut self,
        now: Timestamp,
        pages: Vec<(usize, Parsed)>,
    ) -> Result<(), FrontierError> {
        if pages.is_empty() {
            return Ok(());
        }
        let (mut batch, mut rows) = (PageBatch::default(), SinkRows::new());
        let mut redirects = Vec::new();
        for (shard, page) in pages {
            if page.items.count > 0 && page.items.rows.is_empty() && self.tally.is_first_dropped_item() {
                tracing::warn!(
                    url = %page.requested_url,
                    "a page gave items, and the crawl has no output: they are dropped (see `Crawler::export`)"
                );
            }
            if page.next.is_some() {
                redirects.push((shard, page));
            } else {
                batch.add(shard, page, &mut rows);
            }
        }
        self.follow(now, redirects)?;
        if batch.settlements.is_empty() {
            return Ok(());
        }
        let rows_bytes = rows.iter().map(Vec::len).sum();
        if let Some(numbered) = self.ledger.hand_over(batch.settlements.len(), rows_bytes, batch) {
            self.send(rows, numbered);
        }
        Ok(())
    }

    /// Queues a batch of rows for the exporter.
    pub(super) fn send(&mut self, rows: SinkRows, Numbered { sequence, sync }: Numbered) {
        self.sinks.rows.push_back(RowBatch { sequence, rows, sync });
    }

    /// Settles redirected URLs, and queues the targets of their redirects.
    fn follow(&mut self, now: Timestamp, redirects: Vec<(usize, Parsed)>) -> Result<(), FrontierError> {
        if redirects.is_empty() {
            return Ok(());
        }
        let mut settlements = Vec::with_capacity(redirects.len());
        let mut over = Vec::with_capacity(redirects.len());
        if let Some(cookies) = &mut self.cookies
            && redirects.iter().filter_map(|(_, page)| page.next.as_ref()).any(|next| next.sets_cookie)
        {
            // A redirect chain often passes a consent or login page only once, and the cookie is set there. The
            // cookie is saved now, so that a crawl that is killed and resumed still has the cookie.
            cookies.save_early();
        }
        for (shard, page) in redirects {
            let Some(next) = page.next else { continue };
            settlements.push(Settlement::redirected(page.lease, *next));
            over.push((shard, page.host, page.lease));
        }
        self.commit(now, settlements, &[])?;
        self.tell_settled(over);
        Ok(())
    }

    /// Settles the leases of all batches that the sinks have written.
    pub(super) fn settle(&mut self, now: Timestamp, written: Written) -> Result<(), FrontierError> {
        self.ledger.handle(now, LedgerInput::Written(written.sequence));
        let mut settlements = Vec::new();
        let mut whose = Vec::new();
        while let Some(batch) = self.ledger.next_settled() {
            let PageBatch { settlements: settled, whose: theirs, items, sitemaps, coverage } = batch.settles;
            settlements.extend(settled);
            whose.extend(theirs);
            self.tally.add(items, sitemaps, &coverage);
        }
        self.commit(now, settlements, &written.positions)?;
        if written.synced && self.ledger.syncing() != Syncing::EachTime {
            self.frontier.checkpoint()?;
        }
        if written.synced
            && let Some(cookies) = &mut self.cookies
        {
            cookies.save();
        }
        self.tell_settled(whose);
        Ok(())
    }

    /// Tells each shard which of its leases are settled.
    fn tell_settled(&mut self, whose: Vec<(usize, Host, LeaseId)>) {
        let mut by_shard: Vec<HashMap<Host, Vec<LeaseId>>> = vec![HashMap::new(); self.tally.shards()];
        for (shard, host, lease) in whose {
            self.ledger.settled(lease);
            by_shard[shard].entry(host).or_default().push(lease);
        }
        for (shard, hosts) in by_shard.into_iter().enumerate() {
            if !hosts.is_empty() {
                let settled = Settled(hosts.into_iter().collect());
                self.effects.push(Effect::Settled { shard, settled });
            }
        }
    }
}

impl PageBatch {
    fn add(&mut self, shard: usize, page: Parsed, rows: &mut SinkRows) {
        let Parsed { host, lease, ending, requested_url, attempts, fetched, cause, coverage, .. } = page;
        self.sitemaps += u64::from(page.is_list && ending == Ending::Page);
        self.coverage.add(&ending, coverage);
        self.settlements.push(settlement(lease, ending, attempts, requested_url, fetched).because(cause));
        self.whose.push((shard, host, lease));
        self.items += page.items.count;
        page.items.append_to(rows);
    }
}
