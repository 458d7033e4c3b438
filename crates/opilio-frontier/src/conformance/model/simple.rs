//! The model that a store is compared with: one map of all URLs. Every question is answered by looking at all
//! entries.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use opilio_core::{
    Attempts, Ending, Fingerprint, Host, Lease, LeaseId, Reason, Record, RecordKind, SinkPosition, Timestamp,
    Validators,
};
use proptest::prelude::*;

use super::super::record;
use super::{EndKind, url};
use crate::stats::{Cause, Failure, FrontierStats};
use crate::{
    Admission, AdmittedCounts, Decided, Fetched, Filtered, Frontier, HostCaps, Known, Order, SettledCounts,
    Settlement, Want,
};

/// All the data that a store must hold.
#[derive(Default)]
pub(super) struct Model {
    order: Order,
    caps: HostCaps,
    seen: BTreeMap<Fingerprint, Option<Filtered>>,
    /// The URLs that have not ended. The key is the age: the number of the admission.
    left: BTreeMap<u64, ModelUrl>,
    ages: u64,
    told: BTreeSet<Host>,
    /// The hosts whose last lease came back short, and that are leased still.
    short: BTreeSet<Host>,
    hosts: BTreeSet<Host>,
    /// Every lease of this run, ended or not, with the age (the number of the admission) of its record.
    leases: Vec<(LeaseId, u64)>,
    books: FrontierStats,
    failures: Vec<(Failure, Record)>,
    pages: Vec<ModelPage>,
    positions: Vec<SinkPosition>,
    /// The ending of each URL that has ended.
    ended: BTreeMap<Fingerprint, ModelEnd>,
    /// Whether the process was killed, so that the store may have forgotten which URLs were pages.
    killed: bool,
}

#[derive(Clone, Copy)]
enum ModelEnd {
    Page,
    Failed(Reason),
    LedTo(Fingerprint),
}

struct ModelPage {
    ended: Timestamp,
    body_bytes: u64,
    record: Record,
}

struct ModelUrl {
    record: Record,
    due: Timestamp,
    out: Option<LeaseId>,
    /// The known URL that the record was redirected to and waits for. `None` if the record does not wait.
    waits_for: Option<Fingerprint>,
}

impl Model {
    pub(super) fn new(order: Order, caps: HostCaps) -> Self {
        Self { order, caps, ..Self::default() }
    }

    /// Returns how the known URL at the end of a redirect ended, or `None` if that URL has not ended.
    fn known(&self, target: Fingerprint) -> Option<Known> {
        let (mut at, mut met) = (target, BTreeSet::new());
        loop {
            if !met.insert(at) {
                return Some(Known::Failed(Reason::RedirectLoop));
            }
            match self.ended.get(&at) {
                Some(ModelEnd::Page) => return Some(Known::Page),
                Some(ModelEnd::Failed(reason)) => return Some(Known::Failed(*reason)),
                Some(ModelEnd::LedTo(to)) => at = *to,
                None if self.seen.get(&at).is_some_and(Option::is_some) => {
                    return Some(Known::Failed(Reason::OutOfScope));
                }
                None => return None,
            }
        }
    }

    pub(super) fn decided(&mut self, decided: &[Decided], n: usize) -> Result<(), TestCaseError> {
        for Decided { lease, target, known } in decided {
            let waits = |left: &ModelUrl| left.out.is_none() && left.waits_for.is_some();
            let found = self.left.iter().find(|(_, left)| waits(left) && left.record == lease.record);
            let Some((age, left)) = found else { panic!("{lease:?} does not wait") };
            let (age, of) = (*age, left.waits_for.unwrap());
            prop_assert_eq!(of, record(target).fingerprint);
            prop_assert_eq!(Some(*known), self.known(of));
            self.left.get_mut(&age).unwrap().out = Some(lease.id);
            self.leases.push((lease.id, age));
        }
        let is_decided = |left: &ModelUrl| {
            left.out.is_none()
                && left.waits_for.and_then(|of| self.known(of)).is_some_and(|known| {
                    // After a kill, a store knows which URLs were pages only when no URLs are left except those that
                    // wait.
                    let only_waiting =
                        || self.left.values().all(|left| left.waits_for.is_some() && left.out.is_none());
                    known != Known::Page || !self.killed || only_waiting()
                })
        };
        if decided.len() < n {
            let missing: Vec<_> =
                self.left.values().filter(|left| is_decided(left)).map(|left| &left.record.url).collect();
            prop_assert!(missing.is_empty(), "{:?} are decided", missing);
        }
        Ok(())
    }

    pub(super) fn admit(&mut self, batch: Vec<Admission>) -> AdmittedCounts {
        let mut admitted = AdmittedCounts::default();
        for admission in batch {
            match self.judge(admission) {
                Admission::Filtered { fingerprint, why } if !self.seen.contains_key(&fingerprint) => {
                    self.seen.insert(fingerprint, Some(why));
                    self.books.discovered += 1;
                    *self.books.filtered.entry(why).or_default() += 1;
                    admitted.filtered_new += 1;
                }
                Admission::Filtered { .. } => admitted.known += 1,
                Admission::Queue(record) => match self.seen.insert(record.fingerprint, None) {
                    Some(None) => admitted.known += 1,
                    before => {
                        if let Some(Some(why)) = before {
                            *self.books.filtered.get_mut(&why).unwrap() -= 1;
                            self.books.filtered.retain(|_, count| *count > 0);
                        } else {
                            self.books.discovered += 1;
                        }
                        self.books.admitted += 1;
                        admitted.new += 1;
                        self.push(record);
                    }
                },
            }
        }
        admitted
    }

    fn judge(&self, admission: Admission) -> Admission {
        let Admission::Queue(record) = &admission else { return admission };
        let too_deep = self.caps.depth.is_some_and(|max| record.depth > max).then_some(Filtered::MaxDepth);
        // The caps of a host take effect only when a URL of the host was admitted, even if a cap is 0.
        let closed = self.hosts.contains(&record.host).then(|| self.closed(&record.host)).flatten();
        match too_deep.or(closed) {
            Some(why) => Admission::Filtered { fingerprint: record.fingerprint, why },
            None => admission,
        }
    }

    /// Returns the reason for which the host gets no more leases: the cap that it has reached. `None` if it has
    /// reached no cap.
    fn closed(&self, host: &Host) -> Option<Filtered> {
        let pages: Vec<_> = self.pages.iter().filter(|page| page.record.host == *host).collect();
        let bytes: u64 = pages.iter().map(|page| page.body_bytes).sum();
        if self.caps.body_bytes.is_some_and(|max| bytes >= max) {
            return Some(Filtered::HostBytes);
        }
        self.caps.pages.is_some_and(|max| pages.len() as u64 >= max).then_some(Filtered::HostPages)
    }

    /// Returns how many more leases a host may have.
    fn room(&self, host: &Host) -> usize {
        if self.closed(host).is_some() {
            return 0;
        }
        let pages = self.pages.iter().filter(|page| page.record.host == *host).count();
        let is_out = |left: &&ModelUrl| left.out.is_some() && left.waits_for.is_none();
        let out = self.left.values().filter(is_out).filter(|left| left.record.host == *host).count();
        let room = |max: u64| usize::try_from(max).unwrap().saturating_sub(pages + out);
        self.caps.pages.map_or(usize::MAX, room)
    }

    /// Returns the due records of hosts that have reached their caps. The store may have ended these records already,
    /// or will end them soon.
    fn to_close(&self, now: Timestamp) -> Vec<(u64, Filtered)> {
        let closed = self.hosts.iter().filter_map(|host| Some((host, self.closed(host)?)));
        closed.flat_map(|(host, why)| self.due(host, now).into_iter().map(move |age| (age, why))).collect()
    }

    /// Makes the store end the due records of hosts that reached their caps, and ends them in the model.
    pub(super) fn close(&mut self, store: &mut dyn Frontier, now: Timestamp) -> Result<(), TestCaseError> {
        if self.caps == HostCaps::default() {
            return Ok(());
        }
        loop {
            let told = store.hosts_ready(now, usize::MAX).unwrap();
            self.told(&told, usize::MAX, now)?;
            if store.next_due() != Some(Timestamp::EPOCH) {
                break;
            }
        }
        for (age, why) in self.to_close(now) {
            let ModelUrl { record, .. } = self.left.remove(&age).unwrap();
            self.put_off(&record, why);
        }
        Ok(())
    }

    fn put_off(&mut self, record: &Record, why: Filtered) {
        if record.kind == RecordKind::Discovered {
            self.seen.insert(record.fingerprint, Some(why));
            self.ended.remove(&record.fingerprint);
        } else {
            self.ended.insert(record.fingerprint, ModelEnd::Failed(Reason::OutOfScope));
        }
        self.books.admitted -= 1;
        *self.books.filtered.entry(why).or_default() += 1;
    }

    pub(super) fn retry_failed(&mut self, n: usize) -> u64 {
        let n = n.min(self.failures.len());
        for (failure, record) in self.failures.drain(..n).collect::<Vec<_>>() {
            *self.books.failures.get_mut(&failure.reason).unwrap() -= 1;
            self.books.failures.retain(|_, count| *count > 0);
            self.books.revived += 1;
            self.ended.remove(&record.fingerprint);
            self.push(Record { attempts: Attempts::NONE, ..record });
        }
        n as u64
    }

    pub(super) fn refresh(&mut self, before: Timestamp, n: usize) -> u64 {
        let mut refreshed = 0;
        // The list of pages is in the order in which the pages ended, because time does not go backwards.
        while refreshed < n && self.pages.first().is_some_and(|page| page.ended < before) {
            let ModelPage { record, .. } = self.pages.remove(0);
            self.books.pages -= 1;
            self.books.refreshed += 1;
            self.ended.remove(&record.fingerprint);
            self.push(Record { attempts: Attempts::NONE, ..record });
            refreshed += 1;
        }
        refreshed as u64
    }

    fn push(&mut self, record: Record) {
        self.hosts.insert(record.host.clone());
        self.left.insert(self.ages, ModelUrl { record, due: Timestamp::EPOCH, out: None, waits_for: None });
        self.ages += 1;
    }

    /// Returns the ages (numbers of the admissions) of a host's due records, in the order in which the records are
    /// leased.
    fn due(&self, host: &Host, now: Timestamp) -> Vec<u64> {
        let is_due = |left: &ModelUrl| {
            let is_free = left.out.is_none() && left.waits_for.is_none();
            is_free && left.due <= now && left.record.host == *host
        };
        let mut due: Vec<_> = self.left.iter().filter(|(_, left)| is_due(left)).collect();
        due.sort_by_key(|(age, ModelUrl { record, .. })| {
            let place = match self.order {
                Order::BreadthFirst => i32::from(record.depth),
                Order::DepthFirst => -i32::from(record.depth),
                Order::BestFirst => -(record.score.value() as i32),
            };
            (Reverse(record.priority), place, **age)
        });
        due.into_iter().map(|(age, _)| *age).collect()
    }

    pub(super) fn told(&mut self, told: &[Host], n: usize, now: Timestamp) -> Result<(), TestCaseError> {
        let ready = |host: &&Host| {
            !self.told.contains(*host) && !self.due(host, now).is_empty() && self.room(host) > 0
        };
        let ready = self.hosts.iter().filter(ready).cloned();
        let (first, others): (BTreeSet<Host>, BTreeSet<Host>) =
            ready.partition(|host| self.short.contains(host));
        let distinct: BTreeSet<Host> = told.iter().cloned().collect();
        prop_assert_eq!(distinct.len(), told.len(), "a host was told twice");
        let (firsts, rest) = told.split_at_checked(first.len()).unwrap_or((told, &[]));
        prop_assert_eq!(first, firsts.iter().cloned().collect(), "told {:?}", told);
        prop_assert!(rest.iter().all(|host| others.contains(host)), "told {:?} of {:?}", rest, others);
        prop_assert_eq!(rest.len(), others.len().min(n));
        self.told.extend(distinct);
        Ok(())
    }

    pub(super) fn stop_leasing(&mut self, host: &Host) {
        self.told.remove(host);
        self.short.remove(host);
    }

    pub(super) fn leased(
        &mut self,
        wants: &[Want],
        leases: &[Lease],
        now: Timestamp,
    ) -> Result<(), TestCaseError> {
        let mut leases = leases.iter();
        for Want { host, n } in wants {
            let mut due = self.due(host, now);
            due.truncate(self.room(host));
            for age in due.iter().take(*n) {
                let left = self.left.get_mut(age).unwrap();
                let lease = leases.next().expect("a due record was not leased");
                prop_assert_eq!(&lease.record, &left.record);
                prop_assert!(self.leases.last().is_none_or(|(last, _)| *last < lease.id));
                left.out = Some(lease.id);
                self.leases.push((lease.id, *age));
            }
            if due.len() < *n && self.hosts.contains(host) {
                self.told.remove(host);
                self.short.insert(host.clone());
            }
        }
        prop_assert_eq!(leases.next(), None);
        Ok(())
    }

    /// Returns a settlement of a random lease of this run, often of a lease that has already ended.
    pub(super) fn settlement(&self, n: u8, how: EndKind, now: Timestamp) -> Settlement {
        let unknown = LeaseId(u64::MAX);
        let recent = self.leases.len().min(8);
        let nth = usize::from(n).checked_rem(recent).map(|back| self.leases[self.leases.len() - 1 - back].0);
        let lease = nth.unwrap_or(unknown);
        let is_decided = self.left.values().any(|left| left.out == Some(lease) && left.waits_for.is_some());
        let how = match how {
            // A URL that `decided` returned needs no request, so a return is generated instead of a retry.
            EndKind::Retry(_) if is_decided => EndKind::Return,
            how => how,
        };
        match how {
            EndKind::Page => {
                let validators = Validators { body_hash: Some(n.into()), ..Validators::default() };
                Settlement::fetched_page(lease, 1, Fetched { body_bytes: n.into(), validators })
            }
            EndKind::Alias => Settlement::alias(lease),
            EndKind::Redirected(target) => Settlement::redirected(lease, url(target)),
            EndKind::Failed => {
                let cause = Cause::new((n > 9).then_some(n.into()), (n > 99).then_some("it took long"));
                Settlement::failed(lease, Reason::Timeout, u16::from(n), None).because(cause)
            }
            EndKind::Retry(secs) => {
                Settlement::retry(lease, now + Duration::from_secs(secs), Attempts::of(u16::from(n)))
            }
            EndKind::Return => Settlement::give_back(lease),
            EndKind::Filtered => Settlement::filtered(lease, Filtered::ScopePattern),
        }
    }

    pub(super) fn settle(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
    ) -> SettledCounts {
        let mut settled = SettledCounts::default();
        for settlement in batch {
            let found = self.left.iter().find(|(_, left)| left.out == Some(settlement.lease));
            let Some(age) = found.map(|(age, _)| *age) else {
                settled.stale += 1;
                continue;
            };
            self.end(age, &settlement, now);
            settled.over += 1;
        }
        self.positions = positions.to_vec();
        settled
    }

    fn end(&mut self, age: u64, settlement: &Settlement, now: Timestamp) {
        let mut left = self.left.remove(&age).unwrap();
        left.out = None;
        let fingerprint = left.record.fingerprint;
        if let Some(why) = settlement.filtered {
            return self.put_off(&left.record, why);
        }
        match settlement.ending {
            Ending::Page => {
                self.books.pages += 1;
                self.ended.insert(fingerprint, ModelEnd::Page);
                let Fetched { body_bytes, validators } = settlement.fetched.clone();
                let record = Record { validators: Some(Arc::new(validators)), ..left.record };
                self.pages.push(ModelPage { ended: now, body_bytes, record });
            }
            Ending::Alias => {
                self.books.aliases += 1;
                self.ended.entry(fingerprint).or_insert(ModelEnd::Page);
            }
            Ending::Failed(reason) => {
                *self.books.failures.entry(reason).or_default() += 1;
                self.ended.insert(fingerprint, ModelEnd::Failed(reason));
                let Settlement { attempts, .. } = *settlement;
                let cause = settlement.cause.as_deref().cloned().unwrap_or_default();
                let failure = Failure {
                    url: left.record.url.clone(),
                    reason,
                    attempts,
                    ended: now,
                    cause,
                    extra: left.record.extra.clone(),
                };
                self.failures.push((failure, left.record));
            }
            Ending::Redirected => {
                let target = settlement.redirect.clone().unwrap().target;
                if target.fingerprint != fingerprint {
                    self.ended.insert(fingerprint, ModelEnd::LedTo(target.fingerprint));
                    if self.seen.get(&target.fingerprint) == Some(&None) {
                        let record = Record { attempts: Attempts::NONE, ..left.record };
                        let waits_for = Some(target.fingerprint);
                        self.left.insert(age, ModelUrl { record, waits_for, ..left });
                        return;
                    }
                }
                self.seen.insert(target.fingerprint, None);
                self.books.redirects += 1;
                self.push(Record { kind: RecordKind::Continuation, ..target });
            }
            Ending::Retry { due, attempts } => {
                self.books.retries += 1;
                left.record.attempts = attempts;
                self.left.insert(age, ModelUrl { due, ..left });
            }
            Ending::Return => {
                self.left.insert(age, left);
            }
        }
    }

    pub(super) fn kill(&mut self) {
        self.killed = true;
        for left in self.left.values_mut() {
            left.out = None;
        }
        self.told.clear();
        self.short.clear();
        self.leases.clear();
    }

    pub(super) fn compare(&self, store: &dyn Frontier, now: Timestamp) -> Result<(), TestCaseError> {
        let stats = store.stats();
        let out = self.left.values().filter(|left| left.out.is_some()).count() as u64;
        prop_assert!(stats.balances(), "{:?}", stats);
        // A store ends the due records of hosts that have reached their caps in one of its next calls, not at once.
        let to_close = self.to_close(now);
        let closed = (self.left.len() as u64).saturating_sub(stats.left);
        prop_assert!(closed <= to_close.len() as u64, "{closed} of {to_close:?} have ended");
        let mut filtered = self.books.filtered.clone();
        if closed > 0 {
            for why in [Filtered::HostPages, Filtered::HostBytes] {
                let had = filtered.remove(&why).unwrap_or(0);
                let more = to_close.iter().filter(|(_, of)| *of == why).count() as u64;
                let has = stats.filtered.get(&why).copied().unwrap_or(0);
                prop_assert!((had..=had + more).contains(&has), "{why}: {has} of {had} and {more}");
                if has > 0 {
                    filtered.insert(why, has);
                }
            }
        }
        let expected = FrontierStats {
            left: self.left.len() as u64 - closed,
            admitted: self.books.admitted - closed,
            out,
            hosts: self.hosts.len() as u64,
            // A store moves records that have become due to the queue only in some of its calls.
            waiting: stats.waiting,
            filtered,
            ..self.books.clone()
        };
        prop_assert_eq!(stats, expected);
        let next = |due: Timestamp| {
            self.left.values().filter(|l| l.out.is_none() && l.waits_for.is_none()).any(|l| l.due == due)
        };
        let later = self
            .left
            .values()
            .filter(|left| left.out.is_none() && left.due > now && left.waits_for.is_none())
            .map(|left| left.due);
        match store.next_due() {
            // The store may still have to end records of hosts that have reached their caps.
            Some(Timestamp::EPOCH) if self.caps != HostCaps::default() => {}
            Some(due) => prop_assert!(next(due) && later.min().is_none_or(|later| due <= later)),
            None => prop_assert_eq!(later.min(), None),
        }
        let failures: Vec<_> = self.failures.iter().map(|(failure, _)| failure.clone()).collect();
        prop_assert_eq!(store.failures(0, usize::MAX).unwrap(), failures);
        prop_assert_eq!(store.positions().unwrap(), &self.positions[..]);
        for (lease, age) in &self.leases {
            let out = self.left.get(age).is_some_and(|left| left.out == Some(*lease));
            prop_assert_eq!(store.is_out(*lease), out);
        }
        Ok(())
    }
}
