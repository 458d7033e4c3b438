//! The rules that every store keeps, as functions that a store's own tests call.
//!
//! ```
//! use opilio_frontier::{Frontier, MemoryFrontier, MemoryOptions, conformance::Stores};
//!
//! struct InMemory;
//!
//! impl Stores for InMemory {
//!     fn open_with(&mut self, options: MemoryOptions) -> Box<dyn Frontier> {
//!         Box::new(MemoryFrontier::with(options))
//!     }
//!
//!     fn reopen(&mut self, _killed: Box<dyn Frontier>) -> Option<Box<dyn Frontier>> {
//!         None
//!     }
//! }
//!
//! mod conformance {
//!     opilio_frontier::conformance_tests!(super::InMemory);
//! }
//! ```
//!
//! A function whose rule is broken panics, as a failed test does.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this module is tests")]

pub mod again;
pub mod books;
pub mod caps;
pub mod crash;
pub mod endings;
pub mod levels;
pub mod lost;
pub mod model;
pub mod order;

use opilio_core::{Fingerprint, Host, Lease, LeaseId, Record, Scheme, SinkPosition, Timestamp};
use proptest::test_runner::Config;
use url::Url;

use crate::{Admission, Decided, Filtered, Frontier, MemoryOptions, SettledCounts, Settlement, Want};

/// Creates the stores that the tests of the rules use.
pub trait Stores {
    /// Creates an empty store with these options. Every store has the options of the memory store.
    fn open_with(&mut self, options: MemoryOptions) -> Box<dyn Frontier>;

    /// Creates an empty store with a history, breadth-first and without caps.
    fn open(&mut self) -> Box<dyn Frontier> {
        self.open_with(MemoryOptions { history: true, ..MemoryOptions::default() })
    }

    /// Opens the store that another process finds after the process of this store was killed. Returns `None`
    /// when nothing survives. No `checkpoint` was made, and the result must not depend on the store's `drop`.
    fn reopen(&mut self, killed: Box<dyn Frontier>) -> Option<Box<dyn Frontier>>;

    /// Returns the number of random sequences of calls for which the store is compared with the model. A store that
    /// takes long to open returns a smaller number than the default.
    fn histories(&self) -> u32 {
        Config::default().cases
    }
}

/// Defines one test for each rule. The argument of the macro is an expression whose value implements [`Stores`].
#[macro_export]
macro_rules! conformance_tests {
    ($stores:expr) => {
        $crate::conformance_tests!(@each $stores;
            books: a_repeated_batch_adds_nothing, a_record_comes_back_as_it_was,
                a_filtered_url_is_counted_once, a_filtered_url_that_comes_into_scope_moves,
                an_admitted_url_is_not_filtered_later, the_books_balance_at_every_step,
                positions_are_kept_by_sink, texts_are_listed_once, a_memo_stays_until_it_is_replaced;
            order: priority_then_depth_then_age, depth_first_takes_the_deepest,
                best_first_takes_the_highest_score, a_lease_is_out_once, wants_are_served_in_order,
                a_host_is_told_once_until_a_lease_comes_back_short, hosts_take_turns,
                a_host_that_waits_for_more_is_told_first, a_host_that_is_leased_no_more_waits_in_line,
                a_host_that_was_emptied_in_line_is_not_told, hosts_are_told_in_portions;
            endings: what_is_returned_is_back_at_its_place, a_retry_waits_and_keeps_its_age,
                a_retry_wakes_its_host, a_redirect_goes_on_as_its_target,
                a_redirect_to_a_known_url_waits_until_that_has_ended,
                a_redirect_to_a_url_that_has_ended_is_decided_at_once, a_ring_of_redirects_is_found,
                a_cookie_on_the_way_lets_a_chain_ask_again, many_wait_for_one_url, a_redirects_target_may_be_due_later,
                a_failed_target_takes_what_led_there_along_until_it_is_due_again,
                a_redirect_to_a_filtered_url_is_followed, a_redirect_to_itself_is_followed,
                two_redirects_to_one_target_in_one_batch, a_stale_settlement_changes_nothing,
                failures_are_listed_in_order, what_is_filtered_after_all_moves_and_may_come_back,
                what_is_filtered_after_all_decides_what_waits_for_it, what_waited_ends_as_any_other;
            again: failures_become_due_again, failures_are_revived_in_portions,
                failures_of_one_reason_are_revived, failures_of_some_hosts_are_revived,
                a_page_becomes_due_again_with_its_validators, pages_are_refreshed_oldest_first,
                a_store_without_a_history_says_so, a_kill_keeps_what_can_become_due_again;
            caps: a_host_gives_no_more_pages_than_its_cap, a_failure_makes_room_under_the_cap,
                bytes_close_a_host, a_depth_beyond_the_cap_is_filtered, one_host_has_caps_of_its_own,
                a_redirect_to_a_closed_host_ends_as_filtered, a_page_that_is_due_again_makes_room,
                a_kill_keeps_what_was_taken;
            levels: a_level_waits_for_the_one_below, no_level_waits_for_what_is_due_later,
                a_level_waits_for_other_hosts_for_a_while, a_high_priority_waits_for_no_level,
                a_shorter_way_to_what_is_queued_counts, levels_are_kept_only_when_asked_for, a_kill_keeps_the_levels,
                what_waits_for_a_known_url_holds_up_no_level, a_redirect_keeps_its_level_closed,
                levels_hold_at_every_step_and_lose_nothing;
            crash: a_kill_brings_leases_back, a_kill_keeps_what_was_settled,
                a_kill_keeps_times_and_memos, a_kill_keeps_notes_with_their_commit, a_kill_keeps_what_waits_for_a_known_url,
                a_page_is_settled_and_positioned_at_once;
            lost: no_host_is_forgotten;
            model: agrees_with_the_model;
        );
    };
    (@each $stores:expr; $($module:ident: $($rule:ident),+;)+) => {
        $($(
            #[test]
            fn $rule() {
                $crate::conformance::$module::$rule(&mut $stores);
            }
        )+)+
    };
}

const NOW: Timestamp = Timestamp::from_secs(100);

/// Returns the record of a URL as it is admitted for a seed.
fn record(url: &str) -> Record {
    let url = Url::parse(url).unwrap();
    Record::new(url.as_str(), Fingerprint::of(&url), Host::of(&url).unwrap(), Scheme::of(&url).unwrap())
}

fn host(name: &str) -> Host {
    Host::of(&Url::parse(&format!("http://{name}/")).unwrap()).unwrap()
}

fn filtered(url: &str, why: Filtered) -> Admission {
    Admission::Filtered { fingerprint: Fingerprint::of(&Url::parse(url).unwrap()), why }
}

fn position(sink: &str, position: u64) -> SinkPosition {
    SinkPosition { sink: sink.into(), position }
}

fn admit(store: &mut dyn Frontier, urls: &[&str]) {
    store.admit(urls.iter().map(|url| Admission::Queue(record(url))).collect()).unwrap();
}

fn lease(store: &mut dyn Frontier, name: &str, n: usize) -> Vec<Lease> {
    lease_at(store, name, n, NOW)
}

fn lease_at(store: &mut dyn Frontier, name: &str, n: usize, now: Timestamp) -> Vec<Lease> {
    let mut out = Vec::new();
    store.lease(&[Want { host: host(name), n }], now, &mut out).unwrap();
    out
}

fn one(store: &mut dyn Frontier, name: &str) -> LeaseId {
    let leases = lease(store, name, 1);
    leases.first().expect("the host has due work").id
}

fn paths(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| lease.record.url.rsplit_once('/').unwrap().1).collect()
}

fn ready(store: &mut dyn Frontier) -> Vec<Host> {
    store.hosts_ready(NOW, usize::MAX).unwrap()
}

/// Returns all leases that `decided` makes now: those on redirected URLs whose targets have ended.
fn decided(store: &mut dyn Frontier) -> Vec<Decided> {
    let mut out = Vec::new();
    while store.decided(3, &mut out).unwrap() {}
    out
}

fn settle(store: &mut dyn Frontier, settlement: Settlement) -> SettledCounts {
    store.settle(vec![settlement], &[], NOW).unwrap()
}
