//! Tests of the user agent: which one is sent, and which rules of robots.txt apply to it.

use opilio_sandbox::{HostConfig, Sandbox};
use serde_json::json;

use crate::support::{FAST, crawl, ears, run};

/// Crawls one page, and returns the `User-Agent` lines of the two requests: for robots.txt and for the page.
fn sent(args: &[&str]) -> Vec<String> {
    let ears = ears();
    let url = format!("http://{}/", ears.addr);
    assert_eq!(run(&[&["crawl"], &FAST[..], &[&url], args].concat()).code, 0);
    let heads: Vec<String> = (0..2).map(|_| ears.heads.recv().unwrap()).collect();
    assert!(heads[0].starts_with("GET /robots.txt ") && heads[1].starts_with("GET / "), "{heads:?}");
    let agent = |head: &String| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("user-agent:"));
        line.and_then(|line| line.split_once(": ")).unwrap().1.to_owned()
    };
    heads.iter().map(agent).collect()
}

#[test]
fn the_default_names_opilio_and_its_version() {
    for agent in sent(&[]) {
        assert!(agent.starts_with(concat!("Opilio/", env!("CARGO_PKG_VERSION"), " ")), "{agent}");
    }
}

#[test]
fn a_user_agent_is_sent_as_it_is_given_also_for_robots_txt() {
    let agent = "lampbot/2.1 (+https://lamps.example/bot)";
    assert_eq!(sent(&["--user-agent", agent]), [agent, agent]);
}

#[test]
fn a_user_agent_is_matched_in_robots_txt() {
    let rules = "user-agent: *\ndisallow: /deals\n\nuser-agent: lampbot\ndisallow: /products\n";
    let host = HostConfig::new().page("/robots.txt", "text/plain", rules);
    let shop = Sandbox::builder().host(host).start().unwrap();
    let (deals, products) = (shop.url(0, "/deals"), shop.url(0, "/products"));
    for (agent, page, refused) in
        [("lampbot/2.1 (me@lamps.example)", &deals, &products), ("Opilio/0.1", &products, &deals)]
    {
        let (run, report) = crawl(&[&deals, &products, "--follow=none", "--user-agent", agent]);
        let pages: Vec<_> = run.items().iter().map(|item| item["url"].clone()).collect();
        assert_eq!(pages, [json!(page)], "{agent}");
        let failure = json!([{"url": refused, "reason": "robots", "attempts": 0}]);
        assert_eq!(report["failures"], failure, "{agent}");
    }
    let asked = shop.log(0).arrivals();
    assert_eq!(asked, 4, "two crawls, each with robots.txt and one page");
}
