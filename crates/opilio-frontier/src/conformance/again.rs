//! Tests of the rules for ended URLs that become due again.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this module is tests")]

use std::time::Duration;

use bytes::Bytes;
use opilio_core::{LeaseId, Reason, Timestamp, Validators};

use super::{NOW, Stores, admit, host, lease, one, paths, ready, record, settle};
use crate::{Admission, Fetched, Frontier, FrontierError, MemoryOptions, Settlement};

/// Checks that a failure that is made due again counts as left, has all its attempts again, and no longer counts as a
/// failure.
pub fn failures_become_due_again(stores: &mut dyn Stores) {
    let mut store = stores.open();
    let sent = super::Record { depth: 3, extra: Bytes::from("step"), ..record("http://a.test/1") };
    store.admit(vec![Admission::Queue(sent.clone())]).unwrap();
    let first = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::failed(first, Reason::Dns, 4, Some("http://o.test/".into())));
    assert!(lease(&mut *store, "a.test", 1).is_empty());

    assert_eq!(store.retry_failed(9).unwrap(), 1);
    assert_eq!(store.retry_failed(9).unwrap(), 0);
    let stats = store.stats();
    assert!(stats.balances() && stats.failures.is_empty(), "{stats:?}");
    assert_eq!((stats.left, stats.revived), (1, 1));
    assert!(store.failures(0, 9).unwrap().is_empty());
    assert_eq!(ready(&mut *store), [host("a.test")]);
    assert_eq!(lease(&mut *store, "a.test", 9)[0].record, sent);
}

/// Checks that the oldest failures become due again first, that the remaining failures then move up in the list of
/// failures, and that later failures are added behind them.
pub fn failures_are_revived_in_portions(stores: &mut dyn Stores) {
    let mut store = stores.open();
    let urls = ["http://a.test/1", "http://a.test/2", "http://a.test/3", "http://a.test/4"];
    admit(&mut *store, &urls);
    let fail = |store: &mut dyn Frontier, lease: LeaseId, reason| {
        settle(store, Settlement::failed(lease, reason, 1, None));
    };
    for reason in [Reason::Dns, Reason::Timeout, Reason::Dns] {
        let lease = one(&mut *store, "a.test");
        fail(&mut *store, lease, reason);
    }
    assert_eq!(store.retry_failed(2).unwrap(), 2);
    assert_eq!(store.stats().failures.into_iter().collect::<Vec<_>>(), [(Reason::Dns, 1)]);
    assert_eq!(&*store.failures(0, 9).unwrap()[0].url, urls[2]);
    let leases = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&leases), ["4", "1", "2"], "a record that is due again stands behind all others");
    fail(&mut *store, leases[1].id, Reason::Dns);
    let failures = store.failures(0, 9).unwrap();
    assert_eq!(failures.iter().map(|failure| &*failure.url).collect::<Vec<_>>(), [urls[2], urls[0]]);
    assert_eq!(&*store.failures(1, 1).unwrap()[0].url, urls[0]);
}

/// Checks that failures of one reason become due again. Failures of other reasons keep their order in the list of
/// failures, and so do failures whose host may not be requested again.
pub fn failures_of_one_reason_are_revived(stores: &mut dyn Stores) {
    let mut store = stores.open();
    let urls: Vec<String> = (0..6).map(|n| format!("http://a.test/{n}")).collect();
    admit(&mut *store, &urls.iter().map(|url| &**url).collect::<Vec<_>>());
    for n in 0..6 {
        let reason = if n % 2 == 0 { Reason::HostClosed } else { Reason::Timeout };
        let lease = one(&mut *store, "a.test");
        settle(&mut *store, Settlement::failed(lease, reason, 1, None));
    }
    store.keep_hosts(vec![(host("a.test"), Bytes::from("closed until noon"))]).unwrap();
    let mut asked = Vec::new();
    let mut not_yet = |host: &super::Host, memo: Option<&[u8]>| {
        asked.push((host.clone(), memo.map(<[u8]>::to_vec)));
        false
    };
    assert_eq!(store.retry_failed_for(Some(Reason::HostClosed), &mut not_yet).unwrap(), 0);
    assert_eq!(asked, [(host("a.test"), Some(b"closed until noon".to_vec()))], "once for each host");
    assert_eq!(store.stats().failures[&Reason::HostClosed], 3);
    assert_eq!(store.retry_failed_for(Some(Reason::HostClosed), &mut |_, _| true).unwrap(), 3);
    assert_eq!(store.retry_failed_for(Some(Reason::HostClosed), &mut |_, _| true).unwrap(), 0);
    let left = |store: &dyn Frontier| -> Vec<String> {
        store.failures(0, 9).unwrap().iter().map(|failure| failure.url.to_string()).collect()
    };
    let others = [&*urls[1], &*urls[3], &*urls[5]];
    assert_eq!(left(&*store), others);
    assert_eq!(&*store.failures(1, 1).unwrap()[0].url, others[1]);
    let stats = store.stats();
    assert!(stats.balances() && stats.left == 3, "{stats:?}");
    assert_eq!(stats.failures.into_iter().collect::<Vec<_>>(), [(Reason::Timeout, 3)]);
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["0", "2", "4"]);
    let Some(mut store) = stores.reopen(store) else { return };
    assert_eq!(left(&*store), others);
    assert_eq!(store.retry_failed(9).unwrap(), 3);
}

/// Checks that failures of any reason become due again. Failures whose host may not be requested again keep their
/// order in the list of failures.
pub fn failures_of_some_hosts_are_revived(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://b.test/2", "http://a.test/3", "http://b.test/4"]);
    for (name, reason) in [
        ("a.test", Reason::HostClosed),
        ("b.test", Reason::HostClosed),
        ("a.test", Reason::Timeout),
        ("b.test", Reason::Timeout),
    ] {
        let lease = one(&mut *store, name);
        settle(&mut *store, Settlement::failed(lease, reason, 1, None));
    }
    assert_eq!(store.retry_failed_for(None, &mut |asked, _| *asked == host("a.test")).unwrap(), 2);
    let stats = store.stats();
    assert!(stats.balances() && stats.left == 2 && stats.revived == 2, "{stats:?}");
    let left: Vec<_> = store.failures(0, 9).unwrap().into_iter().map(|failure| failure.reason).collect();
    assert_eq!(left, [Reason::HostClosed, Reason::Timeout]);
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["1", "3"]);
    assert!(lease(&mut *store, "b.test", 9).is_empty());
}

/// Checks that a page becomes due again together with its validators. Until it ends again, it counts as left, not as
/// a page.
pub fn a_page_becomes_due_again_with_its_validators(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1"]);
    let first = one(&mut *store, "a.test");
    let validators = Validators { etag: Some(Bytes::from("\"7\"")), ..Validators::default() };
    let fetched = || Fetched { body_bytes: 10, validators: validators.clone() };
    settle(&mut *store, Settlement::fetched_page(first, 1, fetched()));
    assert_eq!(store.refresh(NOW, 9).unwrap(), 0, "it did not end before it did");

    assert_eq!(store.refresh(NOW + Duration::from_secs(1), 9).unwrap(), 1);
    let stats = store.stats();
    assert!(stats.balances(), "{stats:?}");
    assert_eq!((stats.pages, stats.left, stats.refreshed), (0, 1, 1));
    assert_eq!(store.admit(vec![Admission::Queue(record("http://a.test/1"))]).unwrap().known, 1);
    assert_eq!(ready(&mut *store), [host("a.test")]);
    let again = lease(&mut *store, "a.test", 9);
    assert_eq!(again[0].record.validators.as_deref(), Some(&validators));

    settle(&mut *store, Settlement::fetched_page(again[0].id, 1, fetched()));
    let stats = store.stats();
    assert_eq!((stats.discovered, stats.pages, stats.left), (1, 1, 0));
    assert_eq!(store.refresh(Timestamp::NEVER, 9).unwrap(), 1);
}

/// Checks that pages become due again in the order in which they ended, and that only pages become due that ended
/// before the given time.
pub fn pages_are_refreshed_oldest_first(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://b.test/3", "http://a.test/4"]);
    let mut leases = lease(&mut *store, "a.test", 9);
    leases.extend(lease(&mut *store, "b.test", 9));
    let at = |secs| Timestamp::from_secs(secs);
    // Sorted by time, these are the URLs 4, 1, 3, 2.
    for (i, ended) in [(2, 10), (0, 20), (3, 30), (1, 40)] {
        store.settle(vec![Settlement::page(leases[i].id)], &[], at(ended)).unwrap();
    }
    assert_eq!(store.refresh(at(40), 2).unwrap(), 2);
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["4", "1"]);
    assert_eq!(store.refresh(at(40), 2).unwrap(), 1);
    assert_eq!(paths(&lease(&mut *store, "b.test", 9)), ["3"]);
    assert_eq!(store.refresh(at(40), 2).unwrap(), 0);
    assert_eq!(store.stats().pages, 1);
}

/// Checks that `refresh` returns the error `NoHistory` and changes nothing when the store has no history.
pub fn a_store_without_a_history_says_so(stores: &mut dyn Stores) {
    let mut store = stores.open_with(MemoryOptions::default());
    admit(&mut *store, &["http://a.test/1"]);
    let first = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::page(first));
    let refused = store.refresh(Timestamp::NEVER, 9);
    assert!(matches!(refused, Err(FrontierError::NoHistory { .. })), "{refused:?}");
    assert_eq!(store.stats().pages, 1);
}

/// Checks that a kill loses no failures and no pages, neither before they are due again nor after.
pub fn a_kill_keeps_what_can_become_due_again(stores: &mut dyn Stores) {
    let mut store = stores.open();
    admit(&mut *store, &["http://a.test/1", "http://a.test/2", "http://a.test/3", "http://a.test/4"]);
    let leases = lease(&mut *store, "a.test", 9);
    for (i, lease) in leases.iter().enumerate() {
        settle(
            &mut *store,
            match i {
                0 | 1 => Settlement::failed(lease.id, Reason::Dns, 1, None),
                _ => Settlement::page(lease.id),
            },
        );
    }
    store.retry_failed(1).unwrap();
    store.refresh(Timestamp::NEVER, 1).unwrap();
    let before = store.stats();
    let Some(mut store) = stores.reopen(store) else { return };
    assert_eq!(store.stats(), before);
    assert_eq!(&*store.failures(0, 9).unwrap()[0].url, "http://a.test/2");
    assert_eq!(store.retry_failed(9).unwrap(), 1);
    assert_eq!(store.refresh(Timestamp::NEVER, 9).unwrap(), 1);
    assert_eq!(paths(&lease(&mut *store, "a.test", 9)), ["1", "3", "2", "4"]);
    assert!(store.stats().balances());
}
