//! Tests of the rules for caps: the limits of pages, bytes and depth for one host.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this module is tests")]

use opilio_core::{Reason, Timestamp};

use super::{NOW, Stores, admit, host, lease, one, paths, ready, record, settle};
use crate::{Admission, Caps, Fetched, Filtered, Frontier, HostCaps, MemoryOptions, Settlement};

fn capped(stores: &mut dyn Stores, caps: HostCaps) -> Box<dyn Frontier> {
    let caps = Caps::every_host(caps);
    stores.open_with(MemoryOptions { caps, history: true, ..MemoryOptions::default() })
}

fn pages(pages: u64) -> HostCaps {
    HostCaps { pages: Some(pages), ..HostCaps::default() }
}

fn five(store: &mut dyn Frontier) {
    admit(
        store,
        &["http://a.test/1", "http://a.test/2", "http://a.test/3", "http://a.test/4", "http://a.test/5"],
    );
}

/// Makes the store end the queued records of hosts that have reached their caps.
fn close(store: &mut dyn Frontier) {
    while store.next_due() == Some(Timestamp::EPOCH) {
        assert!(store.hosts_ready(NOW, 0).unwrap().is_empty());
    }
}

/// Checks that a host never has more leases than it may still have pages. When the cap is reached, its remaining URLs
/// end as filtered.
pub fn a_host_gives_no_more_pages_than_its_cap(stores: &mut dyn Stores) {
    let mut store = capped(stores, pages(2));
    five(&mut *store);
    admit(&mut *store, &["http://b.test/1"]);
    assert_eq!(ready(&mut *store), ["a.test", "b.test"].map(host));
    let leases = lease(&mut *store, "a.test", 4);
    assert_eq!(paths(&leases), ["1", "2"]);
    assert!(lease(&mut *store, "a.test", 4).is_empty());
    assert!(ready(&mut *store).is_empty(), "it has due work, but no room");

    for lease in leases {
        settle(&mut *store, Settlement::page(lease.id));
    }
    close(&mut *store);
    let stats = store.stats();
    assert!(stats.balances(), "{stats:?}");
    assert_eq!((stats.discovered, stats.admitted, stats.pages, stats.left), (6, 3, 2, 1));
    assert_eq!(stats.filtered[&Filtered::HostPages], 3);

    let more = store.admit(["http://a.test/5", "http://a.test/6"].map(record).map(Admission::Queue).into());
    let more = more.unwrap();
    assert_eq!((more.new, more.known, more.filtered_new), (0, 1, 1));
    assert_eq!(store.stats().filtered[&Filtered::HostPages], 4);
    assert!(ready(&mut *store).is_empty());
}

/// Checks that only pages count towards the cap: when a URL ends in another way, another URL of the host may be
/// leased instead.
pub fn a_failure_makes_room_under_the_cap(stores: &mut dyn Stores) {
    let mut store = capped(stores, pages(1));
    five(&mut *store);
    ready(&mut *store);
    let endings: [fn(_) -> Settlement; 3] = [
        |lease| Settlement::failed(lease, Reason::Timeout, 4, None),
        Settlement::give_back,
        |lease| Settlement::redirected(lease, record("http://b.test/2")),
    ];
    for (path, ending) in ["1", "2", "2"].into_iter().zip(endings) {
        let leases = lease(&mut *store, "a.test", 4);
        assert_eq!(paths(&leases), [path]);
        settle(&mut *store, ending(leases[0].id));
        assert!(ready(&mut *store).contains(&host("a.test")), "after {path}");
    }
    let third = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::page(third));
    close(&mut *store);
    let stats = store.stats();
    assert_eq!((stats.pages, stats.left, stats.filtered[&Filtered::HostPages]), (1, 1, 2));
    assert!(stats.balances(), "{stats:?}");
}

/// Checks that a host gets no more leases when its cap of bytes is reached. Pages that are in flight at that moment
/// still count.
pub fn bytes_close_a_host(stores: &mut dyn Stores) {
    let mut store = capped(stores, HostCaps { body_bytes: Some(100), ..HostCaps::default() });
    five(&mut *store);
    let leases = lease(&mut *store, "a.test", 3);
    let of = |body_bytes| Fetched { body_bytes, ..Fetched::default() };
    settle(&mut *store, Settlement::fetched_page(leases[0].id, 1, of(60)));
    assert_eq!(store.next_due(), None);
    settle(&mut *store, Settlement::fetched_page(leases[1].id, 1, of(60)));
    close(&mut *store);
    assert_eq!((store.stats().left, store.stats().out), (1, 1));
    settle(&mut *store, Settlement::fetched_page(leases[2].id, 1, of(60)));
    let stats = store.stats();
    assert!(stats.balances(), "{stats:?}");
    assert_eq!((stats.pages, stats.filtered[&Filtered::HostBytes], stats.left), (3, 2, 0));
}

/// Checks that a URL beyond the cap of depth is filtered, and that it is admitted if it is later discovered at a
/// smaller depth.
pub fn a_depth_beyond_the_cap_is_filtered(stores: &mut dyn Stores) {
    let mut store = capped(stores, HostCaps { depth: Some(1), ..HostCaps::default() });
    let at = |depth| Admission::Queue(super::Record { depth, ..record("http://a.test/1") });
    let admitted = store.admit(vec![at(2), at(3)]).unwrap();
    assert_eq!((admitted.new, admitted.known, admitted.filtered_new), (0, 1, 1));
    assert_eq!(store.stats().filtered[&Filtered::MaxDepth], 1);
    assert_eq!(store.admit(vec![at(2), at(1)]).unwrap().new, 1);
    assert_eq!(store.stats().filtered_total(), 0);
    assert_eq!(lease(&mut *store, "a.test", 9)[0].record.depth, 1);
}

/// Checks that the caps of a single host replace the caps for every host.
pub fn one_host_has_caps_of_its_own(stores: &mut dyn Stores) {
    let caps = Caps::every_host(pages(1)).with_host(host("a.test"), pages(3));
    let mut store = stores.open_with(MemoryOptions { caps, ..MemoryOptions::default() });
    five(&mut *store);
    admit(&mut *store, &["http://b.test/1", "http://b.test/2"]);
    assert_eq!(lease(&mut *store, "a.test", 9).len(), 3);
    assert_eq!(lease(&mut *store, "b.test", 9).len(), 1);
}

/// Checks that a redirect to a host that has reached its caps ends as filtered: the redirected URL moves from the
/// admitted to the filtered URLs.
pub fn a_redirect_to_a_closed_host_ends_as_filtered(stores: &mut dyn Stores) {
    let mut store = capped(stores, pages(1));
    admit(&mut *store, &["http://a.test/1", "http://b.test/1"]);
    let (first, second) = (one(&mut *store, "a.test"), one(&mut *store, "b.test"));
    settle(&mut *store, Settlement::page(first));
    settle(&mut *store, Settlement::redirected(second, record("http://a.test/2")));
    close(&mut *store);
    let stats = store.stats();
    assert!(stats.balances(), "{stats:?}");
    assert_eq!((stats.pages, stats.left, stats.filtered[&Filtered::HostPages]), (1, 0, 1));
}

/// Checks that a page that is due again does not count as a page until it ends, so that the cap allows a lease on it.
pub fn a_page_that_is_due_again_makes_room(stores: &mut dyn Stores) {
    let mut store = capped(stores, pages(2));
    five(&mut *store);
    for lease in lease(&mut *store, "a.test", 9) {
        settle(&mut *store, Settlement::page(lease.id));
    }
    close(&mut *store);
    assert_eq!(store.refresh(Timestamp::NEVER, 9).unwrap(), 2);
    assert_eq!(ready(&mut *store), [host("a.test")]);
    let leases = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&leases), ["1", "2"]);
    for lease in leases {
        settle(&mut *store, Settlement::page(lease.id));
    }
    let stats = store.stats();
    assert!(stats.balances(), "{stats:?}");
    assert_eq!((stats.pages, stats.left, stats.filtered[&Filtered::HostPages]), (2, 0, 3));
}

/// Checks that after a kill a host that has reached its caps gets no leases, and that its remaining records still end
/// as filtered.
pub fn a_kill_keeps_what_was_taken(stores: &mut dyn Stores) {
    let mut store = capped(stores, pages(2));
    five(&mut *store);
    let first = one(&mut *store, "a.test");
    settle(&mut *store, Settlement::page(first));
    let Some(mut store) = stores.reopen(store) else { return };
    let leases = lease(&mut *store, "a.test", 9);
    assert_eq!(paths(&leases), ["2"]);
    settle(&mut *store, Settlement::page(leases[0].id));
    let Some(mut store) = stores.reopen(store) else { return };
    assert!(ready(&mut *store).is_empty());
    close(&mut *store);
    let stats = store.stats();
    assert!(stats.balances(), "{stats:?}");
    assert_eq!((stats.pages, stats.left, stats.filtered[&Filtered::HostPages]), (2, 0, 3));
}
