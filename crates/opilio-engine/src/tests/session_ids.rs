//! Tests of servers that write a new session id into every link.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use opilio_core::without_session_ids;
use opilio_fetch::ScriptedAnswer;
use url::Url;

use super::linked::{Links, links, quick, site};
use super::run;
use crate::{CrawlReport, Crawler, Scope};

const SEED: &[&str] = &["http://shop.example/1"];

/// A shop of five pages that link to each other. `write` makes each link from a page's number and a new session id.
fn shop(write: fn(usize, &str) -> String) -> impl Fn(&str) -> ScriptedAnswer + Clone + Send + Sync + 'static {
    let count = Arc::new(AtomicUsize::new(1));
    move |_| {
        links((1..=5).map(|page| {
            let id = count.fetch_add(1, Ordering::Relaxed);
            write(page, &format!("{:032x}", id * 0x9e37_79b9_7f4a))
        }))
    }
}

/// Runs a crawl, and returns the report and the numbers of the requested pages, in the order of the URLs.
fn asked(crawler: Crawler<Links>) -> (CrawlReport, Vec<String>) {
    let (report, _, arrivals) = run(crawler);
    let report = report.unwrap();
    assert!(report.balances(), "{report:?}");
    (report, arrivals.into_iter().map(|(_, url)| url).collect())
}

const WAYS: [fn(usize, &str) -> String; 7] = [
    |page, id| format!("/{page};jsessionid={}", id.to_uppercase()),
    |page, id| format!("/{page}?PHPSESSID={id}"),
    |page, id| format!("/{page}?a=1&sid={id}&b=2"),
    |page, id| format!("/{page}?CFID={}&CFTOKEN={}", &id[26..], &id[20..]),
    |page, id| format!("/(S({}))/{page}.aspx", &id[8..]),
    |page, id| format!("/{page}?osCsid={id}#top"),
    |page, id| format!("/{page}%3Bjsessionid={id}"),
];

#[test]
fn pages_are_fetched_once_whatever_id_their_links_carry() {
    for write in WAYS {
        let sample = write(7, &"a".repeat(32));
        let (report, arrivals) = asked(quick(Links(SEED)).transport(site(shop(write))).max_pages(60));
        // The seed has no session id. If the links differ from the seed in more than the session id, the seed
        // counts as a separate page.
        assert!((5..=6).contains(&report.pages) && report.left == 0, "{sample}: {arrivals:?}");
        let fetched: BTreeSet<_> = arrivals.iter().collect();
        assert_eq!(fetched.len(), arrivals.len());
        let has_id = |url: &&String| {
            let url = Url::parse(url).unwrap();
            without_session_ids(&url).as_str() != url.as_str()
        };
        assert!(
            arrivals.iter().filter(has_id).count() >= 4,
            "what is fetched is the URL as it is written: {arrivals:?}"
        );
    }
}

#[test]
fn who_wants_them_told_apart_gets_them() {
    let scope = || Scope::new().keep_session_ids();
    for write in WAYS {
        let crawler = quick(Links(SEED)).transport(site(shop(write))).scope(scope()).max_pages(60);
        assert_eq!(asked(crawler).0.pages, 60);
    }
}

#[test]
fn a_resumed_crawl_knows_the_pages_under_other_ids() {
    for write in WAYS {
        let dir = tempfile::tempdir().unwrap();
        let (mut pages, mut fetched) = (0, 0);
        for pages_max in [1, 3, 60, 60] {
            let crawler = quick(Links(SEED)).transport(site(shop(write))).state(dir.path()).resume();
            let (report, arrivals) = asked(crawler.max_pages(pages_max));
            pages = report.pages;
            fetched += arrivals.len() as u64;
        }
        assert!((5..=6).contains(&pages), "{pages}");
        assert_eq!(fetched, pages, "nothing is fetched twice");
    }
}

#[test]
fn a_server_that_redirects_to_a_name_with_an_id_gets_it() {
    let answer = |url: &str| match url {
        "http://shop.example/1" => redirect("/1;jsessionid=1A"),
        "http://shop.example/loop" => redirect("/loop?PHPSESSID=2"),
        "http://shop.example/loop?PHPSESSID=2" => redirect("/loop"),
        _ => links([]),
    };
    let spider = Links(&["http://shop.example/1", "http://shop.example/loop"]);
    let (report, arrivals) = asked(quick(spider).transport(site(answer)));
    assert!(arrivals.contains(&"http://shop.example/1;jsessionid=1A".to_owned()), "{arrivals:?}");
    assert_eq!(report.pages, 1, "{report:?}");
    assert!(arrivals.len() < 20, "a server that is never content comes to an end");
}

fn redirect(to: &'static str) -> ScriptedAnswer {
    ScriptedAnswer::status(302).header(http::header::LOCATION, http::HeaderValue::from_static(to))
}
