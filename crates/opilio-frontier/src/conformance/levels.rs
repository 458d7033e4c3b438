//! Tests of the rules for exact depths. A level is the set of all records of one depth.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this module is tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use opilio_core::{Attempts, LeaseId, Priority};

use super::{NOW, Record, Stores, decided, host, lease, lease_at, one, paths, ready, record, settle};
use crate::levels::PATIENCE;
use crate::{Admission, Frontier, Known, MemoryOptions, Order, Settlement, Want};

fn level(stores: &mut dyn Stores) -> Box<dyn Frontier> {
    stores.open_with(MemoryOptions { levels: true, history: true, ..MemoryOptions::default() })
}

fn at(depth: u16, url: &str) -> Admission {
    Admission::Queue(Record { depth, ..record(url) })
}

/// Checks that a host gets records of the next depth only when none of its leases is on a smaller depth, however
/// those leases ended.
pub fn a_level_waits_for_the_one_below(stores: &mut dyn Stores) {
    let mut store = level(stores);
    store.admit(vec![at(1, "http://a.test/3"), at(0, "http://a.test/1"), at(0, "http://a.test/2")]).unwrap();
    store.admit(vec![at(2, "http://a.test/4")]).unwrap();
    assert_eq!(ready(&mut *store), [host("a.test")]);
    let leases = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&leases), ["1", "2"]);
    assert_eq!(store.next_due(), None, "only its own leases are waited for");
    settle(&mut *store, Settlement::page(leases[0].id));
    assert!(ready(&mut *store).is_empty() && lease(&mut *store, "a.test", 9).is_empty());
    // A page links to a URL of its own depth. That URL is leased before the next depth.
    store.admit(vec![at(0, "http://a.test/0")]).unwrap();
    assert_eq!(ready(&mut *store), [host("a.test")]);
    let late = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::give_back(late));
    let late = one(&mut *store, "a.test");
    assert!(lease(&mut *store, "a.test", 9).is_empty());
    settle(
        &mut *store,
        Settlement::redirected(leases[1].id, Record { depth: 0, ..record("http://a.test/t") }),
    );
    settle(&mut *store, Settlement::failed(late, opilio_core::Reason::Timeout, 1, None));
    let target = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&target), ["t"]);
    settle(&mut *store, Settlement::filtered(target[0].id, crate::Filtered::ScopePattern));
    assert_eq!(ready(&mut *store), [host("a.test")]);
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["3"]);
}

/// Checks that a level (all records of one depth) does not wait for a record that is due later. When that record is
/// due, it is leased first.
pub fn no_level_waits_for_what_is_due_later(stores: &mut dyn Stores) {
    let mut store = level(stores);
    store.admit(vec![at(0, "http://a.test/1"), at(1, "http://a.test/2"), at(1, "http://b.test/3")]).unwrap();
    ready(&mut *store);
    let first = one(&mut *store, "a.test");
    assert!(lease(&mut *store, "b.test", 1).is_empty());
    let due = NOW + Duration::from_secs(90);
    settle(&mut *store, Settlement::retry(first, due, Attempts::of(1)));
    assert_eq!(ready(&mut *store), [host("b.test")]);
    let second = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::page(second));
    assert_eq!(paths(&lease_at(&mut *store, "a.test", 1, due)), ["1"]);
    assert!(lease_at(&mut *store, "b.test", 1, due).is_empty());
}

/// Checks that a level (all records of one depth) waits for lower levels of other hosts, but no longer than
/// `PATIENCE`.
pub fn a_level_waits_for_other_hosts_for_a_while(stores: &mut dyn Stores) {
    let mut store = level(stores);
    store.admit(vec![at(0, "http://a.test/1"), at(1, "http://b.test/2"), at(1, "http://c.test/3")]).unwrap();
    store.admit(vec![at(2, "http://c.test/4")]).unwrap();
    ready(&mut *store);
    assert!(lease(&mut *store, "b.test", 9).is_empty(), "queued records count, not only leased ones");
    let first = one(&mut *store, "a.test");
    assert!(lease(&mut *store, "c.test", 9).is_empty() && ready(&mut *store).is_empty());
    assert_eq!(store.next_due(), Some(NOW + PATIENCE));
    let almost = NOW + (PATIENCE - Duration::from_secs(1));
    assert!(store.hosts_ready(almost, 9).unwrap().is_empty());
    let told = store.hosts_ready(NOW + PATIENCE, 9).unwrap();
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), ["b.test", "c.test"].map(host).into());
    let third = lease_at(&mut *store, "c.test", 9, NOW + PATIENCE);
    assert_eq!(paths(&third), ["3"]);
    // The records of the next depth may again have to wait for as long as `PATIENCE`.
    store.settle(vec![Settlement::page(third[0].id)], &[], NOW + PATIENCE).unwrap();
    assert!(lease_at(&mut *store, "c.test", 9, NOW + PATIENCE).is_empty());
    assert_eq!(store.next_due(), Some(NOW + PATIENCE * 2));
    settle(&mut *store, Settlement::page(first));
    let second = lease(&mut *store, "b.test", 9);
    assert!(lease(&mut *store, "c.test", 9).is_empty(), "b has a record of the level below");
    settle(&mut *store, Settlement::page(second[0].id));
    assert_eq!(ready(&mut *store), [host("c.test")]);
    assert_eq!((paths(&lease(&mut *store, "c.test", 9)), store.next_due()), (vec!["4"], None));
}

/// Checks that a record with a high priority is leased before others, whatever its depth.
pub fn a_high_priority_waits_for_no_level(stores: &mut dyn Stores) {
    let mut store = level(stores);
    let urgent = Record { depth: 5, priority: Priority(1), ..record("http://a.test/urgent") };
    store.admit(vec![at(0, "http://a.test/1"), at(1, "http://a.test/2")]).unwrap();
    ready(&mut *store);
    assert_eq!(lease(&mut *store, "a.test", 9).len(), 1);
    assert!(ready(&mut *store).is_empty());
    store.admit(vec![Admission::Queue(urgent)]).unwrap();
    assert_eq!(ready(&mut *store), [host("a.test")]);
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["urgent"]);
    assert!(lease(&mut *store, "a.test", 9).is_empty());
}

/// Checks that a queued record that is discovered again at a smaller depth is leased with the smaller depth. Its
/// place in the queue stays the same.
pub fn a_shorter_way_to_what_is_queued_counts(stores: &mut dyn Stores) {
    let mut store = level(stores);
    store
        .admit(vec![at(1, "http://a.test/old"), at(2, "http://a.test/page"), at(6, "http://a.test/far")])
        .unwrap();
    store
        .admit(vec![at(3, "http://a.test/far"), at(5, "http://a.test/far"), at(4, "http://a.test/page")])
        .unwrap();
    let old = one(&mut *store, "a.test");
    let page = || Record { depth: 1, ..record("http://a.test/page") };
    settle(&mut *store, Settlement::redirected(old, page()));
    let leases = lease(&mut *store, "a.test", 9);
    assert_eq!((paths(&leases), leases[0].record.depth), (vec!["page"], 1));
    settle(&mut *store, Settlement::give_back(leases[0].id));
    let leases = lease(&mut *store, "a.test", 9);
    assert_eq!((paths(&leases), leases[0].record.depth), (vec!["page"], 1));
    settle(&mut *store, Settlement::page(leases[0].id));
    let leases = lease(&mut *store, "a.test", 9);
    assert_eq!((paths(&leases), leases[0].record.depth), (vec!["far"], 3));
    settle(&mut *store, Settlement::page(leases[0].id));
    let decided = decided(&mut *store);
    assert_eq!(decided[0].known, Known::Page);
    settle(&mut *store, Settlement::alias(decided[0].lease.id));
    assert!(store.stats().balances() && store.stats().left == 0);
}

/// Checks that no level (all records of one depth) waits for a URL that was redirected to a known URL, because such a
/// URL needs no request. This holds before the URL is leased by `decided`, and after.
pub fn what_waits_for_a_known_url_holds_up_no_level(stores: &mut dyn Stores) {
    let mut store = level(stores);
    store
        .admit(vec![at(0, "http://a.test/old"), at(1, "http://a.test/2"), at(1, "http://b.test/3")])
        .unwrap();
    store.admit(vec![at(2, "http://b.test/deep"), at(3, "http://a.test/4")]).unwrap();
    ready(&mut *store);
    let old = one(&mut *store, "a.test");
    assert!(lease(&mut *store, "a.test", 9).is_empty() && lease(&mut *store, "b.test", 9).is_empty());
    settle(&mut *store, Settlement::redirected(old, Record { depth: 9, ..record("http://b.test/deep") }));
    assert_eq!(
        ready(&mut *store).into_iter().collect::<BTreeSet<_>>(),
        ["a.test", "b.test"].map(host).into()
    );
    for name in ["a.test", "b.test"] {
        let leases = lease(&mut *store, name, 9);
        assert_eq!(leases.len(), 1, "{leases:?}");
        settle(&mut *store, Settlement::page(leases[0].id));
    }
    let deep = lease(&mut *store, "b.test", 9);
    assert_eq!(paths(&deep), ["deep"]);
    settle(&mut *store, Settlement::page(deep[0].id));
    let out = decided(&mut *store);
    assert_eq!((out.len(), store.stats().out), (1, 1));
    let last = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&last), ["4"]);
    // The redirected URL may be requested again at its own depth. Records of greater depths wait for that request.
    let again = Record { depth: 0, ..record("http://a.test/again") };
    settle(&mut *store, Settlement::redirected(out[0].lease.id, again));
    store.admit(vec![at(1, "http://b.test/5")]).unwrap();
    assert!(lease(&mut *store, "b.test", 9).is_empty());
    let again = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&again), ["again"]);
    settle(&mut *store, Settlement::page(again[0].id));
    settle(&mut *store, Settlement::page(last[0].id));
    assert_eq!((paths(&lease(&mut *store, "b.test", 9)), store.next_due()), (vec!["5"], None));
    assert!(store.stats().balances() && store.stats().left == 1);
}

/// Checks that the target of a redirect has the level of the redirected URL, on whatever host the target is, so that
/// the next level waits for the target.
pub fn a_redirect_keeps_its_level_closed(stores: &mut dyn Stores) {
    for target in ["http://a.test/t", "http://b.test/t", "http://c.test/t"] {
        let mut store = level(stores);
        store
            .admit(vec![at(0, "http://a.test/1"), at(1, "http://a.test/2"), at(1, "http://b.test/3")])
            .unwrap();
        ready(&mut *store);
        let first = one(&mut *store, "a.test");
        assert!(lease(&mut *store, "a.test", 1).is_empty() && lease(&mut *store, "b.test", 1).is_empty());
        settle(&mut *store, Settlement::redirected(first, record(target)));
        let on = record(target).host;
        assert_eq!(ready(&mut *store), std::slice::from_ref(&on), "only the target is due");
        let leases = lease(&mut *store, on.as_str(), 9);
        assert_eq!(paths(&leases), ["t"]);
        settle(&mut *store, Settlement::page(leases[0].id));
        let now: Vec<_> = ["a.test", "b.test"]
            .into_iter()
            .flat_map(|name| lease(&mut *store, name, 9))
            .map(|lease| lease.record.depth)
            .collect();
        assert_eq!(now, [1, 1], "{target}");
    }
}

/// Checks that levels (the records of each depth) do not wait for each other when the option is off, or when the
/// order is not breadth-first.
/// breadth-first.
pub fn levels_are_kept_only_when_asked_for(stores: &mut dyn Stores) {
    for (order, levels) in [(Order::BreadthFirst, false), (Order::DepthFirst, true), (Order::BestFirst, true)]
    {
        let mut store = stores.open_with(MemoryOptions { order, levels, ..MemoryOptions::default() });
        store
            .admit(vec![at(0, "http://a.test/1"), at(1, "http://a.test/2"), at(2, "http://b.test/3")])
            .unwrap();
        assert_eq!(lease(&mut *store, "a.test", 9).len(), 2, "{order}");
        assert_eq!(lease(&mut *store, "b.test", 9).len(), 1, "{order}");
    }
}

/// Checks that after a kill the store still knows how many URLs of each level are left.
pub fn a_kill_keeps_the_levels(stores: &mut dyn Stores) {
    let mut store = level(stores);
    store.admit(vec![at(0, "http://a.test/1"), at(1, "http://b.test/2"), at(1, "http://a.test/3")]).unwrap();
    ready(&mut *store);
    one(&mut *store, "a.test");
    let Some(mut store) = stores.reopen(store) else { return };
    assert!(lease(&mut *store, "b.test", 9).is_empty());
    let first = one(&mut *store, "a.test");
    assert!(lease(&mut *store, "a.test", 9).is_empty());
    settle(&mut *store, Settlement::page(first));
    assert_eq!(paths(&lease(&mut *store, "b.test", 9)), ["2"]);
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["3"]);
}

/// Checks two rules with random calls (admit, return, redirect, filter, retry, settle): a host gets no lease on a
/// record while one of its leases is on a smaller depth, and every record is leased in the end.
pub fn levels_hold_at_every_step_and_lose_nothing(stores: &mut dyn Stores) {
    'seeds: for seed in 0..stores.histories().min(24) {
        let mut random = u64::from(seed) * 2 + 1;
        let mut below = move |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        let mut store = level(stores);
        let mut out: BTreeMap<LeaseId, (String, u16)> = BTreeMap::new();
        let (mut now, mut admitted, mut told) = (NOW, 0, BTreeSet::new());
        let mut urls: Vec<String> = Vec::new();
        for step in 0.. {
            assert!(step < 4_000, "it makes no progress: {:?}", store.stats());
            if seed % 2 == 1 && step == 60 {
                let Some(reopened) = stores.reopen(store) else { continue 'seeds };
                store = reopened;
                out.clear();
                told.clear();
            }
            if admitted < 60 && below(3) == 0 {
                let url = format!("http://h{}.test/{admitted}", below(3));
                let priority = Priority([0, 0, -1, 1][below(4) as usize]);
                let depth = below(5) as u16;
                store.admit(vec![Admission::Queue(Record { depth, priority, ..record(&url) })]).unwrap();
                admitted += 1;
                urls.push(url);
            }
            told.extend(store.hosts_ready(now, 9).unwrap());
            if let Some(name) = told.iter().nth(below(3) as usize).cloned() {
                let mut leases = Vec::new();
                let n = 1 + below(4) as usize;
                store.lease(&[Want { host: name.clone(), n }], now, &mut leases).unwrap();
                if leases.len() < n {
                    told.remove(&name);
                }
                for lease in leases {
                    let of_host = out.values().filter(|(host, _)| *host == *name.as_str());
                    let least = of_host.map(|(_, depth)| *depth).min().unwrap_or(u16::MAX);
                    let keeps = lease.record.priority <= Priority::default();
                    assert!(
                        !keeps || lease.record.depth <= least,
                        "{} is out below {:?}",
                        least,
                        lease.record
                    );
                    out.insert(lease.id, (name.as_str().to_owned(), lease.record.depth));
                }
            }
            if let Some(id) = out.keys().nth(below(6) as usize).copied() {
                out.remove(&id);
                let ending = match below(8) {
                    0 => Settlement::give_back(id),
                    2 => Settlement::filtered(id, crate::Filtered::ScopePattern),
                    // The redirect does not make the way to its target shorter, and the target is mostly a known URL.
                    3 => {
                        let url = match below(4) {
                            0 => format!("http://h{}.test/of-{step}", below(3)),
                            _ => urls[below(urls.len() as u64) as usize].clone(),
                        };
                        Settlement::redirected(id, Record { depth: 40, ..record(&url) })
                    }
                    1 => Settlement::retry(id, now + Duration::from_secs(below(200)), Attempts::of(1)),
                    _ => Settlement::page(id),
                };
                store.settle(vec![ending], &[], now).unwrap();
            }
            for one in decided(&mut *store) {
                let ending = match below(4) {
                    0 => Settlement::filtered(one.lease.id, crate::Filtered::ScopePattern),
                    1 => Settlement::give_back(one.lease.id),
                    _ => Settlement::alias(one.lease.id),
                };
                store.settle(vec![ending], &[], now).unwrap();
            }
            if out.is_empty() && told.is_empty() {
                let stats = store.stats();
                assert!(stats.balances(), "{stats:?}");
                match store.next_due() {
                    Some(due) => now = now.max(due),
                    // Only URLs that wait for a known URL are left. The next step of the loop decides them.
                    None if stats.left > 0 && stats.left == stats.waiting => {}
                    None if stats.left > 0 => {
                        told.extend(store.hosts_ready(now, 9).unwrap());
                        assert!(!told.is_empty(), "{stats:?}");
                    }
                    None if admitted == 60 => break,
                    None => {}
                }
            }
        }
    }
}
