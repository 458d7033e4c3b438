//! Tests of consent and login pages that set several cookies one after another: a page is shown once the client has
//! all the cookies, whichever of its URLs received them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderValue;
use http::header::SET_COOKIE;
use opilio_core::{HostPolicy, Reason, per_second};
use opilio_fetch::{ScriptedAnswer, TransportRequest};

use super::redirects::{absolute, crawler, has, page, run, sets, to};

#[test]
fn a_wall_of_several_turns_is_passed_wherever_it_leads_in_between() {
    // Each redirect sets one more cookie. The page is shown only when all of them are there.
    let turns = |ask: &TransportRequest| (1..=3).take_while(|n| has(ask, &format!("c{n}={n}"))).count() + 1;
    let to_itself = move |ask: &TransportRequest| match turns(ask) {
        4 => page(ask),
        turn => sets(to(ask.url.path()), &format!("c{turn}={turn}")),
    };
    let by_another = move |ask: &TransportRequest| match (turns(ask), ask.url.path()) {
        (turn, path) if path.starts_with("/check") => sets(to(&path[6..]), &format!("c{turn}={turn}")),
        (4, _) => page(ask),
        (_, path) => to(&format!("/check{path}")),
    };
    let first_by_another = move |ask: &TransportRequest| match (turns(ask), ask.url.path()) {
        (turn, path) if path.starts_with("/check") => sets(to(&path[6..]), &format!("c{turn}={turn}")),
        (1, path) => to(&format!("/check{path}")),
        (4, _) => page(ask),
        (turn, path) => sets(to(path), &format!("c{turn}={turn}")),
    };
    let first_at_itself = move |ask: &TransportRequest| match (turns(ask), ask.url.path()) {
        (turn, path) if path.starts_with("/check") => sets(to(&path[6..]), &format!("c{turn}={turn}")),
        (1, path) => sets(to(path), "c1=1"),
        (4, _) => page(ask),
        (_, path) => to(&format!("/check{path}")),
    };
    type Wall = Box<dyn Fn(&TransportRequest) -> ScriptedAnswer + Send + Sync>;
    let walls: [(&str, Arc<Wall>); 4] = [
        ("to itself", Arc::new(Box::new(to_itself))),
        ("by another", Arc::new(Box::new(by_another))),
        ("first by another", Arc::new(Box::new(first_by_another))),
        ("first at itself", Arc::new(Box::new(first_at_itself))),
    ];
    for (what, wall) in walls {
        for count in [1, 2, 5] {
            let paths: Vec<_> = (0..count).map(|n| format!("/{n}")).collect();
            let urls: Vec<_> = paths.iter().map(|path| absolute(path)).collect();
            let web = wall.clone();
            let ran = run(crawler(&urls).max_redirects(10), move |ask: &TransportRequest| web(ask));
            let pages: Vec<_> = paths.iter().map(|path| format!("{} is {path}", absolute(path))).collect();
            assert_eq!(ran.items, pages, "{what}, {count}: {:?}", ran.asked);
        }
    }
}

#[test]
fn a_loop_is_none_for_whoever_was_given_a_cookie_meanwhile() {
    // The first cookie was set before, by a page or by another redirect chain that came to the consent page. The
    // second redirect sets the second cookie.
    let second_turn = Mutex::new(std::collections::HashSet::new());
    let second_turn = Arc::new(second_turn);
    let by_a_page = move |ask: &TransportRequest| match ask.url.path() {
        "/start" => ScriptedAnswer::page("<title>/start</title><a href=/0>0</a><a href=/1>1</a>")
            .header(SET_COOKIE, HeaderValue::from_static("c1=1; Path=/"))
            .after(Duration::from_millis(3)),
        _ if has(ask, "c2=2") => page(ask),
        path if second_turn.lock().unwrap().insert(path.to_owned()) => to(path),
        path => sets(to(path), "c2=2"),
    };
    let ran = run(crawler(&[absolute("/start")]), by_a_page);
    let pages = ["/0", "/1", "/start"].map(|path| format!("{} is {path}", absolute(path)));
    assert_eq!(ran.items, pages, "{:?}", ran.asked);
    // URLs that come to the consent page after the first URL have its cookie by then. But they requested their own
    // page without this cookie.
    let by_another = |ask: &TransportRequest| match (ask.url.path(), ask.url.query()) {
        ("/wall", Some(from)) if has(ask, "c1=1") => to(&format!("/{from}")),
        ("/wall", Some(from)) => sets(to(&format!("/wall?{from}")), "c1=1"),
        _ if has(ask, "c1=1") => page(ask),
        (path, _) => to(&format!("/wall?{}", &path[1..])),
    };
    for count in [2, 3, 6] {
        let urls: Vec<_> = (0..count).map(|n| absolute(&format!("/{n}"))).collect();
        let ran = run(crawler(&urls).host(HostPolicy::new().rate(per_second(20)).in_flight(6)), by_another);
        let pages: Vec<_> = (0..count).map(|n| format!("{} is /{n}", absolute(&format!("/{n}")))).collect();
        assert_eq!(ran.items, pages, "{:?}", ran.asked);
    }
    // The second redirect starts at another host and another URL than the first.
    let visits = Arc::new(Mutex::new(Vec::new()));
    let elsewhere = move |ask: &TransportRequest| {
        let path = ask.url.path().to_owned();
        let mut visits = visits.lock().unwrap();
        visits.push(path.clone());
        match path.as_str() {
            "/start" => ScriptedAnswer::page("<title>/start</title><a href=/0>0</a>")
                .header(SET_COOKIE, HeaderValue::from_static("c1=1; Path=/"))
                .after(Duration::from_millis(3)),
            "/check" if visits.iter().filter(|visited| *visited == "/check").count() == 2 => {
                sets(to("/0"), "c2=2")
            }
            "/check" => to("/0"),
            _ if has(ask, "c2=2") => page(ask),
            _ => to("/check"),
        }
    };
    let ran = run(crawler(&[absolute("/start")]), elsewhere);
    assert_eq!(
        ran.items,
        ["/0", "/start"].map(|path| format!("{} is {path}", absolute(path))),
        "{:?}",
        ran.asked
    );
    // A circle of redirects is reported as a circle. On a site that sets cookies the crawl follows it twice before
    // that.
    let ring = |ask: &TransportRequest| match ask.url.path() {
        "/start" => ScriptedAnswer::page("<title>/start</title><a href=/a>a</a>")
            .header(SET_COOKIE, HeaderValue::from_static("c1=1; Path=/"))
            .after(Duration::from_millis(3)),
        "/a" => to("/b"),
        "/b" => to("/c"),
        _ => to("/a"),
    };
    let ran = run(crawler(&[absolute("/start")]), ring);
    assert_eq!(ran.failures(), [(absolute("/a"), Reason::RedirectLoop)]);
    assert_eq!(ran.asked.len(), 7, "{:?}", ran.asked);
}

#[test]
fn a_ring_of_any_length_is_a_loop_also_where_some_page_sets_cookies() {
    for length in [2, 3, 7, 10] {
        let urls = vec![absolute("/page"), absolute("/ring/0")];
        let ran = run(crawler(&urls).max_redirects(10), move |ask: &TransportRequest| {
            match ask.url.path().strip_prefix("/ring/").and_then(|n| n.parse::<u32>().ok()) {
                Some(n) => to(&format!("/ring/{}", (n + 1) % length)),
                None => page(ask).header(SET_COOKIE, HeaderValue::from_static("seen=1")),
            }
        });
        assert_eq!(ran.failures(), [(absolute("/ring/0"), Reason::RedirectLoop)], "{length}");
    }
}
