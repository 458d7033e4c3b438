//! Tests of robots.txt in a crawl: it is requested before the pages, within the limits of the host, and it is
//! obeyed. The web is scripted and the time virtual.

use http::header::{CONTENT_ENCODING, LOCATION};
use http::{HeaderName, HeaderValue};
use opilio_core::per_hour;
use opilio_fetch::{Connection, Limits};

use super::*;

/// Returns a transport whose answers a closure makes from the URL.
pub(super) fn site(
    answer: impl Fn(&str, Duration) -> ScriptedAnswer + Send + Sync + 'static,
) -> impl Fn() -> Rc<dyn Transport> + Send + Sync {
    let answer = Arc::new(answer);
    move || {
        let answer = answer.clone();
        let start = Instant::now();
        Rc::new(ScriptedTransport::new(move |now: Instant, ask: &TransportRequest| {
            let at = now - start;
            ARRIVALS.with(|arrivals| arrivals.borrow_mut().push((at, ask.url.to_string())));
            answer(ask.url.as_str(), at)
        }))
    }
}

pub(super) fn text(body: impl Into<String>) -> ScriptedAnswer {
    ScriptedAnswer { body: body.into().into(), ..ScriptedAnswer::status(200) }
        .after(Duration::from_millis(20))
}

fn to(url: &str) -> ScriptedAnswer {
    ScriptedAnswer::status(302)
        .header(LOCATION, HeaderValue::from_str(url).unwrap())
        .after(Duration::from_millis(20))
}

fn obedient(spider: List) -> Crawler<List> {
    Crawler::new(spider).host(HostPolicy::new().rate(per_second(2)).in_flight(4)).seed(108)
}

pub(super) fn times_of(arrivals: &[(Duration, String)], part: &str) -> Vec<Duration> {
    arrivals.iter().filter(|(_, url)| url.contains(part)).map(|(at, _)| *at).collect()
}

/// Checks that two arrivals at a host are never closer than the spacing that the host's rate requires.
fn assert_spaced(arrivals: &[(Duration, String)], host: &str) {
    let times = times_of(arrivals, &format!("//{host}/"));
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(490), "{host}: {pair:?}");
    }
}

#[test]
fn rules_are_asked_for_once_before_the_first_page_and_disallowed_urls_end_as_robots() {
    let spider = List(urls("a.example", 20).chain(["https://a.example/s".into()]).collect());
    let transport = site(|url, _| match url {
        "http://a.example/robots.txt" => text("user-agent: *\ndisallow: /1\n").after(Duration::from_secs(5)),
        "https://a.example/robots.txt" => ScriptedAnswer::status(404),
        _ => page(),
    });
    let (report, _, arrivals) = run(obedient(spider).transport(transport));
    let report = report.unwrap();
    assert!(report.balances());
    // The forbidden pages are /1 and /10 to /19.
    assert_eq!((report.pages, report.reasons), (10, BTreeMap::from([(Reason::Robots, 11)])));
    assert!(report.failures.iter().all(|failure| failure.attempts == 0));
    for origin in ["http://a.example", "https://a.example"] {
        let asked = times_of(&arrivals, &format!("{origin}/robots.txt"));
        assert_eq!(asked.len(), 1, "{arrivals:?}");
        let pages = arrivals.iter().filter(|(_, url)| url.starts_with(origin) && !url.ends_with(".txt"));
        assert!(pages.into_iter().all(|(at, _)| *at > asked[0]), "{arrivals:?}");
    }
    assert_spaced(&arrivals, "a.example");
}

#[test]
fn a_redirect_to_another_host_is_charged_to_that_host_and_its_rules_hold_here() {
    let hosts = ["a.example", "b.example"];
    let spider = List(hosts.iter().flat_map(|host| urls(host, 12)).collect());
    let transport = site(|url, _| match url {
        "http://a.example/robots.txt" => to("http://b.example/for-a.txt"),
        "http://b.example/for-a.txt" => text("user-agent: opilio\ndisallow: /3\n"),
        "http://b.example/robots.txt" => text("user-agent: *\ndisallow: /for-a.txt\ndisallow: /4\n"),
        _ => page(),
    });
    let (report, took, arrivals) = run(obedient(spider).transport(transport));
    let report = report.unwrap();
    let failed: Vec<_> = report.failures.iter().map(|failure| (&*failure.url, failure.reason)).collect();
    assert_eq!(report.pages, 22);
    assert!(failed.contains(&("http://a.example/3", Reason::Robots)), "{failed:?}");
    assert!(failed.contains(&("http://b.example/4", Reason::Robots)), "{failed:?}");
    assert_eq!(times_of(&arrivals, "/for-a.txt").len(), 1);
    hosts.iter().for_each(|host| assert_spaced(&arrivals, host));
    assert!(took < Duration::from_secs(12), "{took:?}");
}

#[test]
fn a_hop_keeps_to_the_hold_of_the_host_that_it_goes_to() {
    let spider = List(vec!["http://b.example/1".into(), "http://a.example/1".into()]);
    let transport = site(|url, at| match url {
        "http://a.example/robots.txt" => to("http://b.example/for-a.txt").after(Duration::from_secs(3)),
        "http://b.example/1" if at < Duration::from_secs(60) => refused(60),
        _ => page(),
    });
    let (report, took, arrivals) = run(obedient(spider).transport(transport));
    assert_eq!(report.unwrap().pages, 2, "{arrivals:?}");
    let held = Duration::from_millis(1_500)..Duration::from_secs(60);
    assert!(times_of(&arrivals, "//b.example").iter().all(|at| !held.contains(at)), "{arrivals:?}");
    assert!(took < Duration::from_secs(70), "{took:?}");
}

#[test]
fn a_passive_host_that_is_woken_for_a_hop_still_knows_its_hold() {
    let spider = List(vec!["http://b.example/last".into(), "http://a.example/1".into()]);
    let transport = site(|url, _| match url {
        "http://a.example/robots.txt" => to("http://b.example/for-a.txt").after(Duration::from_secs(10)),
        "http://b.example/last" => page()
            .header(HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from_static("10"))
            .header(HeaderName::from_static("x-ratelimit-remaining"), HeaderValue::from_static("0"))
            .header(HeaderName::from_static("x-ratelimit-reset"), HeaderValue::from_static("100")),
        _ => page(),
    });
    let (report, _, arrivals) = run(obedient(spider).transport(transport));
    assert_eq!(report.unwrap().pages, 2);
    let hop = times_of(&arrivals, "/for-a.txt");
    assert!(hop.len() == 1 && hop[0] >= Duration::from_secs(100), "{arrivals:?}");
}

#[test]
fn each_url_is_judged_once_by_the_rules_of_its_host() {
    let spider = List(urls("a.example", 40).collect());
    let transport = site(|url, _| match url {
        "http://a.example/robots.txt" => text("user-agent: *\ndisallow: /*no\n"),
        // A retry does not count as a new URL.
        "http://a.example/7" => ScriptedAnswer::status(500),
        _ => page(),
    });
    let before = crate::host::judged();
    let (report, _, _) = run(obedient(spider).transport(transport));
    assert_eq!(report.unwrap().pages, 39);
    assert_eq!(crate::host::judged() - before, 40, "what a page costs must not grow with what waits");
}

#[test]
fn what_newer_rules_forbid_is_not_tried_again() {
    for rules in ["http://a.example/robots.txt", "http://b.example/for-a.txt"] {
        assert_newer_rules_hold(rules);
    }
}

/// Checks that new rules apply to a retry: a page that the first rules allowed fails after the rules were fetched
/// again, a day later.
fn assert_newer_rules_hold(rules: &'static str) {
    let day = Duration::from_secs(24 * 3_600);
    let spacing = Duration::from_secs(300);
    let spider = List(urls("a.example", 300).collect());
    let transport = site(move |url, at| match url {
        url if url == rules && at < day => text("user-agent: *\n"),
        url if url == rules => text("user-agent: *\ndisallow: /\n"),
        "http://a.example/robots.txt" => to(rules),
        _ if at + spacing > day => ScriptedAnswer::status(500).after(Duration::from_secs(400)),
        _ => page(),
    });
    let policy = HostPolicy::new().rate(per_hour(12)).in_flight(2);
    let limits = Limits { timeout: Duration::from_secs(600), ..Limits::default() };
    let (report, _, arrivals) = run(obedient(spider).host(policy).limits(limits).transport(transport));
    let report = report.unwrap();
    assert!(report.balances());
    assert_eq!(report.reasons.keys().collect::<Vec<_>>(), [&Reason::Robots], "{rules}");
    let asked = times_of(&arrivals, rules);
    assert_eq!(asked.len(), 2, "{arrivals:?}");
    assert!(arrivals.last().is_some_and(|(at, _)| *at == asked[1]), "{rules}: {arrivals:?}");
}

#[test]
fn a_connection_is_closed_when_the_crawl_delay_keeps_the_next_start_away() {
    let kept = |delay: u32| {
        let spider = List(urls("a.example", 3).collect());
        let transport = move || -> Rc<dyn Transport> {
            Rc::new(ScriptedTransport::new(move |_: Instant, ask: &TransportRequest| {
                ASKED.with(|asked| asked.borrow_mut().push(ask.connection));
                match ask.url.path() {
                    "/robots.txt" => text(format!("user-agent: *\ncrawl-delay: {delay}\n")),
                    _ => page(),
                }
            }))
        };
        ASKED.with(|asked| asked.borrow_mut().clear());
        let (report, _, _) = run(obedient(spider).transport(transport));
        assert_eq!(report.unwrap().pages, 3);
        ASKED.with(|asked| asked.borrow().iter().map(|how| *how == Connection::Keep).collect::<Vec<_>>())
    };
    assert_eq!(kept(2), [true; 4]);
    assert_eq!(kept(30), [true, false, false, false], "nobody knows the delay before robots.txt");
}

thread_local! {
    /// The setting of the connection in each request, in the order in which the requests arrived.
    static ASKED: RefCell<Vec<Connection>> = RefCell::default();
}

#[test]
fn a_quota_that_comes_with_robots_txt_is_kept_to() {
    let spider = List(urls("a.example", 3).collect());
    let transport = site(|url, _| match url {
        "http://a.example/robots.txt" => text("user-agent: *\n")
            .header(HeaderName::from_static("x-ratelimit-remaining"), HeaderValue::from_static("0"))
            .header(HeaderName::from_static("x-ratelimit-reset"), HeaderValue::from_static("60")),
        _ => page(),
    });
    let (report, _, arrivals) = run(obedient(spider).transport(transport));
    assert_eq!(report.unwrap().pages, 3);
    assert!(arrivals[1..].iter().all(|(at, _)| *at >= Duration::from_secs(60)), "{arrivals:?}");
}

#[test]
fn hosts_whose_rules_lie_at_each_other_do_not_wait_for_ever() {
    // The robots.txt of the first two hosts redirects and ends. That of the other two redirects in a circle: after
    // five redirects there are no rules.
    let hosts = ["a.example", "b.example", "c.example", "d.example"];
    let spider = List(hosts.iter().flat_map(|host| urls(host, 3)).collect());
    let transport = site(|url, _| match url {
        "http://a.example/robots.txt" => to("http://b.example/r.txt"),
        "http://b.example/robots.txt" => to("http://a.example/r.txt"),
        "http://a.example/r.txt" | "http://b.example/r.txt" => text("user-agent: *\ndisallow: /1\n"),
        "http://c.example/robots.txt" => to("http://d.example/robots.txt"),
        "http://d.example/robots.txt" => to("http://c.example/robots.txt"),
        _ => page(),
    });
    let (report, took, arrivals) = run(obedient(spider).transport(transport));
    let report = report.unwrap();
    assert_eq!((report.pages, report.reasons), (10, BTreeMap::from([(Reason::Robots, 2)])));
    hosts.iter().for_each(|host| assert_spaced(&arrivals, host));
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn five_hops_are_followed_and_a_sixth_means_that_there_are_no_rules() {
    for (last, pages) in [(5, 0), (6, 1)] {
        let spider = List(vec!["http://h0.example/x".into()]);
        let transport = site(move |url, _| {
            let rest = url.strip_prefix("http://h").unwrap();
            let (hop, path) = rest.split_once(".example").unwrap();
            let hop: u32 = hop.parse().unwrap();
            match path {
                "/robots.txt" if hop < last => to(&format!("http://h{}.example/robots.txt", hop + 1)),
                "/robots.txt" => text("user-agent: *\ndisallow: /\n"),
                _ => page(),
            }
        });
        let (report, _, arrivals) = run(obedient(spider).transport(transport));
        let report = report.unwrap();
        assert_eq!(report.pages, pages, "{arrivals:?}");
        assert_eq!(times_of(&arrivals, "/robots.txt").len(), 6, "{arrivals:?}");
    }
}

#[test]
fn a_host_that_was_asleep_is_woken_for_a_hop_and_one_file_is_fetched_once_for_all() {
    let others: Vec<String> = (0..20).map(|n| format!("http://h{n}.example/x")).collect();
    let spider = List(others.into_iter().chain(["http://b.example/x".into()]).collect());
    let transport = site(|url, _| match url {
        "http://b.example/common.txt" => text("user-agent: *\ndisallow: /x\n").after(Duration::from_secs(3)),
        "http://b.example/robots.txt" | "http://b.example/x" => page(),
        _ => to("http://b.example/common.txt").after(Duration::from_secs(10)),
    });
    let (report, _, arrivals) = run(obedient(spider).transport(transport));
    let report = report.unwrap();
    assert_eq!((report.pages, report.reasons), (1, BTreeMap::from([(Reason::Robots, 20)])));
    assert_eq!(times_of(&arrivals, "/common.txt").len(), 1, "{arrivals:?}");
}

#[test]
fn a_hop_to_a_host_that_is_put_aside_or_silent_closes_the_asker_for_a_bounded_time() {
    for parked in [true, false] {
        let spider = List(urls("b.example", 1).chain(urls("a.example", 2)).collect());
        let transport = site(move |url, _| match url {
            "http://a.example/robots.txt" => to("http://b.example/for-a.txt").after(Duration::from_secs(2)),
            _ if url.starts_with("http://b.example") && parked => refused(86_400),
            _ if url.starts_with("http://b.example") => page().after(Duration::from_secs(3_600)),
            _ => page(),
        });
        let (report, took, arrivals) = run(obedient(spider).transport(transport));
        let report = report.unwrap();
        assert!(report.balances());
        assert_eq!(report.pages, 0);
        let of_a = report.failures.iter().filter(|failure| failure.url.contains("//a.example"));
        let of_a: Vec<_> = of_a.map(|failure| (failure.reason, failure.attempts)).collect();
        assert_eq!(of_a, [(Reason::HostClosed, 0); 2]);
        // There are twelve failed attempts, with waits that grow to a minute and five minutes for each answer.
        assert_eq!(times_of(&arrivals, "//a.example/robots.txt").len(), 12, "{arrivals:?}");
        assert!(took < Duration::from_secs(12 * (300 + 60)), "{took:?}");
    }
}

#[test]
fn a_hop_to_a_forbidden_address_ends_the_urls_and_says_so() {
    let spider = List(urls("a.example", 3).collect());
    let transport = site(|url, _| match url {
        "http://a.example/robots.txt" => to("http://169.254.169.254/latest"),
        _ if url.starts_with("http://169.") => ScriptedAnswer::fault(Phase::Connect, Fault::BlockedAddress),
        _ => page(),
    });
    let (report, took, _) = run(obedient(spider).transport(transport));
    let report = report.unwrap();
    assert_eq!(report.reasons, BTreeMap::from([(Reason::BlockedAddress, 3)]));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn rules_are_asked_for_anew_after_a_day_and_the_new_ones_hold() {
    let spider = List(urls("a.example", 27).collect());
    let policy = HostPolicy::new().rate(per_hour(1)).in_flight(1);
    let transport = site(|url, at| match url {
        "http://a.example/robots.txt" if at < Duration::from_secs(80_000) => {
            text("user-agent: *\ndisallow: /26\n")
        }
        "http://a.example/robots.txt" => text("user-agent: *\ndisallow: /25\ndisallow: /24\n"),
        _ => page(),
    });
    let (report, _, arrivals) = run(obedient(spider).host(policy).transport(transport));
    let report = report.unwrap();
    let asked = times_of(&arrivals, "/robots.txt");
    assert_eq!(asked.len(), 2, "{arrivals:?}");
    assert!(asked[1] >= Duration::from_secs(86_400) && asked[1] < Duration::from_secs(86_400 + 7_300));
    let mut refused: Vec<_> = report.failures.iter().map(|failure| &*failure.url).collect();
    refused.sort_unstable();
    assert!(
        refused.contains(&"http://a.example/25") && refused.contains(&"http://a.example/24"),
        "{refused:?}"
    );
    assert_eq!(report.pages as usize + refused.len(), 27);
}

#[test]
fn a_server_error_closes_the_host_with_growing_waits_and_its_urls_end_as_host_closed() {
    let spider = List(urls("a.example", 5).collect());
    let transport = site(|url, _| if url.ends_with(".txt") { ScriptedAnswer::status(503) } else { page() });
    let (report, _, arrivals) = run(obedient(spider).transport(transport));
    let report = report.unwrap();
    assert_eq!(report.reasons, BTreeMap::from([(Reason::HostClosed, 5)]));
    let asked = times_of(&arrivals, "/robots.txt");
    assert_eq!((asked.len(), arrivals.len()), (12, 12), "{arrivals:?}");
    assert!(asked[11] - asked[10] > (asked[1] - asked[0]) * 4, "{asked:?}");
}

#[test]
fn a_server_that_recovers_gives_its_rules_and_then_its_pages() {
    let spider = List(urls("a.example", 5).collect());
    let transport = site(|url, at| match url {
        "http://a.example/robots.txt" if at < Duration::from_secs(40) => ScriptedAnswer::status(500),
        "http://a.example/robots.txt" => text("user-agent: *\ndisallow: /1\n"),
        _ => page(),
    });
    let (report, _, arrivals) = run(obedient(spider).transport(transport));
    let report = report.unwrap();
    assert_eq!((report.pages, report.reasons), (4, BTreeMap::from([(Reason::Robots, 1)])), "{arrivals:?}");
}

#[test]
fn a_429_on_robots_txt_holds_the_host() {
    let spider = List(urls("a.example", 3).collect());
    let transport = site(|url, at| match url {
        "http://a.example/robots.txt" if at < Duration::from_secs(100) => refused(120),
        "http://a.example/robots.txt" => ScriptedAnswer::status(404),
        _ => page(),
    });
    let (report, _, arrivals) = run(obedient(spider).transport(transport));
    assert_eq!(report.unwrap().pages, 3);
    assert!(arrivals[1].0 >= Duration::from_secs(120), "{arrivals:?}");
    assert_eq!(times_of(&arrivals, "/robots.txt").len(), 2);
}

#[test]
fn of_a_robots_txt_that_never_ends_the_first_500_kib_hold_whatever_bodies_may_be() {
    let spider = List(urls("a.example", 5).collect());
    let filler = "# filler\n".repeat(80_000);
    let transport = site(move |url, _| match url {
        // The body ends early, but far behind the part that is read as rules. The crawl does not wait for the rest.
        "http://a.example/robots.txt" => ScriptedAnswer {
            fault: Some((Phase::Body, Fault::Reset)),
            ..text(format!("user-agent: *\ndisallow: /1\n{filler}disallow: /2\n"))
        },
        _ => page(),
    });
    let limits = Limits { body_bytes_max: 1_024, wire_bytes_max: 1_024, ..Limits::default() };
    let (report, _, _) = run(obedient(spider).limits(limits).transport(transport));
    let report = report.unwrap();
    assert_eq!(report.reasons, BTreeMap::from([(Reason::Robots, 1)]));
    assert_eq!(report.pages, 4);
}

#[test]
fn a_page_in_place_of_rules_allows_all_and_what_cannot_be_decoded_allows_nothing() {
    let answer = |coding: Option<&'static str>| {
        let rules = ScriptedAnswer::page("<html>User-agent: *<br>Disallow: /</html>");
        coding
            .map_or(rules.clone(), |coding| rules.header(CONTENT_ENCODING, HeaderValue::from_static(coding)))
    };
    for (coding, expected) in [(None, None), (Some("gzip"), Some(Reason::Undecodable))] {
        let spider = List(urls("a.example", 3).collect());
        let transport = site(move |url, _| if url.ends_with(".txt") { answer(coding) } else { page() });
        let (report, _, arrivals) = run(obedient(spider).transport(transport));
        let report = report.unwrap();
        let reasons: BTreeMap<_, _> = expected.into_iter().map(|reason| (reason, 3)).collect();
        assert_eq!((report.reasons, report.pages), (reasons, if expected.is_none() { 3 } else { 0 }));
        assert!(arrivals.len() <= 4, "{arrivals:?}");
    }
}

#[test]
fn a_redirect_that_leads_nowhere_means_that_there_are_no_rules() {
    for location in ["file:///etc/passwd", "http://", ""] {
        let spider = List(urls("a.example", 2).collect());
        let transport = site(move |url, _| if url.ends_with(".txt") { to(location) } else { page() });
        let (report, _, arrivals) = run(obedient(spider).transport(transport));
        assert_eq!(report.unwrap().pages, 2, "{location:?} {arrivals:?}");
        if !location.is_empty() {
            assert_eq!(arrivals.len(), 3, "{arrivals:?}");
        }
    }
}

#[test]
fn a_crawl_delay_is_that_of_the_group_that_applies() {
    let own = "user-agent: opilio\ncrawl-delay: 1\n\nuser-agent: *\ncrawl-delay: 60\n";
    let none = "user-agent: opilio\nallow: /\n\nuser-agent: *\ncrawl-delay: 60\n";
    for (rules, least, most) in [(own, 1_000, 1_100), (none, 200, 300)] {
        let spider = List(urls("a.example", 4).collect());
        let transport = site(move |url, _| match url {
            "http://a.example/robots.txt" => text(rules.to_owned()),
            _ => page(),
        });
        let policy = HostPolicy::new().rate(per_second(5));
        let (report, _, arrivals) = run(obedient(spider).host(policy).transport(transport));
        assert_eq!(report.unwrap().pages, 4);
        for pair in arrivals.windows(2) {
            let gap = (pair[1].0 - pair[0].0).as_millis();
            assert!(gap >= least && gap < most, "{pair:?}");
        }
    }
}

#[test]
fn a_crawl_delay_is_a_floor_and_no_longer_than_allowed() {
    for (delay, kept) in [(3, 3), (7_200, 10)] {
        let spider = List(urls("a.example", 4).collect());
        let policy = HostPolicy::new().rate(per_second(5)).max_crawl_delay(Duration::from_secs(10));
        let transport = site(move |url, _| match url {
            "http://a.example/robots.txt" => text(format!("user-agent: *\ncrawl-delay: {delay}\n")),
            _ => page(),
        });
        let (report, _, arrivals) = run(obedient(spider).host(policy).transport(transport));
        assert_eq!(report.unwrap().pages, 4);
        for pair in arrivals.windows(2) {
            let gap = pair[1].0 - pair[0].0;
            assert!(gap >= Duration::from_secs(kept) && gap < Duration::from_secs(kept + 1), "{pair:?}");
        }
    }
}
