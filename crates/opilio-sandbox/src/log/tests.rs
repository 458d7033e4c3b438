//! Tests of the functions that evaluate a log, with logs that are written by hand.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn arrival(at: u64, path: &str) -> Arrival {
    Arrival {
        id: 0,
        at: ms(at),
        sent: ms(at),
        left: Some(ms(at)),
        closed_until: None,
        path: path.into(),
        method: "GET",
        in_flight: 1,
        status: 200,
        fault: None,
        refused: false,
        banned: false,
        on_spent_quota: false,
        abandoned: false,
    }
}

fn refusal(at: u64, sent: u64, until: u64) -> Arrival {
    Arrival {
        sent: ms(sent),
        closed_until: Some(ms(until)),
        status: 429,
        refused: true,
        on_spent_quota: true,
        ..arrival(at, "/r")
    }
}

fn at(times: &[u64]) -> Log {
    Log::from_entries(times.iter().map(|t| arrival(*t, &format!("/{t}"))).collect())
}

#[test]
fn an_empty_log_says_nothing_bad() {
    let log = Log::default();
    assert_eq!(log.arrivals(), 0);
    assert_eq!(log.max_in_window(ms(1000)), 0);
    assert_eq!(log.smallest_gap(), None);
    assert_eq!(log.span(), Duration::ZERO);
    assert_eq!(log.arrivals_while_closed(), 0);
    assert_eq!(log.starts_after_hold(ms(250)), 0);
    assert_eq!(log.budget_used(60, ms(60_000)), None);
    assert_eq!(log.first_try_ok(|_| true), None);
    assert!(log.served_twice().is_empty() && log.never_served().is_empty());
}

#[test]
fn windows_are_half_open() {
    let log = at(&[0, 500, 999, 1000, 1500]);
    assert_eq!(log.max_in_window(ms(1000)), 3);
    assert_eq!(log.max_in_window(ms(1001)), 4);
    assert_eq!(log.max_in_window(ms(1)), 1);
    assert_eq!(log.max_in_window(Duration::ZERO), 0);
    assert_eq!(log.max_in_window(ms(10_000)), 5);
    assert_eq!(at(&[7, 7, 7]).max_burst(ms(1)), 3);
}

#[test]
fn gaps_and_spans_are_of_successive_arrivals() {
    let log = at(&[900, 0, 400, 450]);
    assert_eq!(log.smallest_gap(), Some(ms(50)));
    assert_eq!(log.span(), ms(900));
    assert_eq!(at(&[5]).smallest_gap(), None);
    assert_eq!(log.knocks_between(ms(400), ms(900)), 2);
    assert_eq!(log.knocks_between(ms(900), ms(400)), 0);
}

#[test]
fn what_had_arrived_when_the_refusal_was_sent_does_not_count() {
    let mut entries = vec![refusal(0, 100, 2000)];
    for t in [50, 100, 101, 1999, 2000] {
        entries.push(arrival(t, "/x"));
    }
    let log = Log::from_entries(entries);
    assert_eq!(log.arrivals_while_closed(), 2);
    assert_eq!(log.arrivals_while_closed_grace(ms(1)), 1);
    assert_eq!(log.arrivals_while_closed_grace(ms(1900)), 0);
}

#[test]
fn a_slowly_sent_refusal_closes_from_its_sending_on() {
    let log = Log::from_entries(vec![
        refusal(0, 900, 3000),
        refusal(10, 20, 400),
        arrival(300, "/in-the-short-one"),
        arrival(500, "/between"),
        arrival(1000, "/in-the-long-one"),
    ]);
    assert_eq!(log.arrivals_while_closed(), 2);
    assert_eq!(log.closings().len(), 2);
}

#[test]
fn a_refusal_without_a_stated_wait_closes_nothing() {
    let bare = Arrival { closed_until: None, ..refusal(0, 0, 0) };
    let log = Log::from_entries(vec![bare, refusal(1, 1, 1), arrival(2, "/x")]);
    assert_eq!(log.arrivals_while_closed(), 0);
    assert_eq!(log.refused(), 2);
    assert!(log.closings().is_empty());
}

#[test]
fn overlapping_waits_are_one_closing() {
    let log = Log::from_entries(vec![
        refusal(0, 0, 1000),
        refusal(500, 500, 1500),
        refusal(600, 600, 700),
        refusal(1501, 1501, 2000),
    ]);
    let expected =
        [(0, 1500), (1501, 2000)].map(|(from, until)| Closing { from: ms(from), until: ms(until) });
    assert_eq!(log.closings(), expected);
}

#[test]
fn a_herd_after_a_hold_is_seen_even_when_it_comes_late() {
    let mut entries = vec![refusal(0, 0, 1000)];
    for t in [3000, 3100, 3249, 3250] {
        entries.push(arrival(t, "/x"));
    }
    let log = Log::from_entries(entries);
    assert_eq!(log.starts_after_hold(ms(250)), 3);
    let lone = Log::from_entries(vec![refusal(0, 0, 1000)]);
    assert_eq!(lone.starts_after_hold(ms(250)), 0);
}

#[test]
fn budget_counts_gaps_and_leaves_refusals_out() {
    let log = at(&[0, 1000, 2000, 3000]);
    let used = log.budget_used(60, ms(60_000)).unwrap();
    assert!((used - 1.0).abs() < 1e-9);
    let after = log.budget_used_after(ms(1500), 60, ms(60_000)).unwrap();
    assert!((after - 1.0).abs() < 1e-9);
    let refused = Log::from_entries(vec![arrival(0, "/"), refusal(1000, 1000, 2000), arrival(2000, "/")]);
    let used = refused.budget_used(60, ms(60_000)).unwrap();
    assert!((used - 0.5).abs() < 1e-9);
    assert_eq!(at(&[5, 5]).budget_used(1, ms(1)), None);
    assert_eq!(log.budget_used_after(ms(9000), 60, ms(60_000)), None);
}

#[test]
fn served_twice_counts_whole_pages_only() {
    let cut = Arrival { fault: Some(Fault::Truncated), ..arrival(0, "/cut") };
    let abandoned = Arrival { abandoned: true, ..arrival(1, "/abandoned") };
    let failed = Arrival { status: 500, ..arrival(2, "/failed") };
    let slow = Arrival { fault: Some(Fault::Slow(ms(5))), ..arrival(3, "/slow") };
    let mut entries = vec![cut, abandoned, failed, slow];
    for path in ["/cut", "/abandoned", "/failed", "/slow", "/once"] {
        entries.push(arrival(10, path));
    }
    let log = Log::from_entries(entries);
    assert_eq!(log.served_twice(), [("/slow".to_owned(), 2)]);
    assert!(log.never_served().is_empty());
    assert_eq!(log.counts().abandoned, 1);
    assert_eq!(log.tries()["/cut"], 2);
    assert_eq!(log.first_try_ok(|_| true), Some(3.0 / 5.0));
    assert_eq!(log.first_try_ok(|path| path == "/once"), Some(1.0));
}

#[test]
fn a_part_of_a_log_is_a_log() {
    let log = at(&[0, 10, 20]).only(|arrival| arrival.at > ms(5));
    assert_eq!(log.arrivals(), 2);
    assert_eq!(log.smallest_gap(), Some(ms(10)));
}

#[test]
fn json_names_its_units() {
    let json = Log::from_entries(vec![refusal(1, 2, 3)]).to_json();
    assert_eq!(json["arrivals"][0]["at_us"], 1000);
    assert_eq!(json["arrivals"][0]["closed_until_us"], 3000);
    assert_eq!(json["statements"]["refused"], 1);
    assert_eq!(json["statements"]["closings"], 1);
}

#[test]
fn an_arrival_takes_less_than_two_hundred_bytes() {
    assert!(size_of::<Arrival>() + "/products?page=26".len() + 16 < 200);
}
