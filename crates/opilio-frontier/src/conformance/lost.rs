//! Checks over random sequences of calls that a caller that leases only of the hosts that it is told comes to the end
//! of every record.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this module is tests")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use opilio_core::{Attempts, Host, LeaseId, Priority, Reason, Record, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{NOW, Stores, host, record};
use crate::{Admission, Caps, Frontier, HostCaps, MemoryOptions, Settlement, Want};

/// Checks that no host with due records is forgotten, whatever the caller did before: it leases of hosts that it was not
/// told, stops leasing of any host, returns leases and is killed, with and without caps and exact depths.
pub fn no_host_is_forgotten(stores: &mut dyn Stores) {
    let cases = stores.histories();
    let stores = RefCell::new(stores);
    let pages = prop::option::weighted(0.4, 1..6_u64);
    let histories = (any::<[bool; 2]>(), pages, prop::collection::vec(call(), 1..60));
    let config = Config { failure_persistence: None, cases, ..Config::default() };
    TestRunner::new(config)
        .run(&histories, |([levels, kills], pages, calls)| {
            let caps = Caps::every_host(HostCaps { pages, ..HostCaps::default() });
            let stores = &mut **stores.borrow_mut();
            let store = stores.open_with(MemoryOptions { levels, caps, ..MemoryOptions::default() });
            let mut caller = Caller { store, told: BTreeSet::new(), out: Vec::new(), now: NOW, admitted: 0 };
            for call in calls {
                if call != StoreUse::Kill {
                    caller.make(&call);
                } else if kills {
                    let Some(store) = stores.reopen(caller.store) else { return Ok(()) };
                    caller = Caller { store, told: BTreeSet::new(), out: Vec::new(), ..caller };
                }
            }
            caller.finish()
        })
        .unwrap();
}

#[derive(Clone, PartialEq, Debug)]
enum StoreUse {
    /// Finds a URL of this host, at this depth and of this priority.
    Admit(u8, u16, i8),
    Ready(usize),
    StopLeasing(u8),
    Lease(u8, usize),
    /// Ends a lease.
    Settle(u8, LeaseEnd),
    Pass(u64),
    RetryFailed(usize),
    Kill,
}

#[derive(Clone, PartialEq, Debug)]
enum LeaseEnd {
    Page,
    Failed,
    Return,
    Retry(u64),
    Redirected(u8, u16),
}

const HOSTS: u8 = 4;

fn call() -> impl Strategy<Value = StoreUse> {
    let end = prop_oneof![
        3 => Just(LeaseEnd::Page),
        1 => Just(LeaseEnd::Failed),
        2 => Just(LeaseEnd::Return),
        1 => (0..90_u64).prop_map(LeaseEnd::Retry),
        1 => (0..HOSTS, 0..4_u16).prop_map(|(host, depth)| LeaseEnd::Redirected(host, depth)),
    ];
    prop_oneof![
        6 => (0..HOSTS, 0..4_u16, 0..2_i8).prop_map(|(host, depth, first)| StoreUse::Admit(host, depth, first)),
        3 => (0..3_usize).prop_map(StoreUse::Ready),
        1 => (0..HOSTS).prop_map(StoreUse::StopLeasing),
        4 => (0..HOSTS, 0..5_usize).prop_map(|(host, n)| StoreUse::Lease(host, n)),
        4 => (any::<u8>(), end).prop_map(|(which, end)| StoreUse::Settle(which, end)),
        1 => (0..90_u64).prop_map(StoreUse::Pass),
        1 => (0..3_usize).prop_map(StoreUse::RetryFailed),
        1 => Just(StoreUse::Kill),
    ]
}

/// A caller that knows only what the store tells it.
struct Caller {
    store: Box<dyn Frontier>,
    /// The hosts that the store has returned, and whose leases have not come back short since.
    told: BTreeSet<Host>,
    out: Vec<LeaseId>,
    now: Timestamp,
    admitted: u32,
}

impl Caller {
    fn make(&mut self, call: &StoreUse) {
        match *call {
            StoreUse::Admit(n, depth, first) => {
                let found = Record { depth, priority: Priority(first), ..self.new_url(n) };
                self.store.admit(vec![Admission::Queue(found)]).unwrap();
            }
            StoreUse::Ready(n) => self.told.extend(self.store.hosts_ready(self.now, n).unwrap()),
            StoreUse::StopLeasing(n) => {
                self.store.stop_leasing(&nth(n)).unwrap();
                self.told.remove(&nth(n));
            }
            StoreUse::Lease(n, most) => self.lease(&nth(n), most),
            StoreUse::Settle(which, ref end) => {
                if !self.out.is_empty() {
                    let lease = self.out.swap_remove(usize::from(which) % self.out.len());
                    let settlement = self.settlement(lease, end);
                    self.store.settle(vec![settlement], &[], self.now).unwrap();
                }
            }
            StoreUse::Pass(secs) => self.now += Duration::from_secs(secs),
            StoreUse::RetryFailed(n) => {
                self.store.retry_failed(n).unwrap();
            }
            StoreUse::Kill => {}
        }
    }

    fn new_url(&mut self, host: u8) -> Record {
        self.admitted += 1;
        record(&format!("http://h{host}.test/{}", self.admitted))
    }

    fn lease(&mut self, host: &Host, n: usize) {
        let mut leases = Vec::new();
        self.store.lease(&[Want { host: host.clone(), n }], self.now, &mut leases).unwrap();
        if leases.len() < n {
            self.told.remove(host);
        }
        self.out.extend(leases.into_iter().map(|lease| lease.id));
    }

    fn settlement(&mut self, lease: LeaseId, end: &LeaseEnd) -> Settlement {
        match *end {
            LeaseEnd::Page => Settlement::page(lease),
            LeaseEnd::Failed => Settlement::failed(lease, Reason::Timeout, 1, None),
            LeaseEnd::Return => Settlement::give_back(lease),
            LeaseEnd::Retry(secs) => {
                let due = self.now + Duration::from_secs(secs);
                Settlement::retry(lease, due, Attempts::default())
            }
            LeaseEnd::Redirected(host, depth) => {
                Settlement::redirected(lease, Record { depth, ..self.new_url(host) })
            }
        }
    }

    /// Leases and ends records until none is left.
    fn finish(mut self) -> Result<(), TestCaseError> {
        for _ in 0..400 {
            self.told.extend(self.store.hosts_ready(self.now, 1).unwrap());
            for host in self.told.clone() {
                self.lease(&host, 2);
            }
            let ends = self.out.drain(..).map(Settlement::page).collect();
            self.store.settle(ends, &[], self.now).unwrap();
            if self.store.stats().left == 0 {
                return Ok(());
            }
            self.now += Duration::from_secs(1);
        }
        let left = self.store.stats().left;
        prop_assert_eq!(left, 0, "records are never returned");
        Ok(())
    }
}

fn nth(n: u8) -> Host {
    host(&format!("h{n}.test"))
}
