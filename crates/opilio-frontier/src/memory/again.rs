//! The ended URLs that can become due again: failures always, and pages only in a store with a history.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use opilio_core::{Attempts, Reason, Record, Timestamp};

use super::hosts::{HostId, Hosts};
use super::packed::Packed;
use super::queue::{Band, Rank};
use crate::batch::Fetched;
use crate::stats::Failure;
use opilio_core::Order;

/// The failures, and the pages of the history, in the order in which they ended.
#[derive(Debug, Default)]
pub(super) struct EndedUrls {
    failures: VecDeque<(Failure, EndedRecord)>,
    /// The pages, sorted by the time at which they ended and then by number. `None` in a store without a history.
    pages: Option<BTreeMap<(Timestamp, u64), EndedPage>>,
    next: u64,
}

/// The record of an ended URL.
#[derive(Debug)]
struct EndedRecord {
    host: HostId,
    band: Band,
    packed: Packed,
}

#[derive(Debug)]
struct EndedPage {
    body_bytes: u64,
    kept: EndedRecord,
}

impl EndedRecord {
    fn of(host: HostId, rank: Rank, record: &Record, order: Order) -> Self {
        Self { host, band: rank.band, packed: Packed::of(record, order) }
    }

    fn unpack(&self, hosts: &Hosts) -> Record {
        let record = self.packed.unpack(hosts.name(self.host), self.band, hosts.order());
        Record { attempts: Attempts::NONE, ..record }
    }
}

impl EndedUrls {
    pub(super) fn new(history: bool) -> Self {
        Self { pages: history.then(BTreeMap::new), ..Self::default() }
    }

    pub(super) fn keeps_pages(&self) -> bool {
        self.pages.is_some()
    }

    pub(super) fn add_page(
        &mut self,
        host: HostId,
        rank: Rank,
        record: &Record,
        fetched: Fetched,
        ended: Timestamp,
        order: Order,
    ) {
        let Some(pages) = &mut self.pages else { return };
        let Fetched { validators, body_bytes } = fetched;
        let validators = validators.bounded();
        let validators = (!validators.is_empty()).then(|| Arc::new(validators));
        let kept = EndedRecord::of(host, rank, &Record { validators, ..record.clone() }, order);
        pages.insert((ended, self.next), EndedPage { body_bytes, kept });
        self.next += 1;
    }

    pub(super) fn add_failure(
        &mut self,
        host: HostId,
        rank: Rank,
        record: &Record,
        failure: Failure,
        order: Order,
    ) {
        self.failures.push_back((failure, EndedRecord::of(host, rank, record, order)));
    }

    pub(super) fn failures(&self, from: u64, n: usize) -> Vec<Failure> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let listed = self.failures.iter().skip(from).take(n);
        listed.map(|(failure, kept)| Failure { extra: kept.packed.extra(), ..failure.clone() }).collect()
    }

    /// Removes the oldest failure from the list of failures, and returns its reason and its record.
    pub(super) fn take_failure(&mut self, hosts: &Hosts) -> Option<(Reason, Record)> {
        let (failure, kept) = self.failures.pop_front()?;
        Some((failure.reason, kept.unpack(hosts)))
    }

    /// Removes from the list of failures those that the caller wants, and returns them.
    pub(super) fn take_failures(
        &mut self,
        hosts: &Hosts,
        mut is_wanted: impl FnMut(Reason, HostId) -> bool,
    ) -> Vec<(Reason, Record)> {
        let (taken, left) = std::mem::take(&mut self.failures)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(failure, kept)| is_wanted(failure.reason, kept.host));
        self.failures = left;
        taken.into_iter().map(|(failure, kept)| (failure.reason, kept.unpack(hosts))).collect()
    }

    /// Removes the oldest page from the history and returns it, if the page ended before the time `before`.
    pub(super) fn take_page(&mut self, before: Timestamp, hosts: &Hosts) -> Option<(HostId, u64, Record)> {
        let first = self.pages.as_mut()?.first_entry().filter(|first| first.key().0 < before)?;
        let EndedPage { body_bytes, kept } = first.remove();
        Some((kept.host, body_bytes, kept.unpack(hosts)))
    }
}
