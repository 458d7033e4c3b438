//! Tests of the rules for the ways in which a lease ends.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this module is tests")]

use bytes::Bytes;
use std::time::Duration;

use opilio_core::{Attempts, Ending, Fingerprint, LeaseId, Reason, Record, RecordKind, Timestamp};

use super::{
    NOW, Stores, admit, decided, filtered, host, lease, lease_at, one, paths, ready, record, settle,
};
use crate::stats::{Cause, Failure};
use crate::{
    Admission, Again, Caps, Decided, Fetched, Filtered, HostCaps, Known, MemoryOptions, Redirect,
    SettledCounts, Settlement,
};

/// Checks that a lease that is given back without an attempt changes no counter, and that its host then has due
/// records again.
pub fn what_is_returned_is_back_at_its_place(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3"]);
    ready(&mut *store);
    let leases = lease(&mut *store, "a.test", 9);
    admit(&mut *store, &["http://a.test/4"]);
    ready(&mut *store);
    lease(&mut *store, "a.test", 0);
    settle(&mut *store, Settlement::give_back(leases[2].id));
    settle(&mut *store, Settlement::give_back(leases[0].id));
    let again = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&again), ["1", "3", "4"]);
    assert_eq!(again[0].record, leases[0].record);
    assert_ne!(again[0].id, leases[0].id);
    assert_eq!(store.stats().retries, 0);

    assert!(ready(&mut *store).is_empty());
    settle(&mut *store, Settlement::give_back(again[0].id));
    assert_eq!(ready(&mut *store), [host("a.test")]);
}

/// Checks that a retry is not leased before its due time, and that after this time it is leased before younger
/// records.
pub fn a_retry_waits_and_keeps_its_age(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3"]);
    let first = one(&mut *store, "a.test");
    let due = NOW + Duration::from_secs(10);
    settle(&mut *store, Settlement::retry(first, due, Attempts::of(2)));
    assert_eq!(store.next_due(), Some(due));
    assert_eq!((store.stats().waiting, store.stats().left, store.stats().retries), (1, 3, 1));

    let early = lease_at(&mut *store, "a.test", 1, due - Duration::from_micros(1));
    assert_eq!(paths(&early), ["2"]);
    let then = lease_at(&mut *store, "a.test", 9, due);
    assert_eq!(paths(&then), ["1", "3"]);
    assert_eq!(then[0].record.attempts, Attempts::of(2));
    assert_eq!((store.next_due(), store.stats().waiting), (None, 0));
}

/// Checks that a host whose only record is due later is ready when the record is due, and not before.
pub fn a_retry_wakes_its_host(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1"]);
    ready(&mut *store);
    let only = one(&mut *store, "a.test");
    lease(&mut *store, "a.test", 1);
    let due = NOW + Duration::from_secs(3600);
    settle(&mut *store, Settlement::retry(only, due, Attempts::of(1)));
    assert!(ready(&mut *store).is_empty());
    assert_eq!(store.hosts_ready(due, 9).unwrap(), [host("a.test")]);
    assert!(store.hosts_ready(due, 9).unwrap().is_empty());
    assert_eq!(lease_at(&mut *store, "a.test", 9, due).len(), 1);
}

/// Checks that the target of a redirect is known after the redirect, and that the end of the target counts as the end
/// of the redirected URL.
pub fn a_redirect_goes_on_as_its_target(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/old"]);
    let old = one(&mut *store, "a.test");
    let settled = settle(&mut *store, Settlement::redirected(old, record("http://b.test/new")));
    assert_eq!(settled, SettledCounts { over: 1, stale: 0 });
    assert!(!store.is_out(old));
    let stats = store.stats();
    assert_eq!((stats.discovered, stats.admitted, stats.left, stats.redirects), (1, 1, 1, 1));

    let again = store.admit(vec![Admission::Queue(record("http://b.test/new"))]).unwrap();
    assert_eq!(again.known, 1);
    assert!(ready(&mut *store).contains(&host("b.test")));
    let new = lease(&mut *store, "b.test", 9);
    assert_eq!(new[0].record.kind, RecordKind::Continuation);
    settle(&mut *store, Settlement::page(new[0].id));
    let stats = store.stats();
    assert_eq!((stats.pages, stats.left), (1, 0));
    assert!(stats.balances());
}

/// Checks that a URL that is redirected to a known URL waits until the known URL has ended. Then the waiting URL gets
/// a new lease and ends in the same way as the known URL.
pub fn a_redirect_to_a_known_url_waits_until_that_has_ended(stores: &mut dyn Stores) {
    for (ending, known) in [
        (Ending::Page, Known::Page),
        (Ending::Alias, Known::Page),
        (Ending::Failed(Reason::Http5xx), Known::Failed(Reason::Http5xx)),
    ] {
        let mut store = stores.open();
        admit(&mut *store, &["http://a.test/1", "http://a.test/2"]);
        let leases = lease(&mut *store, "a.test", 2);
        let first = leases[0].id;
        let settled = settle(&mut *store, Settlement::redirected(first, record("http://a.test/2")));
        assert_eq!(settled, SettledCounts { over: 1, stale: 0 });
        assert!(!store.is_out(first));
        let stats = store.stats();
        assert_eq!((stats.aliases, stats.left, stats.redirects, stats.waiting), (0, 2, 0, 1));
        assert!(decided(&mut *store).is_empty());
        assert!(lease(&mut *store, "a.test", 9).is_empty(), "no request is due");

        let end = match ending {
            Ending::Page => Settlement::page(leases[1].id),
            Ending::Failed(reason) => Settlement::failed(leases[1].id, reason, 1, None),
            _ => Settlement::alias(leases[1].id),
        };
        settle(&mut *store, end);
        let decided_now = decided(&mut *store);
        let [Decided { lease: again, target, known: found }] = &decided_now[..] else {
            panic!("{decided_now:?} are decided")
        };
        assert_eq!((&**target, *found), ("http://a.test/2", known));
        assert_eq!(again.record, Record { attempts: Attempts::NONE, ..leases[0].record.clone() });
        assert!(store.is_out(again.id) && again.id > leases[1].id);
        assert_eq!((store.stats().out, store.stats().left), (1, 1));
        assert!(decided(&mut *store).is_empty(), "it is out");
        settle(&mut *store, Settlement::alias(again.id));
        assert_eq!((store.stats().left, store.stats().waiting, store.stats().out), (0, 0, 0));
        assert!(store.stats().balances() && !store.is_out(again.id));
    }
}

/// Checks that `decided` returns a redirected URL at once if its target has ended already.
pub fn a_redirect_to_a_url_that_has_ended_is_decided_at_once(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/page", "http://a.test/gone", "http://a.test/1", "http://a.test/2"]);
    let leases = lease(&mut *store, "a.test", 4);
    settle(&mut *store, Settlement::page(leases[0].id));
    settle(&mut *store, Settlement::failed(leases[1].id, Reason::Http4xx, 1, None));
    settle(&mut *store, Settlement::redirected(leases[2].id, record("http://a.test/page")));
    settle(&mut *store, Settlement::redirected(leases[3].id, record("http://a.test/gone")));
    let known: Vec<_> = decided(&mut *store).into_iter().map(|one| (one.lease.id, one.known)).collect();
    assert_eq!(
        known.iter().map(|(_, known)| *known).collect::<Vec<_>>(),
        [Known::Page, Known::Failed(Reason::Http4xx)]
    );
    settle(&mut *store, Settlement::alias(known[0].0));
    settle(&mut *store, Settlement::failed(known[1].0, Reason::Http4xx, 1, None));
    let stats = store.stats();
    assert!(stats.balances());
    assert_eq!((stats.pages, stats.aliases, stats.failures[&Reason::Http4xx], stats.left), (1, 1, 2, 0));
}

/// Checks that the store finds rings of redirects of any length, even when the first URL leads into the ring and is
/// not part of it.
pub fn a_ring_of_redirects_is_found(stores: &mut dyn Stores) {
    for length in [2, 3, 12, 40] {
        let mut store = stores.open();
        let url = |n: usize| format!("http://a.test/{n}");
        let urls: Vec<_> = (0..=length).map(url).collect();
        admit(&mut *store, &urls.iter().map(|url| &**url).collect::<Vec<_>>());
        let leases = lease(&mut *store, "a.test", 99);
        // The last URL leads back to URL 1, so URLs 1 and higher form a ring, and URL 0 leads into it.
        for (n, lease) in leases.iter().enumerate() {
            let next = if n == length { 1 } else { n + 1 };
            settle(&mut *store, Settlement::redirected(lease.id, record(&url(next))));
        }
        let found = decided(&mut *store);
        assert_eq!(found.len(), length + 1);
        for one in found {
            assert_eq!(one.known, Known::Failed(Reason::RedirectLoop), "{length}");
            settle(&mut *store, Settlement::failed(one.lease.id, Reason::RedirectLoop, 1, None));
        }
        assert!(store.stats().balances() && store.stats().left == 0);
    }
}

/// Checks that the origin of a chain may be requested again when a redirect of another chain, which this chain
/// follows, set a cookie.
pub fn a_cookie_on_the_way_lets_a_chain_ask_again(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3", "http://a.test/4"]);
    let leases = lease(&mut *store, "a.test", 4);
    let wall = |again| Redirect { again, ..record("http://a.test/wall").into() };
    settle(&mut *store, Settlement::redirected(leases[0].id, wall(Again::BehindWall)));
    settle(&mut *store, Settlement::redirected(leases[1].id, wall(Again::BehindWall)));
    settle(&mut *store, Settlement::redirected(leases[2].id, wall(Again::Never)));
    settle(&mut *store, Settlement::redirected(leases[3].id, wall(Again::Always)));
    let at_once: Vec<_> = decided(&mut *store).into_iter().map(|one| one.known).collect();
    assert_eq!(at_once, [Known::OwnWall], "its own chain has passed one");
    let back = Fingerprint::of(&"http://a.test/1".parse().unwrap()).in_session("again");
    let back = Record { fingerprint: back, ..record("http://a.test/1") };
    let wall = one(&mut *store, "a.test");
    let back = Redirect { sets_cookie: true, ..back.into() };
    settle(&mut *store, Settlement::redirected(wall, back));
    assert!(decided(&mut *store).is_empty(), "not before the way behind it has ended");
    let back = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::page(back));
    let mut known: Vec<_> =
        decided(&mut *store).into_iter().map(|one| (one.lease.record.url, one.known)).collect();
    known.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(known, [("http://a.test/2".into(), Known::Wall), ("http://a.test/3".into(), Known::Page)]);
}

/// Checks two cases together: more URLs wait than one call of `decided` checks, and the URL that they wait for is
/// redirected to another URL.
pub fn many_wait_for_one_url(stores: &mut dyn Stores) {
    const MANY: usize = 2_500;
    let mut store = stores.open();
    admit(&mut *store, &["http://b.test/old"]);
    let urls: Vec<_> = (0..MANY).map(|n| format!("http://a.test/{n}")).collect();
    admit(&mut *store, &urls.iter().map(|url| &**url).collect::<Vec<_>>());
    let leases = lease(&mut *store, "a.test", MANY);
    let to_old = |id| Settlement::redirected(id, record("http://b.test/old"));
    store.settle(leases.iter().map(|lease| to_old(lease.id)).collect(), &[], NOW).unwrap();
    assert!(decided(&mut *store).is_empty());
    let old = one(&mut *store, "b.test");
    settle(&mut *store, Settlement::redirected(old, record("http://b.test/new")));
    assert!(decided(&mut *store).is_empty());
    let new = one(&mut *store, "b.test");
    settle(&mut *store, Settlement::page(new));
    let mut ended = 0;
    while store.stats().left > 0 {
        let mut some = Vec::new();
        store.decided(100, &mut some).unwrap();
        assert!(!some.is_empty() && some.len() <= 100, "{ended} have ended");
        ended += some.len();
        let ends = some.iter().map(|one| Settlement::alias(one.lease.id)).collect();
        assert_eq!(store.settle(ends, &[], NOW).unwrap().over, some.len() as u64);
    }
    assert_eq!((ended, store.stats().aliases), (MANY, MANY as u64));
    assert!(store.stats().balances());
}

/// Checks that a redirect's target is due later if the answer with the redirect stated a wait.
pub fn a_redirects_target_may_be_due_later(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1"]);
    let first = one(&mut *store, "a.test");
    let due = NOW + Duration::from_secs(2);
    let later = Redirect { due: Some(due), ..record("http://b.test/2").into() };
    settle(&mut *store, Settlement::redirected(first, later));
    assert!(lease(&mut *store, "b.test", 9).is_empty());
    let stats = store.stats();
    assert_eq!((stats.left, stats.waiting, stats.redirects, stats.retries), (1, 1, 1, 0));
    assert_eq!(store.next_due(), Some(due));
    let then = lease_at(&mut *store, "b.test", 9, due);
    assert_eq!((paths(&then), then[0].record.kind), (vec!["2"], RecordKind::Continuation));
}

/// Checks that a redirected URL fails when its target fails. When failures are tried again, the redirected URL itself
/// is requested.
pub fn a_failed_target_takes_what_led_there_along_until_it_is_due_again(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3"]);
    let leases = lease(&mut *store, "a.test", 3);
    settle(&mut *store, Settlement::failed(leases[1].id, Reason::Timeout, 1, None));
    settle(&mut *store, Settlement::redirected(leases[0].id, record("http://a.test/2")));
    let failed = decided(&mut *store).remove(0);
    settle(&mut *store, Settlement::failed(failed.lease.id, Reason::Timeout, 1, None));
    assert_eq!(store.retry_failed(9).unwrap(), 2);
    let again = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&again), ["2", "1"]);
    settle(&mut *store, Settlement::redirected(again[1].id, record("http://a.test/2")));
    settle(&mut *store, Settlement::redirected(leases[2].id, record("http://a.test/2")));
    assert!(decided(&mut *store).is_empty(), "it is under way again");
    settle(&mut *store, Settlement::page(again[0].id));
    assert!(decided(&mut *store).iter().all(|one| one.known == Known::Page));
    assert_eq!(store.stats().out, 2);
}

/// Checks that a redirect to a filtered URL is followed: the target was never fetched, so the crawl does not have its
/// content. The count of filtered URLs stays the same.
pub fn a_redirect_to_a_filtered_url_is_followed(stores: &mut dyn Stores) {
    let mut store = stores.open();
    store.admit(vec![filtered("http://a.test/deep", Filtered::MaxDepth)]).unwrap();
    admit(&mut *store, &["http://a.test/1"]);
    let first = one(&mut *store, "a.test");
    let settled = settle(&mut *store, Settlement::redirected(first, record("http://a.test/deep")));
    assert_eq!(settled.over, 1);
    let known = store.admit(vec![Admission::Queue(record("http://a.test/deep"))]).unwrap();
    assert_eq!(known.known, 1);
    let stats = store.stats();
    assert_eq!((stats.discovered, stats.filtered_total(), stats.admitted, stats.left), (2, 1, 1, 1));
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["deep"]);
}

/// Checks that a redirect to another spelling of the same URL is followed: both spellings have the same fingerprint,
/// but the second was not fetched.
pub fn a_redirect_to_itself_is_followed(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/?b=1&a=2"]);
    let first = one(&mut *store, "a.test");
    let target = record("http://a.test/?a=2&b=1");
    assert_eq!(settle(&mut *store, Settlement::redirected(first, target)).over, 1);
    let second = lease(&mut *store, "a.test", 9);
    assert_eq!(&*second[0].record.url, "http://a.test/?a=2&b=1");
    settle(&mut *store, Settlement::page(second[0].id));
    assert!(store.stats().balances());
    assert_eq!(store.stats().left, 0);
}

/// Checks two redirects to one target in one batch: the first queues the target, and the second waits for it.
pub fn two_redirects_to_one_target_in_one_batch(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2"]);
    let leases = lease(&mut *store, "a.test", 2);
    let to = |lease: LeaseId| Settlement::redirected(lease, record("http://a.test/3"));
    let settled = store.settle(vec![to(leases[0].id), to(leases[1].id)], &[], NOW).unwrap();
    assert_eq!(settled, SettledCounts { over: 2, stale: 0 });
    let third = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&third), ["3"]);
    settle(&mut *store, Settlement::failed(third[0].id, Reason::Http5xx, 1, Some("http://a.test/1".into())));
    let known: Vec<_> =
        decided(&mut *store).into_iter().map(|one| (one.lease.record.url, one.known)).collect();
    assert_eq!(known, [("http://a.test/2".into(), Known::Failed(Reason::Http5xx))]);
}

/// Checks that a settlement of a lease that has already ended changes nothing.
pub fn a_stale_settlement_changes_nothing(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2"]);
    let first = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::page(first));
    let before = store.stats();
    let late = vec![
        Settlement::failed(first, Reason::Timeout, 1, None),
        Settlement::retry(first, Timestamp::EPOCH, Attempts::of(1)),
        Settlement::give_back(LeaseId(u64::MAX)),
        Settlement::redirected(first, record("http://a.test/target")),
    ];
    let settled = store.settle(late, &[], NOW).unwrap();
    assert_eq!(settled, SettledCounts { over: 0, stale: 4 });
    assert_eq!(store.stats(), before);
    assert!(store.failures(0, 9).unwrap().is_empty());
    let new = store.admit(vec![Admission::Queue(record("http://a.test/target"))]).unwrap();
    assert_eq!(new.new, 1, "a stale redirect admits nothing");
}

/// Checks that failures are listed in the order in which they ended, one part of the list in each call. If a
/// settlement names the origin of the redirects, the failure has the URL of the origin.
pub fn failures_are_listed_in_order(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3"]);
    let leases = lease(&mut *store, "a.test", 3);
    let gone = Cause::new(Some(410), Some("the server says that it is gone"));
    let fail = |i: usize, reason, origin: Option<&str>| {
        Settlement::failed(leases[i].id, reason, i as u16 + 1, origin.map(Into::into))
    };
    store
        .settle(
            vec![
                fail(0, Reason::Timeout, None),
                fail(1, Reason::Http4xx, Some("http://o.test/")).because(gone.clone()),
                fail(2, Reason::Timeout, None),
            ],
            &[],
            NOW,
        )
        .unwrap();
    let failure = |url: &str, reason, attempts, cause| Failure {
        url: url.into(),
        reason,
        attempts,
        ended: NOW,
        cause,
        extra: Bytes::new(),
    };
    let all = [
        failure("http://a.test/1", Reason::Timeout, 1, Cause::default()),
        failure("http://o.test/", Reason::Http4xx, 2, gone),
        failure("http://a.test/3", Reason::Timeout, 3, Cause::default()),
    ];
    assert_eq!(store.failures(0, 9).unwrap(), all);
    assert_eq!(store.failures(1, 1).unwrap(), all[1..2]);
    assert!(store.failures(3, 9).unwrap().is_empty());
    assert_eq!(store.stats().failures[&Reason::Timeout], 2);
}

/// Checks that an admitted URL that is filtered leaves the queue for good, unless it is discovered in scope again.
/// The counters still include the URL.
pub fn what_is_filtered_after_all_moves_and_may_come_back(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3"]);
    ready(&mut *store);
    let leases = lease(&mut *store, "a.test", 2);
    settle(&mut *store, Settlement::redirected(leases[0].id, record("http://a.test/target")));
    settle(&mut *store, Settlement::filtered(leases[1].id, Filtered::ScopePattern));
    let rest = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&rest), ["3", "target"]);
    settle(&mut *store, Settlement::filtered(rest[1].id, Filtered::MaxDepth));
    let stats = store.stats();
    assert!(stats.balances(), "{stats:?}");
    assert_eq!((stats.discovered, stats.admitted, stats.left), (3, 1, 1));
    assert_eq!(
        stats.filtered,
        [(Filtered::ScopePattern, 1), (Filtered::MaxDepth, 1)].into_iter().collect(),
        "the target ended in the name of its origin"
    );
    let again = store
        .admit(["2", "target"].map(|path| Admission::Queue(record(&format!("http://a.test/{path}")))).into());
    let again = again.unwrap();
    assert_eq!((again.new, again.known), (1, 1));
    let Some(mut store) = stores.reopen(store) else { return };
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["3", "2"]);
    assert!(store.stats().balances());
}

/// Checks that URLs that wait for a filtered URL fail as out of scope, and that URLs that wait for those URLs fail in
/// the same way.
pub fn what_is_filtered_after_all_decides_what_waits_for_it(stores: &mut dyn Stores) {
    let mut store = stores.open();
    let url = |path: &str| format!("http://a.test/{path}");
    admit(&mut *store, &["1", "2", "3", "4", "5"].map(url).each_ref().map(|url| &**url));
    let leases = lease(&mut *store, "a.test", 9);
    let to = |lease: &opilio_core::Lease, path: &str| Settlement::redirected(lease.id, record(&url(path)));
    // URL 1 redirects to URL 2, which is queued. URLs 3 and 4 redirect to one URL, which is not queued. URL 5
    // redirects to URL 1.
    let led =
        vec![to(&leases[0], "2"), to(&leases[2], "target"), to(&leases[3], "target"), to(&leases[4], "1")];
    store.settle(led, &[], NOW).unwrap();
    assert!(decided(&mut *store).is_empty());
    settle(&mut *store, Settlement::filtered(leases[1].id, Filtered::ScopePattern));
    let target = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::filtered(target, Filtered::MaxDepth));
    let mut found = decided(&mut *store);
    found.sort_by(|a, b| a.lease.record.url.cmp(&b.lease.record.url));
    assert_eq!(found.iter().map(|one| &*one.lease.record.url).collect::<Vec<_>>(), ["1", "4", "5"].map(url));
    assert!(found.iter().all(|one| one.known == Known::Failed(Reason::OutOfScope)), "{found:?}");
    // A URL that waited for a known URL may be filtered itself.
    settle(&mut *store, Settlement::filtered(found[0].lease.id, Filtered::ScopePattern));
    for one in &found[1..] {
        settle(&mut *store, Settlement::failed(one.lease.id, Reason::OutOfScope, 1, None));
    }
    let stats = store.stats();
    assert!(stats.balances() && stats.left == 0 && stats.waiting == 0 && stats.out == 0, "{stats:?}");
    assert_eq!((stats.filtered[&Filtered::ScopePattern], stats.filtered[&Filtered::MaxDepth]), (2, 1));
    // The filtered URLs are admitted again when they are discovered in scope.
    admit(&mut *store, &[&url("1"), &url("2"), &url("6")]);
    let again = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&again), ["1", "2", "6"]);
    settle(&mut *store, to(&again[2], "1"));
    assert!(decided(&mut *store).is_empty(), "1 is under way");
    settle(&mut *store, Settlement::page(again[0].id));
    assert_eq!(decided(&mut *store)[0].known, Known::Page);
}

/// Checks that a URL that waited for a known URL can end in the same ways as a URL that was requested. If it ends as
/// a page, it counts towards the caps of its host and can become due again, and the URLs that wait for it can end.
pub fn what_waited_ends_as_any_other(stores: &mut dyn Stores) {
    let caps = Caps::every_host(HostCaps { pages: Some(2), ..HostCaps::default() });
    let mut store = stores.open_with(MemoryOptions { caps, history: true, ..MemoryOptions::default() });
    admit(&mut *store, &["http://a.test/1", "http://b.test/2", "http://c.test/3", "http://a.test/4"]);
    let to = |lease, url: &str| Settlement::redirected(lease, record(url));
    let (first, third) = (one(&mut *store, "a.test"), one(&mut *store, "c.test"));
    store.settle(vec![to(first, "http://b.test/2"), to(third, "http://a.test/1")], &[], NOW).unwrap();
    assert!(decided(&mut *store).is_empty());
    let second = one(&mut *store, "b.test");
    settle(&mut *store, Settlement::page(second));
    let mut found = decided(&mut *store);
    assert!(found.iter().all(|one| one.known == Known::Page) && found.len() == 2, "{found:?}");
    found.sort_by(|a, b| a.lease.record.url.cmp(&b.lease.record.url));
    // A URL that waited was not requested, so a retry cannot repeat a request: the URL goes on waiting.
    let [origin, behind] = &found[..] else { panic!("{found:?}") };
    settle(&mut *store, Settlement::retry(behind.lease.id, NOW + Duration::from_secs(9), Attempts::of(1)));
    assert_eq!((store.stats().retries, store.next_due()), (0, None));
    let fetched = Fetched { body_bytes: 7, ..Fetched::default() };
    settle(&mut *store, Settlement::fetched_page(origin.lease.id, 1, fetched));
    let behind = decided(&mut *store);
    assert_eq!((behind.len(), behind[0].known), (1, Known::Page));
    settle(&mut *store, Settlement::alias(behind[0].lease.id));
    assert_eq!((store.stats().pages, store.stats().aliases, store.stats().left), (2, 1, 1));

    let last = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::page(last));
    let late = store.admit(vec![Admission::Queue(record("http://a.test/5"))]).unwrap();
    assert_eq!((late.filtered_new, late.new), (1, 0), "two pages of the host are all");
    assert_eq!(store.refresh(NOW + Duration::from_secs(1), 9).unwrap(), 3);
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["1", "4"]);
    assert!(store.stats().balances());
}
