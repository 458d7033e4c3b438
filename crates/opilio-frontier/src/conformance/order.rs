//! Tests of the rules for the order in which hosts are returned and records are leased.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this module is tests")]

use opilio_core::{Priority, Score};

use super::{NOW, Record, Stores, admit, host, lease, paths, ready, record, settle};
use crate::{Admission, MemoryOptions, Order, Settlement, Want};

/// Checks that records are leased by priority (high first), then by depth (small first), then by age (old first).
pub fn priority_then_depth_then_age(stores: &mut dyn Stores) {
    let mut store = stores.open();
    let of = |path: &str, priority, depth| {
        let url = format!("http://a.test/{path}");
        Admission::Queue(Record { priority: Priority(priority), depth, ..record(&url) })
    };
    store.admit(vec![of("7", -1, 0), of("5", 0, 2), of("3", 0, 1), of("1", 9, 5)]).unwrap();
    store.admit(vec![of("4", 0, 1), of("8", -1, 0), of("2", 9, 5), of("6", 0, 2)]).unwrap();
    let mut order = Vec::new();
    for n in [1, 3, 9] {
        order.extend(lease(&mut *store, "a.test", n));
    }
    assert_eq!(paths(&order), ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

/// Checks that depth-first leases the links of a page before the page's siblings, and in the order of the page. A
/// higher priority counts more than a greater depth.
pub fn depth_first_takes_the_deepest(stores: &mut dyn Stores) {
    let mut store = stores.open_with(MemoryOptions { order: Order::DepthFirst, ..MemoryOptions::default() });
    let of = |path: &str, priority, depth| {
        let url = format!("http://a.test/{path}");
        Admission::Queue(Record { priority: Priority(priority), depth, ..record(&url) })
    };
    store.admit(vec![of("6", 0, 1), of("7", 0, 1), of("1", 1, 0)]).unwrap();
    store.admit(vec![of("4", 0, 2), of("5", 0, 2)]).unwrap();
    store.admit(vec![of("2", 0, 3), of("3", 0, 3)]).unwrap();
    let leases = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&leases), ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(leases.iter().map(|lease| lease.record.depth).collect::<Vec<_>>(), [0, 3, 3, 2, 2, 1, 1]);
}

/// Checks that best-first leases by score instead of depth, and among equal scores the older record first. Leased
/// records keep their depths.
pub fn best_first_takes_the_highest_score(stores: &mut dyn Stores) {
    let mut store = stores.open_with(MemoryOptions { order: Order::BestFirst, ..MemoryOptions::default() });
    let of = |path: &str, score, depth| {
        let url = format!("http://a.test/{path}");
        Admission::Queue(Record { score: Score::of(score), depth, ..record(&url) })
    };
    store.admit(vec![of("4", 0.0, 0), of("6", -1.0, 0), of("1", 1e9, 9), of("2", 0.5, 300)]).unwrap();
    store.admit(vec![of("5", 0.0, 1), of("3", 0.25, 7)]).unwrap();
    let leases = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&leases), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(leases[1].record.depth, 300);
    assert_eq!(leases[1].record.score, Score::of(0.5));
}

/// Checks that a record has at most one lease at a time, and that each lease has a new number.
pub fn a_lease_is_out_once(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3"]);
    let first = lease(&mut *store, "a.test", 2);
    let second = lease(&mut *store, "a.test", 2);
    assert_eq!((paths(&first), paths(&second)), (vec!["1", "2"], vec!["3"]));
    assert!(first[0].id < first[1].id && first[1].id < second[0].id);
    assert!(lease(&mut *store, "a.test", 2).is_empty());

    assert!(store.is_out(first[0].id));
    settle(&mut *store, Settlement::page(first[0].id));
    assert!(!store.is_out(first[0].id));
    assert!(store.is_out(first[1].id));
    assert!(lease(&mut *store, "a.test", 2).is_empty(), "a settled record does not come again");
    assert!(store.permit(&host("a.test")).is_valid(NOW));
}

/// Checks that one call leases records of several hosts, and no more records of each host than wanted. Unknown hosts
/// get no leases.
pub fn wants_are_served_in_order(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://b.test/2", "http://a.test/3", "http://b.test/4"]);
    let want = |name, n| Want { host: host(name), n };
    let mut out = Vec::new();
    store.lease(&[want("b.test", 1), want("nobody.test", 5), want("a.test", 5)], NOW, &mut out).unwrap();
    assert_eq!(paths(&out), ["2", "1", "3"]);
    store.lease(&[want("b.test", 0)], NOW, &mut out).unwrap();
    assert_eq!(out.len(), 3);
    store.lease(&[want("b.test", 2)], NOW, &mut out).unwrap();
    assert_eq!(paths(&out), ["2", "1", "3", "4"], "leases are appended");
}

/// Checks that `hosts_ready` returns a host once, and returns it again only after `lease` gave fewer records of the
/// host than wanted.
pub fn a_host_is_told_once_until_a_lease_comes_back_short(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2"]);
    assert_eq!(ready(&mut *store), [host("a.test")]);
    assert!(ready(&mut *store).is_empty());

    assert_eq!(lease(&mut *store, "a.test", 2).len(), 2);
    admit(&mut *store, &["http://a.test/3"]);
    assert!(ready(&mut *store).is_empty(), "the lease was not short: the caller asks again");

    assert_eq!(lease(&mut *store, "a.test", 2).len(), 1);
    assert!(ready(&mut *store).is_empty(), "nothing is due");
    admit(&mut *store, &["http://a.test/4"]);
    assert_eq!(ready(&mut *store), [host("a.test")]);
}

/// Checks that `hosts_ready` returns the host first that has waited longest.
pub fn hosts_take_turns(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://b.test/1", "http://c.test/1", "http://a.test/2"]);
    assert_eq!(ready(&mut *store), ["a.test", "b.test", "c.test"].map(host));
    for name in ["a.test", "b.test", "c.test"] {
        lease(&mut *store, name, 9);
    }
    admit(&mut *store, &["http://c.test/3"]);
    admit(&mut *store, &["http://a.test/3"]);
    assert_eq!(ready(&mut *store), ["c.test", "a.test"].map(host));
}

/// Checks that a host whose last lease came back short is returned before all others as soon as it has due records,
/// however few other hosts the caller asks for.
pub fn a_host_that_waits_for_more_is_told_first(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://b.test/1"]);
    assert_eq!(store.hosts_ready(NOW, 1).unwrap(), [host("a.test")]);
    lease(&mut *store, "a.test", 9);
    admit(&mut *store, &["http://c.test/1", "http://a.test/2"]);
    assert_eq!(store.hosts_ready(NOW, 0).unwrap(), [host("a.test")]);
    lease(&mut *store, "a.test", 9);
    let leases = lease(&mut *store, "c.test", 9);
    admit(&mut *store, &["http://a.test/3"]);
    settle(&mut *store, Settlement::give_back(leases[0].id));
    assert_eq!(store.hosts_ready(NOW, 1).unwrap(), ["a.test", "c.test", "b.test"].map(host));
    assert!(ready(&mut *store).is_empty());
}

/// Checks that a host of which the caller leases no more records waits in line as others do.
pub fn a_host_that_is_leased_no_more_waits_in_line(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1"]);
    assert_eq!(ready(&mut *store), [host("a.test")]);
    lease(&mut *store, "a.test", 9);
    store.stop_leasing(&host("a.test")).unwrap();
    admit(&mut *store, &["http://b.test/1", "http://a.test/2"]);
    assert!(store.hosts_ready(NOW, 0).unwrap().is_empty());
    assert_eq!(store.hosts_ready(NOW, 1).unwrap(), [host("b.test")]);
    assert_eq!(ready(&mut *store), [host("a.test")]);
    // Its due record was told, and not leased.
    store.stop_leasing(&host("a.test")).unwrap();
    store.stop_leasing(&host("nobody.test")).unwrap();
    assert_eq!(ready(&mut *store), [host("a.test")]);
    // It had due records and was to be told first.
    lease(&mut *store, "a.test", 9);
    admit(&mut *store, &["http://a.test/3", "http://c.test/1"]);
    store.stop_leasing(&host("a.test")).unwrap();
    assert_eq!(ready(&mut *store), ["c.test", "a.test"].map(host));
    assert!(ready(&mut *store).is_empty());
}

/// Checks that a caller may lease the records of a host before `hosts_ready` returned the host, and that the host is
/// then not returned.
pub fn a_host_that_was_emptied_in_line_is_not_told(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://b.test/1"]);
    lease(&mut *store, "a.test", 9);
    assert_eq!(ready(&mut *store), [host("b.test")]);
    admit(&mut *store, &["http://a.test/2"]);
    assert_eq!(ready(&mut *store), [host("a.test")]);
}

/// Checks that `hosts_ready` loses no host when the caller asks for fewer hosts than are ready.
pub fn hosts_are_told_in_portions(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://b.test/1", "http://c.test/1"]);
    assert!(store.hosts_ready(NOW, 0).unwrap().is_empty());
    assert_eq!(store.hosts_ready(NOW, 2).unwrap(), ["a.test", "b.test"].map(host));
    assert_eq!(store.hosts_ready(NOW, 2).unwrap(), [host("c.test")]);
}
