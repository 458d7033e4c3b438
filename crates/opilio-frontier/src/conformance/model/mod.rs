//! Compares a store with a model over random sequences of calls (histories). The model is so simple that it is easily
//! seen to be right.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this module is tests")]

mod simple;

use std::cell::RefCell;
use std::time::Duration;

use opilio_core::{Host, Priority, Record, Score, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Stores, position, record};
use crate::{Admission, Caps, Filtered, HostCaps, MemoryOptions, Order, Want};
use simple::Model;

/// Checks that every answer of the store equals the answer of the model, over random histories: all calls, and kills,
/// in any order, with and without caps.
pub fn agrees_with_the_model(stores: &mut dyn Stores) {
    let cases = stores.histories();
    let stores = RefCell::new(stores);
    let histories = (rules(), prop::collection::vec(step(), 1..80));
    let config = Config { failure_persistence: None, cases, ..Config::default() };
    TestRunner::new(config)
        .run(&histories, |(rules, history)| replay(&mut **stores.borrow_mut(), rules, history))
        .unwrap();
}

/// One call of the store. The numbers in it are small and choose among few URLs and leases, so that different calls
/// of a history often concern the same URL.
#[derive(Clone, Debug)]
enum StoreCall {
    Admit(Vec<FoundLink>),
    Ready(usize),
    StopLeasing(u8),
    Lease(Vec<(u8, usize)>),
    Settle(Vec<(u8, EndKind)>, u64),
    Decide(usize),
    Pass(u64),
    RetryFailed(usize),
    Refresh(u64, usize),
    Kill,
}

/// Generates the order and the caps of a store. The caps are small, so that the histories reach them.
fn rules() -> impl Strategy<Value = (Order, HostCaps)> {
    let order = prop::sample::select(&Order::ALL[..]);
    let caps = (
        prop::option::weighted(0.4, 1..6_u64),
        prop::option::weighted(0.2, 1..300_u64),
        prop::option::weighted(0.2, 0..3_u16),
    );
    let caps = caps.prop_map(|(pages, body_bytes, depth)| HostCaps { pages, body_bytes, depth });
    (order, prop_oneof![2 => Just(HostCaps::default()), 3 => caps])
}

#[derive(Clone, Debug)]
struct FoundLink {
    url: u8,
    depth: u16,
    priority: i8,
    score: i8,
    filtered: bool,
}

#[derive(Clone, Debug)]
enum EndKind {
    Page,
    Alias,
    Redirected(u8),
    Failed,
    Retry(u64),
    Return,
    Filtered,
}

fn step() -> impl Strategy<Value = StoreCall> {
    let how = prop_oneof![
        3 => Just(EndKind::Page),
        1 => Just(EndKind::Alias),
        2 => (0..URLS).prop_map(EndKind::Redirected),
        1 => Just(EndKind::Failed),
        3 => (0..50_u64).prop_map(EndKind::Retry),
        2 => Just(EndKind::Return),
        1 => Just(EndKind::Filtered),
    ];
    let found = (0..URLS, 0..3_u16, -1..=1_i8, -1..=1_i8, prop::bool::weighted(0.2)).prop_map(
        |(url, depth, priority, score, filtered)| FoundLink { url, depth, priority, score, filtered },
    );
    prop_oneof![
        4 => prop::collection::vec(found, 0..12).prop_map(StoreCall::Admit),
        3 => (0..4_usize).prop_map(StoreCall::Ready),
        1 => (0..HOSTS).prop_map(StoreCall::StopLeasing),
        4 => prop::collection::vec((0..HOSTS, 0..5_usize), 0..3).prop_map(StoreCall::Lease),
        4 => (prop::collection::vec((any::<u8>(), how), 0..6), 0..100_u64)
            .prop_map(|(ends, position)| StoreCall::Settle(ends, position)),
        2 => prop_oneof![Just(usize::MAX), 0..3_usize].prop_map(StoreCall::Decide),
        2 => (0..40_u64).prop_map(StoreCall::Pass),
        1 => (0..4_usize).prop_map(StoreCall::RetryFailed),
        1 => (0..60_u64, 0..4_usize).prop_map(|(ago, n)| StoreCall::Refresh(ago, n)),
        1 => Just(StoreCall::Kill),
    ]
}

const HOSTS: u8 = 3;
const URLS: u8 = 24;

fn url(url: u8) -> Record {
    record(&format!("http://h{}.test/{url}", url % HOSTS))
}

fn nth_host(n: u8) -> Host {
    super::host(&format!("h{n}.test"))
}

fn replay(
    stores: &mut dyn Stores,
    (order, caps): (Order, HostCaps),
    history: Vec<StoreCall>,
) -> Result<(), TestCaseError> {
    let options = MemoryOptions { order, caps: Caps::every_host(caps), history: true, levels: false };
    let (mut store, mut model) = (stores.open_with(options), Model::new(order, caps));
    let mut now = Timestamp::EPOCH;
    for step in history {
        match step {
            StoreCall::Admit(found) => {
                let batch: Vec<_> = found.into_iter().map(FoundLink::admission).collect();
                prop_assert_eq!(store.admit(batch.clone()).unwrap(), model.admit(batch));
            }
            StoreCall::Ready(n) => {
                let told = store.hosts_ready(now, n).unwrap();
                model.told(&told, n, now)?;
            }
            StoreCall::StopLeasing(n) => {
                store.stop_leasing(&nth_host(n)).unwrap();
                model.stop_leasing(&nth_host(n));
            }
            StoreCall::Lease(wants) => {
                let want = |(host, n)| Want { host: nth_host(host), n };
                let wants: Vec<_> = wants.into_iter().map(want).collect();
                let mut leases = Vec::new();
                store.lease(&wants, now, &mut leases).unwrap();
                model.leased(&wants, &leases, now)?;
            }
            StoreCall::Decide(n) => {
                model.close(&mut *store, now)?;
                let mut decided = Vec::new();
                // Repeats the call, because one call checks only some of the waiting URLs.
                while decided.len() < n && store.decided((n - decided.len()).min(4), &mut decided).unwrap() {}
                model.decided(&decided, n)?;
            }
            StoreCall::Settle(ends, at) => {
                // A store may end due URLs of a host that has reached its caps at any call. The target of a redirect
                // may be one of these URLs, and if it has ended, the store no longer treats it as a target to wait
                // for. So these URLs are first ended in both the store and the model.
                if ends.iter().any(|(_, how)| matches!(how, EndKind::Redirected(_))) {
                    model.close(&mut *store, now)?;
                }
                let batch: Vec<_> = ends.into_iter().map(|(n, how)| model.settlement(n, how, now)).collect();
                let positions = [position("sink", at)];
                let settled = store.settle(batch.clone(), &positions, now).unwrap();
                prop_assert_eq!(settled, model.settle(batch, &positions, now));
            }
            StoreCall::Pass(secs) => now += Duration::from_secs(secs),
            StoreCall::RetryFailed(n) => {
                prop_assert_eq!(store.retry_failed(n).unwrap(), model.retry_failed(n))
            }
            StoreCall::Refresh(ago, n) => {
                // A page that is due again may lower the number of pages below the cap of its host. So the store
                // first ends the records that the cap forbids now.
                model.close(&mut *store, now)?;
                let before = Timestamp::from_secs(now.since(Timestamp::EPOCH).as_secs().saturating_sub(ago));
                prop_assert_eq!(store.refresh(before, n).unwrap(), model.refresh(before, n));
            }
            StoreCall::Kill => {
                let Some(reopened) = stores.reopen(store) else { return Ok(()) };
                store = reopened;
                model.kill();
            }
        }
        model.compare(&*store, now)?;
    }
    model.close(&mut *store, now)?;
    model.compare(&*store, now)
}

impl FoundLink {
    fn admission(self) -> Admission {
        let record = url(self.url);
        if self.filtered {
            return Admission::Filtered { fingerprint: record.fingerprint, why: Filtered::MaxDepth };
        }
        let score = Score::of(self.score.into());
        Admission::Queue(Record { depth: self.depth, priority: Priority(self.priority), score, ..record })
    }
}
