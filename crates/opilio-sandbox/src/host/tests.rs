//! Tests of the rules of a host, in virtual time.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::catalog::Catalog;
use crate::config::PageWriter;
use crate::limit::Limit;
use crate::quota::Dialect;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn visit(host: &mut Host, now: Duration, path: &str) -> Answer {
    let answer = host.arrive(now, &Ask::get(path));
    host.left(now.saturating_add(answer.latency), answer.id);
    answer
}

/// Returns a host that allows one request in 90.5 s, and its refusal of a second request half a second after the
/// first one.
fn refusal(config: HostConfig) -> (Host, Answer) {
    let mut host = Host::new(config.limit(Limit::sliding(1, ms(90_500))));
    visit(&mut host, Duration::ZERO, "/");
    let refused = visit(&mut host, ms(500), "/deals");
    (host, refused)
}

fn stated_until(host: &Host) -> Option<Duration> {
    host.log().entries().last().unwrap().closed_until
}

#[test]
fn every_form_of_refusal_states_what_it_says() {
    use RefusalForm as Form;
    let date = "Thu, 01 Jan 2026 00:01:31 GMT";
    for (form, header, until) in [
        (Form::Seconds, Some("90"), Some(ms(90_500))),
        (Form::HttpDate, Some(date), Some(s(91))),
        (Form::Bare, None, None),
        (Form::Fixed(86_400), Some("86400"), Some(ms(86_400_500))),
        (Form::Fixed(0), Some("0"), None),
        (Form::Zero, Some("0"), None),
        (Form::PastDate, Some("Wed, 31 Dec 2025 23:00:00 GMT"), None),
        (Form::Garbage, Some("soon, perhaps"), None),
    ] {
        let (host, refused) = refusal(HostConfig::new().refusal(503, form));
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("retry-after"), header, "{form:?}");
        assert_eq!(stated_until(&host), until, "{form:?}");
        assert_eq!(host.log().refused(), 1);
    }
}

#[test]
fn a_refusal_by_reset_is_a_refusal_without_an_answer() {
    let (host, refused) = refusal(HostConfig::new().refusal(429, RefusalForm::Reset));
    assert_eq!((refused.status, refused.fault), (0, Some(Fault::Reset)));
    assert!(host.log().entries()[1].refused);
    assert_eq!(stated_until(&host), None);
}

#[test]
fn seconds_are_rounded_up_and_never_zero() {
    let mut host = Host::new(HostConfig::new().limit(Limit::sliding(1, ms(1500))));
    visit(&mut host, Duration::ZERO, "/");
    for (at, stated) in [(0, "2"), (400, "2"), (500, "1"), (1499, "1")] {
        let refused = visit(&mut host, ms(at), "/");
        assert_eq!(refused.header("retry-after"), Some(stated), "at {at} ms");
    }
    assert_eq!(visit(&mut host, ms(1500), "/").status, 200);
}

#[test]
fn a_wrong_clock_shifts_date_and_stated_date_but_not_the_truth() {
    for (skew, now, date) in [
        (45, "Thu, 01 Jan 2026 00:00:45 GMT", "Thu, 01 Jan 2026 00:02:16 GMT"),
        (-45, "Wed, 31 Dec 2025 23:59:15 GMT", "Thu, 01 Jan 2026 00:00:46 GMT"),
    ] {
        let config = HostConfig::new().refusal(429, RefusalForm::HttpDate).clock_skew_seconds(skew);
        let (host, refused) = refusal(config);
        assert_eq!(refused.header("date"), Some(now));
        assert_eq!(refused.header("retry-after"), Some(date));
        assert_eq!(stated_until(&host), Some(s(91)));
    }
}

#[test]
fn a_bare_refusal_with_quota_headers_states_their_reset() {
    let config = HostConfig::new().refusal(429, RefusalForm::Bare).announce(Dialect::XDeltaSeconds);
    let (host, refused) = refusal(config);
    assert_eq!(refused.header("x-ratelimit-reset"), Some("90"));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(stated_until(&host), Some(ms(90_500)));
}

#[test]
fn the_quota_counts_down_on_every_answer_whatever_its_status() {
    let config = HostConfig::new().limit(Limit::fixed(3, s(60))).announce(Dialect::Structured);
    let mut host = Host::new(config);
    let said: Vec<_> = ["/", "/nowhere", "/products/1", "/deals"]
        .iter()
        .map(|path| visit(&mut host, s(10), path))
        .map(|answer| (answer.status, answer.header("ratelimit").unwrap().to_owned()))
        .collect();
    let expected = [(200, 2), (404, 1), (301, 0), (429, 0)]
        .map(|(status, left)| (status, format!("\"default\";r={left};t=60")));
    assert_eq!(said, expected);
    assert_eq!(host.log().arrivals_on_spent_quota(), 1);
    let fresh = visit(&mut host, s(70), "/");
    assert_eq!(fresh.header("ratelimit"), Some("\"default\";r=2;t=60"));
}

#[test]
fn the_ban_comes_with_the_nth_refusal_and_stays() {
    let config = HostConfig::new().limit(Limit::per_minute(1)).ban_at(2);
    let mut host = Host::new(config);
    let statuses: Vec<_> =
        [0, 1, 2, 3, 1000].iter().map(|now| visit(&mut host, s(*now), "/").status).collect();
    assert_eq!(statuses, [200, 429, 429, 403, 403]);
    assert!(host.is_banned() && host.log().is_banned());
    assert_eq!(host.counts().refused, 2);
    assert_eq!(host.counts().banned, 2);
}

#[test]
fn an_outage_hits_everything_from_its_begin_to_its_end() {
    let config = HostConfig::new().limit(Limit::sliding(1, s(1))).outage(s(10), s(30), Fault::Status(502));
    let mut host = Host::new(config);
    for (now, status) in [(9999, 200), (10_000, 502), (10_001, 502), (29_999, 502), (31_000, 200)] {
        assert_eq!(visit(&mut host, ms(now), "/").status, status, "at {now} ms");
    }
    assert_eq!(host.log().knocks_between(s(10), s(30)), 3);
    assert_eq!(host.log().refused(), 0);
}

#[test]
fn faulty_requests_use_up_the_limit() {
    let config = HostConfig::new().limit(Limit::per_minute(1)).errors(500, 1.0);
    let mut host = Host::new(config);
    assert_eq!(visit(&mut host, s(0), "/").status, 500);
    assert_eq!(visit(&mut host, s(1), "/").status, 429);
}

#[test]
fn random_faults_follow_their_share_and_their_seed() {
    let statuses = |seed| {
        let mut host = Host::new(HostConfig::new().errors(500, 0.05).bodies(false).seed(seed));
        (0..10_000).map(|n| visit(&mut host, ms(n), "/").status).collect::<Vec<_>>()
    };
    let first = statuses(1);
    let errors = first.iter().filter(|status| **status == 500).count();
    assert!((400..600).contains(&errors), "{errors} of 10000");
    assert_eq!(first, statuses(1));
    assert_ne!(first, statuses(2));
}

#[test]
fn slowness_adds_to_the_latency_and_to_other_faults() {
    let config = HostConfig::new()
        .latency(ms(20))
        .slow(1, s(5))
        .fault(Trigger::Path("/deals".into()), Fault::Truncated);
    let mut host = Host::new(config);
    let page = visit(&mut host, s(0), "/");
    assert_eq!((page.latency, page.fault), (ms(5020), Some(Fault::Slow(s(5)))));
    let deals = visit(&mut host, s(0), "/deals");
    assert_eq!((deals.latency, deals.fault), (ms(5020), Some(Fault::Truncated)));
    assert_eq!(deals.sent_body().len(), deals.body.len() / 2);
    assert_eq!(deals.header("content-length"), Some(&*deals.body.len().to_string()));
    assert_eq!(host.log().entries()[1].sent, ms(5020));
    assert_eq!(host.log().served(), 1);
}

#[test]
fn a_path_can_fail_for_ever_or_a_few_times() {
    let config = HostConfig::new()
        .fault(Trigger::Path("/deals".into()), Fault::Reset)
        .fault(Trigger::PathTimes("/products".into(), 2), Fault::Status(503));
    let mut host = Host::new(config);
    let mut look = |path| visit(&mut host, s(0), path).status;
    assert_eq!([look("/deals"), look("/deals"), look("/deals")], [0, 0, 0]);
    assert_eq!([look("/products"), look("/"), look("/products")], [503, 200, 503]);
    assert_eq!([look("/products"), look("/products?page=2")], [200, 200]);
}

#[test]
fn orders_are_counted_when_they_are_carried_out_even_if_the_answer_is_lost() {
    let config = HostConfig::new()
        .limit(Limit::sliding(3, s(60)))
        .fault(Trigger::PathTimes("/orders".into(), 1), Fault::Reset);
    let mut host = Host::new(config);
    let mut order = |body: &[u8]| host.arrive(s(0), &Ask::post("/orders", body)).status;
    assert_eq!([order(b"a"), order(b"a"), order(b"")], [0, 201, 400]);
    assert_eq!(order(b"b"), 429);
    assert_eq!(host.orders().len(), 1);
    assert_eq!(host.orders()[&b"a"[..]], 2);
}

#[test]
fn methods_are_checked_and_head_has_no_body() {
    let mut host = Host::new(HostConfig::new());
    let mut ask = |method, path| {
        let ask = Ask { method, path_and_query: path, body: &[] };
        host.arrive(s(0), &ask)
    };
    assert_eq!(ask("POST", "/products").header("allow"), Some("GET, HEAD"));
    assert_eq!(ask("GET", "/orders").header("allow"), Some("POST"));
    let (get, head) = (ask("GET", "/deals"), ask("HEAD", "/deals"));
    assert!(head.body.is_empty() && !get.body.is_empty());
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(ask("BREW", "/").status, 405);
    assert_eq!(host.log().entries().last().unwrap().method, "OTHER");
}

#[test]
fn own_pages_go_before_the_shop() {
    let config = HostConfig::new().page("/robots.txt", "text/plain", "User-agent: *\nDisallow: /\n");
    let answer = visit(&mut Host::new(config), s(0), "/robots.txt");
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert!(answer.body.ends_with(b"Disallow: /\n"));
}

#[test]
fn a_blank_host_has_every_path_and_no_bodies_on_request() {
    let mut host = Host::new(HostConfig::new().site(Site::Blank).bodies(false));
    let answer = visit(&mut host, s(0), "/whatever?x=1");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(visit(&mut host, s(0), "/robots.txt").status, 404);
    let moved = visit(&mut host, s(0), "/go?to=http://127.0.0.2/&status=307");
    assert_eq!((moved.status, moved.header("location")), (307, Some("http://127.0.0.2/")));
}

#[test]
fn the_log_bounds_what_it_keeps_of_a_path() {
    let mut host = Host::new(HostConfig::new());
    let answer = visit(&mut host, s(0), &format!("/{}", "ä".repeat(9000)));
    assert_eq!(answer.status, 404);
    assert!((4090..=4096).contains(&host.log().entries()[0].path.len()));
}

#[test]
fn in_flight_rises_with_arrivals_and_falls_when_they_leave() {
    let mut host = Host::new(HostConfig::new());
    let first = host.arrive(s(0), &Ask::get("/"));
    let second = host.arrive(s(1), &Ask::get("/"));
    host.left(s(2), first.id);
    host.arrive(s(3), &Ask::get("/"));
    host.abandoned(s(4), second.id);
    assert_eq!((host.in_flight(), host.log().max_in_flight()), (1, 2));
    let entries = host.log().entries();
    assert_eq!(entries.iter().map(|a| a.in_flight).collect::<Vec<_>>(), [1, 2, 2]);
    assert_eq!((entries[0].left, entries[2].left), (Some(s(2)), None));
    assert!(entries[1].abandoned);
}

#[test]
fn time_does_not_go_back() {
    let mut host = Host::new(HostConfig::new());
    visit(&mut host, s(5), "/");
    visit(&mut host, s(3), "/");
    assert_eq!(host.log().entries()[1].at, s(5));
}

#[test]
fn beyond_its_bound_the_log_only_counts() {
    let config = HostConfig::new().limit(Limit::per_minute(2)).log_max(1);
    let mut host = Host::new(config);
    for now in 0..4 {
        visit(&mut host, s(now), "/");
    }
    let log = host.log();
    assert_eq!((log.entries().len(), log.unkept()), (1, 3));
    assert_eq!((log.arrivals(), log.served(), log.refused()), (4, 2, 2));
    assert_eq!(log.arrivals_on_spent_quota(), 2);
}

#[test]
fn scaling_divides_every_duration() {
    let config = HostConfig::new()
        .limit(Limit::per_minute(1))
        .slow(1, s(5))
        .latency(ms(100))
        .outage(s(100), s(200), Fault::Status(502))
        .scaled(10);
    let mut host = Host::new(config);
    assert_eq!(visit(&mut host, s(0), "/").latency, ms(510));
    assert_eq!(visit(&mut host, ms(5999), "/").status, 429);
    assert_eq!(visit(&mut host, s(6), "/").status, 200);
    assert_eq!(visit(&mut host, s(10), "/").status, 502);
    assert_eq!(visit(&mut host, s(20), "/").status, 200);
}

#[test]
fn a_fixed_window_holds_its_promise_to_who_heeds_it() {
    let limit = Limit::fixed(40, s(60));
    for dialect in Dialect::ALL {
        let config = HostConfig::new().limit(limit).announce(dialect).bodies(false);
        let mut host = Host::new(config);
        let mut now = ms(700);
        for _ in 0..3 {
            for _ in 0..40 {
                assert_eq!(visit(&mut host, now, "/").status, 200);
            }
            now += s(60);
        }
        assert_eq!(host.log().max_in_window(s(60)), 40);
        assert_eq!(host.log().arrivals_on_spent_quota(), 0);
    }
}

#[test]
fn hosts_can_share_one_configuration() {
    let shared = Arc::new(HostConfig::new().products(3));
    let mut hosts = [Host::new(Arc::clone(&shared)), Host::new(shared)];
    for host in &mut hosts {
        assert_eq!(visit(host, s(0), "/products/4-x").status, 404);
        assert_eq!(host.config().catalog().map(|c| c.products().len()), Some(3));
    }
    assert_eq!(Catalog::new(3).products().len(), 3);
}

#[test]
fn a_page_can_refuse_with_a_wait_that_no_limit_explains() {
    let busy = Fault::Refusal { status: 429, wait_seconds: 2 };
    let mut host = Host::new(HostConfig::new().fault(Trigger::Path("/deals".into()), busy));
    let refused = visit(&mut host, s(1), "/deals");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("2")));
    assert_eq!(stated_until(&host), Some(s(3)));
    assert_eq!(visit(&mut host, s(2), "/").status, 200);
    assert_eq!((host.log().arrivals_while_closed(), host.log().refused()), (1, 0));
}

#[test]
fn a_silent_page_is_an_arrival_without_an_answer() {
    let mut host = Host::new(HostConfig::new().fault(Trigger::Path("/deals".into()), Fault::Silence));
    let silent = host.arrive(s(1), &Ask::get("/deals"));
    assert_eq!((silent.status, silent.sent_body().len()), (0, 0));
    host.abandoned(s(3), silent.id);
    assert_eq!((host.log().served(), host.log().counts().abandoned), (0, 1));
}

#[test]
fn doors_close_after_so_many_pages_and_open_again() {
    let trigger = Trigger::AfterServed { served: 2, lasts: s(30) };
    let mut host = Host::new(
        HostConfig::new()
            .fault(Trigger::PathTimes("/go".into(), 1), Fault::Status(500))
            .fault(trigger, Fault::Status(403)),
    );
    let asks = [
        (0, "/"),
        (1, "/nowhere"),
        (2, "/go"),
        (3, "/"),
        (50, "/"),
        (51, "/robots.txt"),
        (79, "/"),
        (80, "/"),
    ];
    let statuses = asks.map(|(at, path)| visit(&mut host, s(at), path).status);
    // Only complete 2xx answers count. The fault begins at the arrival after the last of them.
    assert_eq!(statuses, [200, 404, 500, 200, 403, 403, 403, 200]);
    assert_eq!(visit(&mut host, s(500), "/").status, 200, "it closes once");
}

#[test]
fn closed_doors_go_before_the_limit() {
    let trigger = Trigger::AfterServed { served: 1, lasts: s(5) };
    let config = HostConfig::new().limit(Limit::sliding(1, s(60))).fault(trigger, Fault::Reset);
    let mut host = Host::new(config);
    visit(&mut host, s(0), "/");
    assert_eq!(visit(&mut host, s(1), "/").fault, Some(Fault::Reset));
    assert_eq!(visit(&mut host, s(6), "/").status, 429);
}

#[test]
fn an_answer_of_its_own_has_its_status_and_headers() {
    let ring = [("location", "/ring".to_owned())];
    let mut host =
        Host::new(HostConfig::new().answer("/ring", 302, ring, "").answer("/gone", 410, [], "gone"));
    let answer = visit(&mut host, s(0), "/ring");
    assert_eq!((answer.status, answer.header("location")), (302, Some("/ring")));
    assert_eq!(visit(&mut host, s(1), "/gone").status, 410);
    assert_eq!(visit(&mut host, s(2), "/").status, 200);
}

#[test]
fn an_empty_site_has_only_the_pages_that_it_was_given_and_a_written_one_what_its_writer_writes() {
    let mut host = Host::new(HostConfig::new().site(Site::Empty).page("/a", "text/html", "a"));
    let statuses: Vec<u16> =
        ["/a", "/b", "/robots.txt", "/"].iter().map(|path| visit(&mut host, s(1), path).status).collect();
    assert_eq!(statuses, [200, 404, 404, 404]);
    let writer = PageWriter::new(|path| path.strip_prefix("/month/").map(|month| format!("month {month}")));
    let mut host = Host::new(HostConfig::new().site(Site::Written(writer)));
    assert_eq!(visit(&mut host, s(1), "/month/7").body, "month 7");
    assert_eq!(visit(&mut host, s(1), "/week/7").status, 404);
}
