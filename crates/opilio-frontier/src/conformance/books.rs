//! Tests of the rules for the counters of a store, and for the data that the store keeps for its caller.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this module is tests")]

use std::sync::Arc;

use bytes::Bytes;
use opilio_core::{Attempts, Priority, Reason, Score, Validators};

use super::{NOW, Stores, admit, filtered, host, lease, one, position, record, settle};
use crate::{Admission, AdmittedCounts, Filtered, Settlement};

/// Checks that admitting a URL again changes nothing, within a batch and between batches.
pub fn a_repeated_batch_adds_nothing(stores: &mut dyn Stores) {
    let mut store = stores.open();
    let batch =
        || ["http://a.test/1", "http://a.test/1", "http://b.test/1"].map(record).map(Admission::Queue);
    let first = store.admit(batch().into()).unwrap();
    assert_eq!(first, AdmittedCounts { new: 2, known: 1, filtered_new: 0 });
    let again = store.admit(batch().into()).unwrap();
    assert_eq!(again, AdmittedCounts { new: 0, known: 3, filtered_new: 0 });
    let stats = store.stats();
    assert_eq!((stats.discovered, stats.admitted, stats.left, stats.hosts), (2, 2, 2, 2));
}

/// Checks that a leased record has the same fields as when it was admitted.
pub fn a_record_comes_back_as_it_was(stores: &mut dyn Stores) {
    let mut store = stores.open();
    for url in [
        "http://a.test/",
        "https://a.test/x?y=%20",
        "http://a.test:443/other-port",
        "http://user:secret@a.test/z",
        "http://a.test./dot",
        "http://[::1]:8080/v6",
        "http://xn--bcher-kva.test/b%C3%BCcher",
        "http://a.test.evil.test/",
    ] {
        let sent = super::Record {
            depth: 7,
            priority: Priority(-3),
            attempts: Attempts { requests: 300, excused: 7 },
            score: Score::of(-2.5),
            validators: Some(Arc::new(Validators {
                etag: Some(Bytes::from("W/\"\u{e9}\"")),
                last_modified: Some(Bytes::from("Wed, 25 Nov 2026 10:00:00 GMT")),
                body_hash: Some(u64::MAX),
            })),
            extra: Bytes::from([0, 255, b'\n'].repeat(100)),
            ..record(url)
        };
        let name = sent.host.to_string();
        store.admit(vec![Admission::Queue(sent.clone())]).unwrap();
        let leases = lease(&mut *store, &name, 1);
        assert_eq!(leases[0].record, sent, "{url}");
    }
}

/// Checks that every filtered URL is counted once, under the reason for which it was filtered first.
pub fn a_filtered_url_is_counted_once(stores: &mut dyn Stores) {
    let mut store = stores.open();
    let one = store
        .admit(vec![
            filtered("http://a.test/1", Filtered::MaxDepth),
            filtered("http://a.test/1", Filtered::ScopeHost),
            filtered("http://a.test/2", Filtered::ScopeHost),
        ])
        .unwrap();
    assert_eq!(one, AdmittedCounts { new: 0, known: 1, filtered_new: 2 });
    let stats = store.stats();
    assert_eq!(stats.filtered[&Filtered::MaxDepth], 1);
    assert_eq!(stats.filtered[&Filtered::ScopeHost], 1);
    assert_eq!((stats.discovered, stats.admitted, stats.left), (2, 0, 0));
}

/// Checks that a filtered URL is admitted when it is later discovered in scope.
pub fn a_filtered_url_that_comes_into_scope_moves(stores: &mut dyn Stores) {
    let mut store = stores.open();
    store.admit(vec![filtered("http://a.test/1", Filtered::MaxDepth)]).unwrap();
    let moved = store.admit(vec![Admission::Queue(record("http://a.test/1"))]).unwrap();
    assert_eq!(moved, AdmittedCounts { new: 1, known: 0, filtered_new: 0 });
    let stats = store.stats();
    assert_eq!((stats.discovered, stats.admitted, stats.filtered_total()), (1, 1, 0));
    assert!(stats.filtered.is_empty(), "{:?}", stats.filtered);
    assert_eq!(lease(&mut *store, "a.test", 9).len(), 1);
}

/// Checks that an admitted URL stays admitted when it is later discovered out of scope.
pub fn an_admitted_url_is_not_filtered_later(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1"]);
    let known = store.admit(vec![filtered("http://a.test/1", Filtered::MaxDepth)]).unwrap();
    assert_eq!(known, AdmittedCounts { new: 0, known: 1, filtered_new: 0 });
    assert_eq!(store.stats().filtered_total(), 0);
}

/// Checks that each ending subtracts one from the number of URLs left and adds one to the counter of that ending.
pub fn the_books_balance_at_every_step(stores: &mut dyn Stores) {
    let mut store = stores.open();
    let urls =
        ["http://a.test/1", "http://a.test/2", "http://a.test/3", "http://a.test/4", "http://a.test/5"];
    admit(&mut *store, &urls);
    let endings: [fn(_) -> Settlement; 5] = [
        Settlement::page,
        Settlement::alias,
        |lease| Settlement::failed(lease, Reason::Timeout, 4, None),
        |lease| Settlement::retry(lease, NOW, Attempts::of(1)),
        Settlement::give_back,
    ];
    let mut left = 5;
    for (i, ending) in endings.into_iter().enumerate() {
        let lease = one(&mut *store, "a.test");
        assert!(store.stats().balances(), "{:?}", store.stats());
        assert_eq!(store.stats().out, 1);
        settle(&mut *store, ending(lease));
        left -= u64::from(i < 3);
        let stats = store.stats();
        assert!(stats.balances(), "{stats:?}");
        assert_eq!((stats.left, stats.out), (left, 0));
    }
    let stats = store.stats();
    assert_eq!((stats.pages, stats.aliases, stats.failures[&Reason::Timeout], stats.retries), (1, 1, 1, 1));
}

/// Checks that a settle changes only the positions of those sinks that are in its arguments.
pub fn positions_are_kept_by_sink(stores: &mut dyn Stores) {
    let mut store = stores.open();
    assert_eq!(store.positions().unwrap(), []);
    store.settle(Vec::new(), &[position("b", 10), position("a", 1)], NOW).unwrap();
    store.settle(Vec::new(), &[position("a", 2)], NOW).unwrap();
    store.settle(Vec::new(), &[], NOW).unwrap();
    assert_eq!(store.positions().unwrap(), [position("a", 2), position("b", 10)]);
}

/// Checks that reading a host's memo (its saved state) does not remove the memo from the store.
pub fn a_memo_stays_until_it_is_replaced(stores: &mut dyn Stores) {
    let mut store = stores.open();
    assert_eq!(store.host_memo(&host("a.test")).unwrap(), None);
    let memo = |text: &'static str| Some(Bytes::from(text));
    let keep = |name, text: &'static str| (host(name), Bytes::from(text));
    store.keep_hosts(vec![keep("a.test", "held"), keep("b.test", "")]).unwrap();
    assert_eq!(store.host_memo(&host("a.test")).unwrap(), memo("held"));
    assert_eq!(store.host_memo(&host("a.test")).unwrap(), memo("held"));
    assert_eq!(store.host_memo(&host("b.test")).unwrap(), memo(""));
    store.keep_hosts(vec![keep("a.test", "open")]).unwrap();
    assert_eq!(store.host_memo(&host("a.test")).unwrap(), memo("open"));
}

/// Checks that a list contains a text once, even if the text was added several times.
pub fn texts_are_listed_once(stores: &mut dyn Stores) {
    let mut store = stores.open();
    assert!(store.listed("hosts").unwrap().is_empty());
    for (list, text) in [("hosts", "b.test"), ("hosts", "a.test:81"), ("hosts", "b.test"), ("host", "s")] {
        store.keep_listed(list, text);
    }
    store.checkpoint().unwrap();
    store.keep_listed("hosts", "c.test");
    let mut listed = store.listed("hosts").unwrap();
    listed.sort();
    assert_eq!(listed, ["a.test:81", "b.test", "c.test"]);
    assert_eq!(store.listed("host").unwrap(), ["s"]);
    let Some(store) = stores.reopen(store) else { return };
    let mut listed = store.listed("hosts").unwrap();
    listed.sort();
    assert_eq!(listed, ["a.test:81", "b.test"], "no commit wrote the last one");
}
