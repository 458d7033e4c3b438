//! Tests of what a store contains after a kill. A store that does not survive a kill returns `None` from `reopen`,
//! and passes them.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this module is tests")]

use std::time::Duration;

use bytes::Bytes;
use opilio_core::{Attempts, Fingerprint, Reason, Record};

use super::{
    NOW, Stores, admit, decided, filtered, host, lease, lease_at, one, paths, position, ready, record, settle,
};
use crate::{Admission, Again, Filtered, Known, Redirect, Settlement};

/// Checks that after a kill a leased record is due again at its old place, because leases are never stored.
pub fn a_kill_brings_leases_back(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3"]);
    ready(&mut *store);
    lease(&mut *store, "a.test", 2);
    let Some(mut store) = stores.reopen(store) else { return };
    assert_eq!((store.stats().left, store.stats().out), (3, 0));
    assert_eq!(ready(&mut *store), [host("a.test")], "after opening, all hosts with due work are ready");
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["1", "2", "3"]);
}

/// Checks that after a kill ended URLs stay ended, filtered URLs stay counted, and both stay known.
pub fn a_kill_keeps_what_was_settled(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3"]);
    store.admit(vec![filtered("http://x.test/", Filtered::ScopeHost)]).unwrap();
    let (first, second) = (one(&mut *store, "a.test"), one(&mut *store, "a.test"));
    settle(&mut *store, Settlement::failed(first, Reason::Dns, 4, Some("http://o.test/".into())));
    settle(&mut *store, Settlement::redirected(second, record("http://b.test/2")));
    let before = store.stats();
    let Some(mut store) = stores.reopen(store) else { return };
    assert_eq!(store.stats(), before);
    assert_eq!(&*store.failures(0, 9).unwrap()[0].url, "http://o.test/");
    let known = store
        .admit(vec![
            Admission::Queue(record("http://a.test/1")),
            Admission::Queue(record("http://b.test/2")),
            filtered("http://x.test/", Filtered::MaxDepth),
        ])
        .unwrap();
    assert_eq!(known.known, 3);
    assert_eq!(paths(&lease(&mut *store, "b.test", 9)), ["2"]);
}

/// Checks that a kill changes neither the due time of a retry nor the memo (saved state) of a host.
pub fn a_kill_keeps_times_and_memos(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1"]);
    let first = one(&mut *store, "a.test");
    let due = NOW + Duration::from_secs(3600);
    settle(&mut *store, Settlement::retry(first, due, Attempts::of(3)));
    store.keep_hosts(vec![(host("a.test"), Bytes::from("held"))]).unwrap();
    let Some(mut store) = stores.reopen(store) else { return };
    assert_eq!(store.host_memo(&host("a.test")).unwrap(), Some(Bytes::from("held")));
    assert!(ready(&mut *store).is_empty());
    assert_eq!(store.next_due(), Some(due));
    assert_eq!(store.hosts_ready(due, 9).unwrap(), [host("a.test")]);
    assert_eq!(lease_at(&mut *store, "a.test", 9, due)[0].record.attempts, Attempts::of(3));
}

/// Checks that the next commit writes a note, and that a kill before that commit loses the note.
pub fn a_kill_keeps_notes_with_their_commit(stores: &mut dyn Stores) {
    let mut store = stores.open();
    store.keep_note("run", Bytes::from("one"));
    store.keep_note("crawl", Bytes::from("made"));
    assert_eq!(store.note("run").unwrap(), Some(Bytes::from("one")));
    admit(&mut *store, &["http://a.test/1"]);
    store.keep_note("run", Bytes::from("two"));
    store.checkpoint().unwrap();
    store.keep_note("run", Bytes::from("three"));
    let Some(store) = stores.reopen(store) else { return };
    assert_eq!(store.note("run").unwrap(), Some(Bytes::from("two")));
    assert_eq!(store.note("crawl").unwrap(), Some(Bytes::from("made")));
    assert_eq!(store.note("other").unwrap(), None);
}

/// Checks that a settle and the positions of sinks in its arguments are written in one commit.
pub fn a_page_is_settled_and_positioned_at_once(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2"]);
    let first = one(&mut *store, "a.test");
    store.settle(vec![Settlement::page(first)], &[position("out.jsonl", 120)], NOW).unwrap();
    let Some(mut store) = stores.reopen(store) else { return };
    assert_eq!(store.stats().pages, 1);
    assert_eq!(store.positions().unwrap(), [position("out.jsonl", 120)]);
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["2"]);
}

/// Checks what a kill leaves of redirected URLs: URLs that wait for a known URL still wait, and URLs with an
/// unsettled lease from `decided` get a new lease from it, at the latest when only waiting URLs are left.
pub fn a_kill_keeps_what_waits_for_a_known_url(stores: &mut dyn Stores) {
    let mut store = stores.open();
    let urls = ["http://a.test/page", "http://a.test/gone", "http://a.test/late", "http://a.test/wall"];
    admit(&mut *store, &urls);
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3", "http://a.test/4"]);
    let leases = lease(&mut *store, "a.test", 9);
    settle(&mut *store, Settlement::page(leases[0].id));
    settle(&mut *store, Settlement::failed(leases[1].id, Reason::Http5xx, 1, None));
    settle(&mut *store, Settlement::retry(leases[2].id, NOW, Attempts::of(1)));
    settle(&mut *store, Settlement::retry(leases[3].id, NOW, Attempts::of(1)));
    for (lease, url) in leases[4..].iter().zip(urls) {
        let redirect = Redirect { again: Again::BehindWall, ..record(url).into() };
        settle(&mut *store, Settlement::redirected(lease.id, redirect));
    }
    // `decided` has leased these URLs, but their leases are not settled.
    assert_eq!(decided(&mut *store).len(), 2);
    let before = store.stats();
    let Some(mut store) = stores.reopen(store) else { return };
    let after = store.stats();
    assert_eq!((after.left, after.waiting, after.out), (before.left, before.waiting + 2, 0));
    let found = decided(&mut *store);
    assert_eq!(found.iter().map(|one| one.known).collect::<Vec<_>>(), [Known::Failed(Reason::Http5xx)]);
    assert_eq!(&*found[0].lease.record.url, "http://a.test/2");
    settle(&mut *store, Settlement::failed(found[0].lease.id, Reason::Http5xx, 1, None));
    // These URLs end only after the store was opened again.
    let late = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&late), ["late", "wall"]);
    settle(&mut *store, Settlement::failed(late[0].id, Reason::Timeout, 1, None));
    let found = decided(&mut *store);
    assert_eq!(found.iter().map(|one| one.known).collect::<Vec<_>>(), [Known::Failed(Reason::Timeout)]);
    settle(&mut *store, Settlement::failed(found[0].lease.id, Reason::Timeout, 1, None));
    // Now only waiting URLs are left, so a known URL that did not fail must have been a page.
    let back = Record { fingerprint: Fingerprint(7), ..record("http://a.test/4") };
    settle(&mut *store, Settlement::redirected(late[1].id, Redirect { sets_cookie: true, ..back.into() }));
    let back = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::page(back));
    let Some(mut store) = stores.reopen(store) else { return };
    let mut known: Vec<_> =
        decided(&mut *store).into_iter().map(|one| (one.lease.record.url, one.known)).collect();
    known.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(known, [("http://a.test/1".into(), Known::Page), ("http://a.test/4".into(), Known::Wall)]);
    assert_eq!((store.stats().left, store.stats().out), (2, 2));
}
