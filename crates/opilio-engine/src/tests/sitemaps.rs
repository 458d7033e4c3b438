//! Tests of sitemaps as seeds, with a scripted web in virtual time.

use std::io::Write;

use http::HeaderValue;
use http::header::LOCATION;

use opilio_fetch::Limits;

use super::robots::{site, text, times_of};
use super::*;
use crate::{Scope, SitemapEntry};

/// A spider whose seeds are sitemaps. It records which pages arrived.
struct Mapped {
    seeds: fn() -> Vec<Request<()>>,
}

impl Spider for Mapped {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        (self.seeds)()
    }

    fn lists(&self, entry: &SitemapEntry) -> bool {
        !entry.loc.contains("unwanted")
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(format!("{} {}", page.depth(), page.requested_url()));
        Ok(())
    }
}

/// Runs a crawl from these seeds. Returns the report, the items in order, and the arrivals.
fn crawl(
    seeds: fn() -> Vec<Request<()>>,
    change: impl FnOnce(Crawler<Mapped>) -> Crawler<Mapped>,
    answer: impl Fn(&str, Duration) -> ScriptedAnswer + Send + Sync + 'static,
) -> (CrawlReport, Vec<String>, Vec<(Duration, String)>) {
    let (output, collected) = Collect::new();
    let policy = HostPolicy::new().rate(per_second(10)).in_flight(4);
    let crawler = change(Crawler::new(Mapped { seeds }).host(policy)).export(output).transport(site(answer));
    let (report, _, arrivals) = run(crawler);
    let report = report.unwrap();
    assert!(report.balances(), "{report:?}");
    let mut items = collected.items::<String>().unwrap();
    items.sort_unstable();
    (report, items, arrivals)
}

fn urlset(locs: &[impl std::fmt::Display]) -> String {
    let entry = |loc: &_| format!("<url><loc>{loc}</loc></url>");
    format!("<urlset>{}</urlset>", locs.iter().map(entry).collect::<String>())
}

fn index(locs: &[&str]) -> String {
    let entry = |loc: &&str| format!("<sitemap><loc>{loc}</loc></sitemap>");
    format!("<sitemapindex>{}</sitemapindex>", locs.iter().map(entry).collect::<String>())
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_sitemaps_of_robots_txt_are_seeds_and_robots_txt_is_asked_for_once() {
    let seeds = || vec![Request::sitemaps_of("http://a.example/some/page", ())];
    let (report, items, arrivals) = crawl(
        seeds,
        |crawler| crawler,
        |url, _| match url {
            "http://a.example/robots.txt" => text(
                "user-agent: *\ndisallow: /no\nsitemap: http://a.example/index.xml\nsitemap: /list.txt\n",
            ),
            "http://a.example/index.xml" => {
                text(index(&["http://a.example/1.xml.gz", "http://a.example/2.xml"]))
            }
            "http://a.example/1.xml.gz" => ScriptedAnswer {
                body: gzip(&urlset(&["http://a.example/x", "http://a.example/no"])).into(),
                ..text("")
            },
            "http://a.example/2.xml" => {
                text(urlset(&["http://a.example/x", "/relative", "http://a.example/unwanted"]))
            }
            "http://a.example/list.txt" => text("http://a.example/y\nhttp://elsewhere.example/\n"),
            _ => page(),
        },
    );
    assert_eq!(items, ["0 http://a.example/relative", "0 http://a.example/x", "0 http://a.example/y"]);
    assert_eq!(times_of(&arrivals, "/robots.txt").len(), 1, "{arrivals:?}");
    assert_eq!(report.reasons, BTreeMap::from([(Reason::Robots, 1)]));
    assert_eq!(report.filtered.get("scope_host"), Some(&1));
    // There are three pages. The five that count as sitemaps are robots.txt, the index, two sitemaps and a list.
    assert_eq!((report.pages, report.sitemaps, report.failures.len()), (3, 5, 1));
    assert!(report.to_string().starts_with("3 pages, 5 sitemaps, 0 aliases, 1 failure ("), "{report}");
    assert!(arrivals.windows(2).all(|pair| pair[1].0 - pair[0].0 >= Duration::from_millis(99)));
}

#[test]
fn the_usual_place_is_tried_where_robots_txt_names_none() {
    let seeds =
        || vec![Request::get("http://a.example/", ()), Request::sitemaps_of("http://a.example/p", ())];
    let map = || text(urlset(&["http://a.example/x"]));
    let missing = || ScriptedAnswer::status(404);
    let robots: [fn() -> ScriptedAnswer; 5] = [
        || text("user-agent: *\ndisallow: /no\n"),
        || text(""),
        || ScriptedAnswer::status(404),
        || ScriptedAnswer::status(410),
        || text("sitemap: http://a.example/other.xml\n"),
    ];
    for (nth, robots) in robots.into_iter().enumerate() {
        let names_one = nth == 4;
        for obeys in [true, false] {
            let (report, items, arrivals) = crawl(
                seeds,
                |crawler| if obeys { crawler } else { crawler.no_robots() },
                move |url, _| match url.strip_prefix("http://a.example").unwrap() {
                    "/robots.txt" => robots(),
                    "/sitemap.xml" => map(),
                    "/other.xml" => missing(),
                    _ => page(),
                },
            );
            let found = items.contains(&"0 http://a.example/x".to_owned());
            assert_eq!(found, !names_one, "{nth} {obeys} {arrivals:?}");
            assert_eq!(times_of(&arrivals, "/sitemap.xml").len(), usize::from(!names_one), "{arrivals:?}");
            assert_eq!(times_of(&arrivals, "/robots.txt").len(), 1, "{arrivals:?}");
            let reasons = if names_one { BTreeMap::from([(Reason::Http4xx, 1)]) } else { BTreeMap::new() };
            assert_eq!(report.reasons, reasons, "{nth} {obeys}");
        }
    }
    // If there is no sitemap at `/sitemap.xml` either, this is not a failure, since nothing promised a sitemap. The
    // same is true if a page for people is at this URL.
    let elsewhere =
        || ScriptedAnswer::status(302).header(LOCATION, HeaderValue::from_static("http://b.example/missing"));
    let broken = || ScriptedAnswer::status(500);
    let answers: [(fn() -> ScriptedAnswer, _); 4] =
        [(missing, None), (page, None), (elsewhere, None), (broken, Some(Reason::Http5xx))];
    for (answer, reason) in answers {
        let (report, items, arrivals) = crawl(
            seeds,
            |crawler| crawler,
            move |url, _| match url.strip_prefix("http://a.example").unwrap() {
                "/robots.txt" => missing(),
                "/sitemap.xml" => answer(),
                _ => page(),
            },
        );
        let reasons = reason.map(|reason| (reason, 1)).into_iter().collect();
        assert_eq!((items.len(), report.reasons), (1, reasons));
        assert!(!times_of(&arrivals, "/sitemap.xml").is_empty(), "{arrivals:?}");
    }
    // If robots.txt or the spider names a sitemap, the sitemap has to exist.
    let named =
        || vec![Request::get("http://a.example/", ()), Request::sitemap("http://a.example/sitemap.xml", ())];
    let (report, ..) =
        crawl(named, |crawler| crawler, move |url, _| if url.ends_with('/') { page() } else { missing() });
    assert_eq!(report.reasons, BTreeMap::from([(Reason::Http4xx, 1)]));
}

/// A spider that requests the sitemaps of a host long after the host's last page.
struct LateMap;

impl Spider for LateMap {
    type Item = String;
    type Step = u8;

    fn seeds(&self) -> Vec<Request<u8>> {
        vec![Request::get("http://a.example/", 0), Request::get("http://b.example/", 1)]
    }

    fn parse(&self, page: &Page<u8>, found: &mut Found<Self>) -> Result<(), ParseError> {
        if *page.step() == 1 {
            found.request(Request::sitemaps_of("http://a.example/", 2));
        }
        found.item(page.requested_url().to_owned());
        Ok(())
    }
}

#[test]
fn a_host_that_was_passive_still_tells_its_sitemaps() {
    let (output, collected) = Collect::new();
    let transport = site(|url, _| match url {
        "http://a.example/robots.txt" => text("sitemap: http://a.example/map.xml\n"),
        "http://a.example/map.xml" => text(urlset(&["http://a.example/x"])),
        "http://b.example/robots.txt" => ScriptedAnswer::status(404),
        // When this page arrives, the other host has long been passive.
        "http://b.example/" => page().after(Duration::from_secs(20)),
        _ => page(),
    });
    let crawler = Crawler::new(LateMap).export(output).transport(transport);
    let (report, _, arrivals) = run(crawler);
    let report = report.unwrap();
    assert!(report.balances(), "{report:?}");
    assert!(collected.items::<String>().unwrap().contains(&"http://a.example/x".into()), "{arrivals:?}");
    // Robots.txt is not requested again for pages and holds: the kept rules are enough for them.
    assert_eq!(times_of(&arrivals, "a.example/robots.txt").len(), 2, "{arrivals:?}");
}

#[test]
fn without_robots_their_sitemaps_are_still_found() {
    let seeds = || vec![Request::sitemaps_of("http://a.example", ())];
    let (report, items, _) = crawl(
        seeds,
        |crawler| crawler.no_robots(),
        |url, _| match url {
            "http://a.example/robots.txt" => text("disallow: /\nsitemap: http://cdn.example/map.xml\n"),
            "http://cdn.example/map.xml" => text(urlset(&["http://a.example/x", "http://cdn.example/y"])),
            _ => page(),
        },
    );
    assert_eq!(items, ["0 http://a.example/x"]);
    assert_eq!(report.filtered.get("scope_host"), Some(&1));
}

#[test]
fn a_broken_sitemap_gives_what_was_read_and_ends_as_a_failure() {
    let seeds = || {
        ["xml", "gz", "html", "large", "missing"]
            .map(|name| Request::sitemap(format!("http://a.example/{name}"), ()))
            .to_vec()
    };
    let many: Vec<String> = (0..2_000).map(|n| format!("http://a.example/{n}")).collect();
    let many = urlset(&many);
    let limits = Limits { body_bytes_max: 4_000, wire_bytes_max: 100_000, ..Limits::default() };
    let (report, items, _) = crawl(
        seeds,
        |crawler| crawler.limits(limits),
        move |url, _| match url {
            "http://a.example/xml" => {
                text("<urlset><url><loc>http://a.example/in-xml</loc></url><url><loc>http")
            }
            "http://a.example/gz" => {
                let whole = gzip(&urlset(
                    &(0..99).map(|n| format!("http://a.example/gz-{}", n * n)).collect::<Vec<_>>(),
                ));
                ScriptedAnswer { body: whole[..whole.len() / 2].to_vec().into(), ..text("") }
            }
            "http://a.example/html" => page(),
            "http://a.example/large" => text(many.clone()),
            "http://a.example/missing" | "http://a.example/robots.txt" => ScriptedAnswer::status(404),
            _ => page(),
        },
    );
    let reasons: BTreeMap<_, _> = report
        .failures
        .iter()
        .map(|failure| (&failure.url["http://a.example/".len()..], failure.reason))
        .collect();
    assert_eq!(reasons["xml"], Reason::ParseError);
    assert_eq!(reasons["html"], Reason::ParseError);
    assert_eq!(reasons["gz"], Reason::Undecodable);
    assert_eq!(reasons["large"], Reason::BodyTooLarge);
    assert_eq!(reasons["missing"], Reason::Http4xx);
    assert_eq!(reasons.len(), 5);
    assert!(items.iter().any(|item| item.ends_with("/in-xml")), "{items:?}");
    assert!(items.iter().any(|item| item.ends_with("/gz-0")), "{items:?}");
    let listed = items.iter().filter(|item| item.rsplit('/').next().unwrap().parse::<u32>().is_ok()).count();
    assert!((50..150).contains(&listed), "4,000 bytes hold {listed} entries");
}

#[test]
fn entries_without_an_address_cost_no_other_entry_and_no_sitemap() {
    let seeds = || vec![Request::sitemap("http://a.example/map.xml", ())];
    let (report, items, _) = crawl(
        seeds,
        |crawler| crawler.no_robots(),
        |url, _| match url {
            "http://a.example/map.xml" => text(
                "<urlset><url/><URL><LOC>http://a.example/1</LOC><url><loc>/2</loc><loc>/3</loc></url></urlset>",
            ),
            _ => page(),
        },
    );
    assert_eq!(items, [1, 2, 3].map(|n| format!("0 http://a.example/{n}")));
    assert_eq!((report.pages, report.sitemaps, report.failed()), (3, 1, 0));
}

#[test]
fn an_index_that_lists_itself_or_goes_ever_deeper_ends() {
    let seeds = || vec![Request::sitemap("http://a.example/0.xml", ())];
    let (report, items, arrivals) = crawl(
        seeds,
        |crawler| crawler.no_robots(),
        |url, _| {
            let Some(n) = url.strip_prefix("http://a.example/").and_then(|rest| rest.strip_suffix(".xml"))
            else {
                return page();
            };
            let n: u32 = n.parse().unwrap();
            let (own, deeper) =
                (format!("http://a.example/{n}.xml"), format!("http://a.example/{}.xml", n + 1));
            let page = format!("<url><loc>http://a.example/page-{n}</loc></url>");
            text(index(&[&own, &deeper]).replace("</sitemapindex>", &format!("{page}</sitemapindex>")))
        },
    );
    // The requests are for the seed and for the three sitemaps below it.
    assert_eq!((items.len(), times_of(&arrivals, ".xml").len()), (4, 4), "{arrivals:?}");
    assert_eq!(report.filtered.get("max_depth"), Some(&1));
}

#[test]
fn a_page_that_is_a_sitemap_too_is_both_and_patterns_are_for_pages() {
    let seeds = || {
        vec![Request::get("http://a.example/map.xml", ()), Request::sitemap("http://a.example/map.xml", ())]
    };
    let scope = Scope::new().include("*/products/*").unwrap().exclude("*secret*").unwrap();
    let listed = urlset(&[
        "http://a.example/products/1",
        "http://a.example/about",
        "http://a.example/products/secret",
    ]);
    let (report, items, _) = crawl(
        seeds,
        |crawler| crawler.scope(scope),
        move |url, _| match url {
            "http://a.example/map.xml" => text(listed.clone()),
            "http://a.example/robots.txt" => ScriptedAnswer::status(404),
            _ => page(),
        },
    );
    // The sitemap was fetched as a page, because it is a seed. It is not a product.
    assert_eq!(items, ["0 http://a.example/map.xml", "0 http://a.example/products/1"]);
    assert_eq!(report.filtered.get("scope_pattern"), Some(&2));
}

#[test]
fn fifty_thousand_entries_are_all_taken_and_one_more_is_said() {
    for (count, failed) in [(50_000, 0), (50_001, 1)] {
        let seeds = || vec![Request::sitemap("http://a.example/map.txt.gz", ())];
        let list: String = (0..count).map(|n| format!("http://a.example/{n}\n")).collect();
        let list = gzip(&list);
        let (report, _, _) = crawl(
            seeds,
            |crawler| crawler.max_pages(3),
            move |url, _| match url {
                "http://a.example/map.txt.gz" => ScriptedAnswer { body: list.clone().into(), ..text("") },
                "http://a.example/robots.txt" => ScriptedAnswer::status(404),
                _ => page(),
            },
        );
        assert_eq!(report.admitted, 50_001, "the entries and the list");
        assert_eq!(report.failures.len(), failed);
    }
}

#[test]
fn a_feed_as_a_seed_leads_to_its_entries() {
    struct Feed;
    impl Spider for Feed {
        type Item = Vec<String>;
        type Step = ();

        fn seeds(&self) -> Vec<Request<()>> {
            vec![Request::get("http://a.example/feed", ())]
        }

        fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
            found.item(page.css("item > title")?.texts());
            let is_feed = page.url().path() == "/feed";
            assert_eq!(found.follow(page, "item > link", ())?, 2 * usize::from(is_feed));
            if is_feed {
                found.request(Request::get("///a.example/3", ()));
            }
            Ok(())
        }
    }
    let (output, collected) = Collect::new();
    let feed = "<rss><channel><item><title>One</title><link>/1</link></item>\
                <item xml:base='/b/'><title><![CDATA[Two]]></title><link>2</link></item></channel></rss>";
    let transport = site(move |url, _| match url {
        "http://a.example/feed" => text(feed)
            .header(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/rss+xml")),
        "http://a.example/robots.txt" => ScriptedAnswer::status(404),
        _ => text("x"),
    });
    let (report, _, arrivals) = run(Crawler::new(Feed).export(output).transport(transport));
    assert_eq!(report.unwrap().pages, 4);
    let urls: Vec<_> =
        arrivals.iter().map(|(_, url)| url.strip_prefix("http://a.example").unwrap()).collect();
    assert_eq!(urls, ["/robots.txt", "/feed", "/1", "/b/2", "/3"]);
    assert_eq!(collected.items::<Vec<String>>().unwrap()[0], ["One", "Two"]);
}
