//! Tests of the settings for patience: which answers are refusals or are retried, how long waits grow, and when a
//! host is closed for the rest of the run. A refusal that has another status is treated like a plain refusal.

use opilio_core::{Backoff, RetryPolicy, per_hour};
use opilio_fetch::{Incoming, Middleware};

use super::*;
use crate::HostSettings;

type Arrived = Vec<(Duration, String)>;

/// Crawls twelve pages of a host that refuses three requests, beginning with the fourth arrival.
fn crawl_refused(policy: HostPolicy, refusal: ScriptedAnswer) -> (CrawlReport, Duration, Arrived) {
    let spider = List(urls("a.example", 12).collect());
    let transport = web(move |_, nth, _| if (4..7).contains(&nth) { refusal.clone() } else { page() });
    let policy = policy.rate(per_second(2)).in_flight(4);
    let (report, took, arrivals) = run(crawler(spider).host(policy).transport(transport));
    (report.unwrap(), took, arrivals)
}

fn bare(status: u16) -> ScriptedAnswer {
    ScriptedAnswer::status(status).after(Duration::from_millis(20))
}

fn stated(status: u16, seconds: u64) -> ScriptedAnswer {
    ScriptedAnswer { status, ..refused(seconds) }
}

#[test]
fn a_status_that_is_named_as_slow_down_is_treated_as_a_429() {
    let plain = crawl_refused(HostPolicy::new(), bare(429));
    let waits = crawl_refused(HostPolicy::new(), stated(429, 300));
    assert_eq!((plain.0.pages, waits.0.pages), (12, 12));
    assert!(waits.1 > Duration::from_secs(300));
    for status in [202, 302, 401, 403, 500, 999] {
        let policy = || HostPolicy::new().slow_down([status]);
        for (answer, (report, took, arrivals)) in [(bare(status), &plain), (stated(status, 300), &waits)] {
            let named = crawl_refused(policy(), answer);
            assert_eq!((&named.1, &named.2), (took, arrivals), "{status}");
            assert_eq!((named.0.pages, named.0.refusals), (report.pages, report.refusals), "{status}");
        }
    }
}

#[test]
fn a_status_that_is_not_named_ends_its_url() {
    for (status, reason) in [(403, Reason::Http4xx), (999, Reason::Protocol)] {
        // In the first case the policy names another status, in the second it is the policy of another host.
        let other = HostPolicy::new().slow_down([401]);
        let (report, _, arrivals) = crawl_refused(other, bare(status));
        assert_eq!((report.pages, report.refusals, arrivals.len()), (9, 0, 12), "{status}");
        assert_eq!(report.reasons, BTreeMap::from([(reason, 3)]));
    }
}

#[test]
fn hosts_have_their_own_words_for_slow_down_and_again() {
    let hosts = ["slow.example", "again.example", "plain.example"];
    let spider = List(hosts.iter().flat_map(|host| urls(host, 6)).collect());
    let transport = web(|_, nth, _| if nth == 3 { bare(404) } else { page() });
    let slow = HostPolicy::new().rate(per_second(2)).in_flight(4).slow_down([404]);
    let again = HostSettings::from(HostPolicy::new().rate(per_second(2)).in_flight(4))
        .retry(RetryPolicy::default().retry_statuses([404]));
    let crawler = crawler(spider).host_named("slow.example", slow).host_named("*.again.example", again);
    let (report, _, arrivals) = run(crawler.transport(transport));
    let report = report.unwrap();
    assert!(report.balances());
    assert_eq!((report.pages, report.refusals, arrivals.len()), (17, 1, 20), "{report:?}");
    assert_eq!(report.failures.len(), 1);
    assert!(report.failures[0].url.starts_with("http://plain.example/"));
}

#[test]
fn a_robots_txt_that_says_slow_down_is_waited_for_and_opens_nothing() {
    let crawl = |policy: HostPolicy| {
        let spider = List(urls("a.example", 3).collect());
        let transport = web(|_, nth, _| if nth == 1 { stated(403, 300) } else { page() });
        let crawler =
            Crawler::new(spider).host(policy.rate(per_second(2))).addresses(AddressPolicy::allow_all());
        let (report, _, arrivals) = run(crawler.seed(108).transport(transport));
        assert_eq!(report.unwrap().pages, 3);
        let robots = arrivals.iter().filter(|(_, url)| url.ends_with("/robots.txt")).count();
        (robots, arrivals[1].0)
    };
    let (robots, second) = crawl(HostPolicy::new().slow_down([403]));
    assert!(robots == 2 && second > Duration::from_secs(300), "{robots} {second:?}");
    // If the policy does not name 403, a 403 means that there is no robots.txt.
    let (robots, second) = crawl(HostPolicy::new());
    assert!(robots == 1 && second < Duration::from_secs(2), "{robots} {second:?}");
}

#[test]
fn a_status_that_is_named_as_worth_a_retry_is_tried_as_often_as_a_500() {
    for (status, reason) in
        [(404, Reason::Http4xx), (501, Reason::Http5xx), (202, Reason::HttpOther), (999, Reason::HttpOther)]
    {
        let spider = || {
            List(
                urls("a.example", 6)
                    .chain(["http://a.example/late".into(), "http://a.example/never".into()])
                    .collect(),
            )
        };
        let late = move || {
            let mut late = 0;
            Rc::new(ScriptedTransport::new(move |_: Instant, ask: &TransportRequest| {
                late += usize::from(ask.url.path() == "/late");
                match ask.url.path() {
                    "/late" if late <= 2 => bare(status),
                    "/never" => bare(status),
                    _ => page(),
                }
            })) as Rc<dyn Transport>
        };
        let policy = RetryPolicy::default().retry_statuses([status]);
        let (report, _, _) = run(crawler(spider()).retry(policy).transport(late));
        let report = report.unwrap();
        assert_eq!((report.pages, report.refusals, report.failures.len()), (7, 0, 1), "{status} {report:?}");
        let never = &report.failures[0];
        assert_eq!((never.url.as_str(), never.reason, never.attempts), ("http://a.example/never", reason, 4));
    }
}

#[test]
fn a_host_is_put_aside_after_as_many_strikes_as_are_allowed() {
    let knocks = |policy: HostPolicy, answer: ScriptedAnswer| {
        let spider = List(urls("a.example", 9).collect());
        let (report, took, arrivals) = run(crawler(spider)
            .host(policy.rate(per_second(2)))
            .transport(web(move |_, _, _| answer.clone())));
        let report = report.unwrap();
        assert_eq!((report.pages, report.failures.len()), (0, 9));
        (arrivals.len(), took)
    };
    let (few, soon) = knocks(HostPolicy::new().max_strikes(3), bare(429));
    let (many, late) = knocks(HostPolicy::new(), bare(429));
    let (more, _) = knocks(HostPolicy::new().max_strikes(30), bare(429));
    assert!(
        (3..=6).contains(&few) && (12..=15).contains(&many) && (30..=33).contains(&more),
        "{few} {many} {more}"
    );
    assert!(soon < late);
    let dead = || ScriptedAnswer::fault(Phase::Connect, Fault::Connect);
    let (few, _) = knocks(HostPolicy::new().max_strikes_unanswered(2), dead());
    let (many, _) = knocks(HostPolicy::new().max_strikes_unanswered(8), dead());
    assert!((2..=4).contains(&few) && (8..=10).contains(&many), "{few} {many}");
}

#[test]
fn no_wait_of_ours_is_longer_than_the_longest_backoff() {
    let longest = |max: u64| {
        let spider = List(urls("a.example", 9).collect());
        let backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(max) };
        let policy = HostPolicy::new().rate(per_second(2)).max_strikes(200).backoff(backoff);
        let out = Duration::from_secs(2)..Duration::from_secs(600);
        let span = out.clone();
        let transport = web(move |_, _, at| if span.contains(&at) { bare(503) } else { page() });
        let (report, _, arrivals) = run(crawler(spider).host(policy).transport(transport));
        assert_eq!(report.unwrap().pages, 9);
        // Only arrivals during the outage are checked. After the outage, the learnt pace decides about the time
        // between requests.
        let knocks: Vec<_> = arrivals.iter().map(|(at, _)| *at).filter(|at| out.contains(at)).collect();
        knocks.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
    };
    let (short, long) = (longest(5), longest(60));
    // The wait for the next window of the server may be up to a fifth longer than stated.
    assert!(short <= Duration::from_millis(6_100), "{short:?}");
    assert!(long > Duration::from_secs(20) && long <= Duration::from_secs(73), "{long:?}");
}

/// A middleware that makes captcha pages count as refusals, with this wait if one is given.
struct Captcha(Option<Duration>);

impl Middleware for Captcha {
    fn on_response(&self, answer: &mut Incoming<'_>) {
        if answer.body().starts_with(b"<title>captcha") {
            answer.refuse(self.0);
        }
    }
}

fn captcha() -> ScriptedAnswer {
    ScriptedAnswer::page("<title>captcha</title>").after(Duration::from_millis(20))
}

#[test]
fn a_captcha_that_a_middleware_calls_a_refusal_is_treated_as_a_429() {
    let plain = crawl_refused(HostPolicy::new(), bare(429));
    let waits = crawl_refused(HostPolicy::new(), stated(429, 300));
    for (wait, (report, took, arrivals)) in [(None, plain), (Some(Duration::from_secs(300)), waits)] {
        let (output, collected) = Collect::new();
        let spider = List(urls("a.example", 12).collect());
        let transport = web(|_, nth, _| if (4..7).contains(&nth) { captcha() } else { page() });
        let crawler = crawler(spider).middleware(Captcha(wait)).export(output).transport(transport);
        let (captchas, time, at) = run(crawler);
        let captchas = captchas.unwrap();
        assert_eq!((time, at), (took, arrivals), "{wait:?}");
        assert_eq!((captchas.pages, captchas.refusals), (12, report.refusals));
        assert_eq!(collected.text().lines().count(), 12, "each page once, and no captcha");
    }
}

#[test]
fn a_captcha_that_stays_is_no_page() {
    let spider = List(urls("a.example", 6).collect());
    let policy = HostPolicy::new().rate(per_second(2)).max_strikes(5);
    let crawler = crawler(spider).host(policy).middleware(Captcha(None)).transport(web(|_, _, _| captcha()));
    let (report, _, arrivals) = run(crawler);
    let report = report.unwrap();
    assert!(report.balances());
    assert_eq!((report.pages, report.failures.len()), (0, 6), "{report:?}");
    assert!(arrivals.len() <= 8, "{arrivals:?}");
    // Without the middleware the same answers are pages.
    let spider = List(urls("a.example", 6).collect());
    let (report, _, _) = run(super::crawler(spider).transport(web(|_, _, _| captcha())));
    assert_eq!(report.unwrap().pages, 6);
}

#[test]
fn a_page_that_is_always_refused_ends_with_its_word_and_the_others_are_pages() {
    for (answer, reason) in [
        (captcha(), Reason::Refused),
        (bare(999), Reason::Refused),
        (bare(403), Reason::Http4xx),
        (stated(403, 1), Reason::Http4xx),
        (bare(500), Reason::Http5xx),
    ] {
        let spider = List(urls("a.example", 9).collect());
        let transport = move || {
            let answer = answer.clone();
            Rc::new(ScriptedTransport::new(
                move |_: Instant, ask: &TransportRequest| {
                    if ask.url.path() == "/2" { answer.clone() } else { page() }
                },
            )) as Rc<dyn Transport>
        };
        let policy = HostPolicy::new().rate(per_second(2)).slow_down([403, 500, 999]);
        let (report, _, _) = run(crawler(spider).host(policy).middleware(Captcha(None)).transport(transport));
        let report = report.unwrap();
        assert_eq!((report.pages, report.failures.len()), (8, 1), "{report:?}");
        assert_eq!((report.failures[0].reason, report.failures[0].attempts), (reason, 4));
    }
}

#[test]
fn a_refusal_by_its_own_rule_ends_with_its_word() {
    let never = || RetryPolicy::default().on(opilio_core::OutcomeClass::Refused, opilio_core::Rule::never());
    for (answer, reason) in
        [(captcha(), Reason::Refused), (bare(999), Reason::Refused), (bare(403), Reason::Http4xx)]
    {
        let spider = List(vec!["http://a.example/0".into()]);
        let policy = HostPolicy::new().rate(per_second(2)).slow_down([403, 999]).max_strikes(2);
        let crawler = crawler(spider).host(policy).retry(never()).middleware(Captcha(None));
        let (report, _, _) = run(crawler.transport(web(move |_, _, _| answer.clone())));
        let report = report.unwrap();
        let ended = report.failures[0].reason;
        assert!(ended == reason || ended == Reason::HostClosed, "{ended}");
    }
}

#[test]
fn each_of_thousands_of_hosts_that_start_at_once_spends_its_start_on_a_request() {
    // There are more hosts than messages fit into the pool's mailbox. A host that waits for an hour takes no time
    // of the test.
    const HOSTS: usize = 6_000;
    let spider = List((0..HOSTS).map(|n| format!("http://h{n}.example/page")).collect());
    let at_once = |_: &str, _, _| ScriptedAnswer::page("<title>page</title>");
    let (report, took, arrivals) = run(Crawler::new(spider)
        .host(HostPolicy::new().rate(per_hour(1)))
        .addresses(AddressPolicy::allow_all())
        .transport(web(at_once)));
    assert_eq!(report.unwrap().pages, HOSTS as u64);
    let first = arrivals.iter().filter(|(at, _)| *at < Duration::from_secs(60)).count();
    assert_eq!(first, HOSTS, "a robots.txt each");
    assert!(took < Duration::from_secs(2 * 3_600), "{took:?}");
}
