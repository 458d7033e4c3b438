//! Tests of crawls that succeed, and of their output, summary and exit code.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use opilio_sandbox::{Fault, HostConfig, Limit, RefusalForm, Sandbox, Trigger};
use serde_json::json;

use crate::support::{FAST, crawl, ears_with, finish, opilio, run, until};

fn shop() -> Sandbox {
    Sandbox::builder().host(HostConfig::new().products(40)).start().unwrap()
}

#[test]
fn a_shop_is_crawled_each_page_once() {
    let shop = shop();
    let (run, report) = crawl(&[&shop.base(0)]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let items = run.items();
    let urls: HashSet<_> = items.iter().map(|item| item["url"].as_str().unwrap().to_owned()).collect();
    assert_eq!(urls.len(), items.len());
    assert_eq!(report["pages"], json!(items.len()));
    for product in shop.catalog(0).unwrap().products() {
        assert!(urls.contains(&shop.url(0, &product.path())), "{}", product.path());
    }
    assert_eq!(shop.log(0).served_twice(), []);
    assert_eq!(shop.log(0).arrivals(), report["requests"].as_u64().unwrap());
    assert_eq!(report["stopped"], "finished");
    assert!(run.stderr.contains(&format!("{} pages, 0 failures", items.len())), "{}", run.stderr);
}

#[test]
fn a_page_is_one_object_with_the_fields_of_the_contract() {
    let page = "<title>A</title><p class=price>7</p><p class=price>8</p><a href=/b>b</a>";
    let host = HostConfig::new().page("/a", "text/html", page).page("/n.json", "application/json", "{}");
    let shop = Sandbox::builder().host(host).start().unwrap();
    let (a, n) = (shop.url(0, "/a"), shop.url(0, "/n.json"));
    let (run, _) = crawl(&[&a, &n, "--follow", "none", "--css", "price=.price", "--css=none=.none"]);
    let mut items = run.items();
    items.sort_by_key(|item| item["url"].to_string());
    let expected = [
        json!({"url": a, "final_url": a, "status": 200, "title": "A", "depth": 0, "bytes": page.len(), "links": 1, "price": "7", "none": null}),
        json!({"url": n, "final_url": n, "status": 200, "title": null, "depth": 0, "bytes": 2, "links": 0, "price": null, "none": null}),
    ];
    assert_eq!(items, expected);
}

#[test]
fn the_words_of_a_field_say_what_of_its_matches_is_printed() {
    let page = "<p class=p title=t>7 <b>now</b>\n</p><p class=p>8</p><a href=/b>b</a>";
    let host = HostConfig::new().page("/a", "text/html", page).page("/n.json", "application/json", "{}");
    let shop = Sandbox::builder().host(host).start().unwrap();
    let fields =
        ["first=.p", "all[all]=.p", "to[attr=href]=a", "own[own_text]=.p", "html[html]=b", "raw[raw]=.p"];
    let args = fields.map(|field| format!("--css={field}"));
    let (a, n) = (shop.url(0, "/a"), shop.url(0, "/n.json"));
    let seeds = [&a, &n, "--follow=none"];
    let (run, _) = crawl(&[&seeds[..], &args.each_ref().map(|arg| &**arg)].concat());
    let mut items = run.items();
    items.sort_by_key(|item| item["url"].to_string());
    let values = |item: &serde_json::Value| {
        json!(["first", "all", "to", "own", "html", "raw"].map(|name| item[name].clone()))
    };
    let expected = json!(["7 now", ["7 now", "8"], "/b", "7", "<b>now</b>", "7 now\n"]);
    assert_eq!(values(&items[0]), expected);
    assert_eq!(values(&items[1]), json!([null, [], null, null, null, null]), "no markup");
    let (one, report) = crawl(&[&a, "--follow=none", "--css=one[one]=.p"]);
    assert_eq!((one.items().len(), &report["reasons"]), (0, &json!({"parse_error": 1})));
    assert!(one.stderr.contains("several elements match the CSS selector `.p`"), "{}", one.stderr);
}

#[test]
fn a_redirect_is_reported_under_its_own_url_and_an_alias_is_said() {
    let shop = shop();
    let (first, second) = (shop.url(0, "/go?to=/deals"), shop.url(0, "/go?to=/deals&status=301"));
    let (run, report) = crawl(&[&first, &second, "--max-depth", "0"]);
    let items = run.items();
    let deals = shop.url(0, "/deals");
    assert!(items.iter().all(|item| item["final_url"] == deals.as_str()), "{items:?}");
    let urls: HashSet<_> = items.iter().map(|item| item["url"].as_str().unwrap()).collect();
    assert_eq!(urls, HashSet::from([first.as_str(), second.as_str()]));
    assert_eq!(items.iter().filter(|item| item["alias"] == json!(true)).count(), 1);
    assert_eq!((&report["pages"], &report["aliases"]), (&json!(1), &json!(1)));
}

#[test]
fn output_goes_into_a_file_and_begins_it_anew() {
    let shop = shop();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pages.jsonl");
    std::fs::write(&path, "x".repeat(100_000)).unwrap();
    let (run, report) =
        crawl(&[&shop.url(0, "/deals"), "--max-depth", "1", "--output", path.to_str().unwrap()]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(json!(text.lines().count()), report["pages"]);
    assert!(text.lines().all(|line| line.starts_with('{')));
}

#[test]
fn max_pages_is_exact() {
    let shop = shop();
    let (run, report) = crawl(&[&shop.base(0), "--max-pages", "7"]);
    assert_eq!((run.code, run.items().len()), (0, 7));
    assert_eq!((&report["pages"], &report["stopped"]), (&json!(7), &json!("max_pages")));
    assert!(report["left"].as_u64().unwrap() > 0);
}

#[test]
fn a_host_gives_no_more_pages_than_its_cap() {
    let hosts = [HostConfig::new().products(40), HostConfig::new().products(40)];
    let [first, second] = hosts;
    let shop = Sandbox::builder().host(first).host(second).start().unwrap();
    let (run, report) = crawl(&[&shop.base(0), &shop.base(1), "--max-pages-per-host", "7"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    for host in [0, 1] {
        let base = shop.base(host);
        let of_host = |item: &&serde_json::Value| item["url"].as_str().unwrap().starts_with(&base);
        assert_eq!(run.items().iter().filter(of_host).count(), 7, "{base}");
    }
    assert_eq!((&report["pages"], &report["left"]), (&json!(14), &json!(0)));
    assert!(report["filtered"]["host_pages"].as_u64().unwrap() > 20, "{report}");
    assert_eq!(report["stopped"], "finished");
}

#[test]
fn bytes_end_a_host() {
    let shop = shop();
    let (_, report) = crawl(&[&shop.base(0), "--max-bytes-per-host", "10KB"]);
    assert_eq!(report["left"], json!(0));
    assert!(report["filtered"]["host_bytes"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn depth_first_goes_down_before_it_goes_on() {
    let page = |links: &str| links.split(' ').map(|link| format!("<a href={link}>x</a>")).collect::<String>();
    let host = HostConfig::new()
        .page("/", "text/html", page("/a /b"))
        .page("/a", "text/html", page("/a/1 /a/2"))
        .page("/b", "text/html", page("/b/1"))
        .page("/a/1", "text/html", "")
        .page("/a/2", "text/html", "")
        .page("/b/1", "text/html", "");
    let shop = Sandbox::builder().host(host).start().unwrap();
    let order = |flags: &[&str]| {
        let seed = shop.url(0, "/");
        // The rate is so low that the links of a page are known before the next request starts.
        let slow = ["crawl", "--allow-private", "--rate", "10/s", seed.as_str()];
        let run = run(&[&slow[..], flags].concat());
        let of = |item: &serde_json::Value| item["url"].as_str().unwrap().replace(&shop.base(0), "");
        run.items().iter().map(of).collect::<Vec<_>>().join(" ")
    };
    let (bfs, dfs) = (order(&[]), order(&["--order", "dfs"]));
    assert!(bfs.ends_with("/a /b /a/1 /a/2 /b/1"), "{bfs}");
    assert!(dfs.ends_with("/a /a/1 /a/2 /b /b/1"), "{dfs}");
}

#[test]
fn max_depth_is_hard() {
    let shop = shop();
    let (run, report) = crawl(&[&shop.base(0), "--max-depth", "1"]);
    let depths: HashSet<_> = run.items().iter().map(|item| item["depth"].as_u64().unwrap()).collect();
    assert_eq!(depths, HashSet::from([0, 1]));
    assert!(report["filtered"]["max_depth"].as_u64().unwrap() > 0, "{report}");
    let (run, _) = crawl(&[&shop.base(0), "--max-depth", "0"]);
    assert_eq!(run.items().len(), 1);
}

#[test]
fn patterns_and_hosts_bound_the_crawl() {
    let host = || HostConfig::new().products(8);
    let start = "<a href=/products>in</a><a href=/deals>out</a><a href=http://127.0.0.2/x>far</a>";
    let shop = Sandbox::builder().host(host().page("/a", "text/html", start)).start().unwrap();
    let pattern = ["--include", "*/a", "--include", "*/products*", "--exclude", "*/products/3-*"];
    let (run, report) = crawl(&[&[shop.url(0, "/a").as_str()], &pattern[..]].concat());
    let items = run.items();
    let urls: Vec<_> = items.iter().map(|item| item["url"].as_str().unwrap()).collect();
    assert!(urls.iter().any(|url| url.contains("/products/2-")), "{urls:?}");
    assert!(!urls.iter().any(|url| url.contains("/products/3-") || url.ends_with("/deals")), "{urls:?}");
    assert_eq!(report["filtered"]["scope_host"], json!(1));
}

#[test]
fn a_pattern_matches_in_its_own_alphabet() {
    let start = "<a href='/caf\u{e9}/1'>a</a><a href=/caf%c3%a9/2>b</a><a href=/cafe/3>c</a><a href=/%E5%95%86/4>d</a>";
    let page = "<title>page</title>";
    let host = HostConfig::new()
        .page("/start", "text/html; charset=utf-8", start)
        .page("/caf%C3%A9/1", "text/html", page)
        .page("/caf%c3%a9/2", "text/html", page)
        .page("/cafe/3", "text/html", page)
        .page("/%E5%95%86/4", "text/html", page);
    let shop = Sandbox::builder().host(host).start().unwrap();
    let urls = |args: &[&str]| {
        let (run, report) = crawl(&[&[shop.url(0, "/start").as_str()], args].concat());
        let mut urls: Vec<String> =
            run.items().iter().map(|item| item["url"].as_str().unwrap().to_owned()).collect();
        urls.retain(|url| !url.ends_with("/start"));
        urls.iter_mut().for_each(|url| *url = url.rsplit('/').next().unwrap().to_owned());
        urls.sort();
        (urls.concat(), report["filtered"]["scope_pattern"].as_u64().unwrap_or(0))
    };
    assert_eq!(urls(&[]), ("1234".to_owned(), 0));
    for pattern in ["*/café/*", "*/caf%C3%A9/*", "*/caf%c3%a9/*"] {
        assert_eq!(urls(&["--include", "*/start", "--include", pattern]), ("12".to_owned(), 2), "{pattern}");
        assert_eq!(urls(&["--exclude", pattern]), ("34".to_owned(), 2), "{pattern}");
    }
    assert_eq!(urls(&["--exclude", "*/商/*"]), ("123".to_owned(), 1));
}

#[test]
fn links_that_a_page_asks_not_to_follow_are_counted() {
    let start = "<a href=/open>open</a><a href=/shut rel=nofollow>shut</a><a href=/shut?again rel=nofollow>";
    let open = "<meta name=robots content=nofollow><a href=/a>a</a><a href=/b>b</a><a href=/start>start</a>";
    let host = HostConfig::new().page("/start", "text/html", start).page("/open", "text/html", open);
    let shop = Sandbox::builder().host(host).start().unwrap();
    let (run, report) = crawl(&[&shop.url(0, "/start")]);
    assert_eq!(run.items().len(), 2, "{}", run.stdout);
    assert_eq!(report["filtered"], json!({"nofollow": 4}));
}

#[test]
fn tracking_parameters_are_asked_of_no_server() {
    let start = "<a href='/a?utm_source=x&amp;b=1'>a</a><a href='/a?b=1&amp;fbclid=2'>a</a><a href='/go?to=%2Fgo'>go</a>\
                 <a href='/go?to=%2Fa%3Fb%3D1%26gclid%3D1'>go</a><a href='/a?b=1&amp;utm_id=3' rel=nofollow>a</a>";
    let host = HostConfig::new().page("/start", "text/html", start).page("/a?b=1", "text/html", "a");
    let shop = Sandbox::builder().host(host).start().unwrap();
    let (run, report) =
        crawl(&[&shop.url(0, "/start?utm_campaign=mail"), "--strip-tracking", "--max-depth=1"]);
    let items = run.items();
    let of = |name: &str| items.iter().filter(|item| item["final_url"] == shop.url(0, name)).count();
    assert_eq!((of("/start"), of("/a?b=1")), (1, 2), "{}", run.stdout);
    assert_eq!((&report["aliases"], &report["filtered"]), (&json!(1), &json!({})));
    let log = shop.log(0);
    let tracked = log.only(|arrival| ["utm_", "fbclid="].iter().any(|name| arrival.path.contains(name)));
    assert_eq!(tracked.entries().len(), 0, "{:?}", tracked.entries());
    assert_eq!(log.served_twice(), []);
}

#[test]
fn one_page_stands_for_all_of_a_canonical_name() {
    let variant = |link: &str| format!("<link rel=canonical href=/p><a href={link}>more</a>");
    let host = HostConfig::new()
        .page("/start", "text/html", "<a href='/p?ref=1'>1</a><a href='/p?ref=2'>2</a><a href=/p>p</a>")
        .page("/p?ref=1", "text/html", variant("/from-1"))
        .page("/p?ref=2", "text/html", variant("/from-2"))
        .page("/from-1", "text/html", "<link rel=canonical href=//elsewhere.example/>one")
        .page("/from-2", "text/html", "<link rel=canonical href=//elsewhere.example/>two")
        .fault(Trigger::Path("/p".into()), Fault::Status(500));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let (start, name) = (shop.url(0, "/start"), shop.url(0, "/p"));
    let (run, report) = crawl(&[&start, "--merge-canonical", "--retries=0"]);
    let (aliases, pages): (Vec<_>, Vec<_>) =
        run.items().into_iter().partition(|item| item["alias"] == json!(true));
    // The canonical URL fails, but no page is lost: the page that named it as canonical is written under its own
    // URL.
    assert_eq!(
        report["failures"],
        json!([{"url": name, "reason": "http_5xx", "attempts": 1, "status": 500, "referrer": start}])
    );
    assert_eq!((pages.len(), aliases.len()), (4, 1), "{}", run.stdout);
    assert_eq!((&report["pages"], &report["aliases"], &report["items"]), (&json!(4), &json!(1), &json!(4)));
    assert_eq!(aliases[0]["final_url"], name.as_str());
    assert_eq!(pages.iter().filter(|page| page["canonical"] == name.as_str()).count(), 1);
    // The links of pages that end as aliases are followed, too.
    for path in ["/start", "/from-1", "/from-2"] {
        assert!(pages.iter().any(|page| page["url"] == shop.url(0, path)), "{path}: {}", run.stdout);
    }
    let (plain, _) = crawl(&[&start, "--retries=0"]);
    assert!(plain.items().len() == 5 && plain.items()[0].get("canonical").is_none(), "only on request");
}

#[test]
fn seeds_are_read_from_a_file_and_from_stdin_each_once() {
    let shop = shop();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("urls");
    let deals = shop.url(0, "/deals");
    let list = format!("# mine\n{deals}\n\n{deals}#x\n{}\n", deals.replace("http:", "HTTP:"));
    std::fs::write(&path, &list).unwrap();
    let (from_file, report) = crawl(&["--urls", path.to_str().unwrap(), "--follow", "none"]);
    assert_eq!((from_file.code, from_file.items().len()), (0, 1), "{report}");

    let mut command = opilio();
    let args = [&["crawl"], &FAST[..], &["--urls", "-", "--follow", "none"]].concat();
    let mut child = command.args(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    assert_eq!(finish(child).items().len(), 1);
}

#[test]
fn a_reader_that_goes_away_ends_the_crawl_quietly() {
    let shop = Sandbox::builder().host(HostConfig::new()).start().unwrap();
    let mut child = opilio().arg("crawl").args(FAST).arg(shop.base(0)).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with('{'));
    let run = finish(child);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(!run.stderr.contains("error"), "{}", run.stderr);
}

#[test]
fn only_a_crawl_without_any_page_is_an_error() {
    let shop = shop();
    let missing = shop.url(0, "/missing");
    let (run, report) = crawl(&[&missing]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    let last = run.stderr.lines().last().unwrap();
    assert_eq!(last, format!("error: no page was fetched: {missing} ended as http_4xx with status 404"));
    assert_eq!(
        report["failures"],
        json!([{"url": missing, "reason": "http_4xx", "attempts": 1, "status": 404}])
    );
    let (run, _) = crawl(&[&missing, &shop.url(0, "/deals"), "--follow", "none"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn failures_are_retried_and_counted() {
    let host = HostConfig::new()
        .fault(Trigger::PathTimes("/deals".into(), 2), Fault::Status(500))
        .fault(Trigger::Path("/products".into()), Fault::Status(500));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let (mended, report) = crawl(&[&shop.url(0, "/deals"), "--max-depth=0", "--retries=2"]);
    assert_eq!((mended.code, mended.items().len()), (0, 1), "{}", mended.stderr);
    assert_eq!(report["retries"], json!(2));
    let seed = shop.url(0, "/products");
    let (broken, report) = crawl(&[&seed, "--retries=2"]);
    assert_eq!(broken.code, 1, "{}", broken.stderr);
    assert_eq!(
        report["failures"],
        json!([{"url": seed, "reason": "http_5xx", "attempts": 3, "status": 500}])
    );
    assert!(
        broken.stderr.contains("ended as http_5xx with status 500 after 3 attempts"),
        "{}",
        broken.stderr
    );
}

#[test]
fn a_host_that_asks_for_a_day_is_left_and_named() {
    let hosts = [
        HostConfig::new().products(8),
        HostConfig::new().limit(Limit::per_minute(3)).refusal(429, RefusalForm::Fixed(86_400)),
    ];
    let shop = Sandbox::builder().hosts(hosts).start().unwrap();
    let seeds = [shop.base(0), shop.url(1, "/products")];
    let (run, report) = crawl(&[&seeds[0], &seeds[1], "--in-flight", "1"].map(|arg| arg as &str)[..2]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(report["reasons"]["host_closed"].as_u64().unwrap() > 0, "{report}");
    assert!(run.stderr.contains(&format!("closed: {}", shop.addr(1))), "{}", run.stderr);
    assert_eq!(shop.log(1).arrivals_while_closed_grace(std::time::Duration::from_millis(250)), 0);
}

#[test]
fn quiet_says_nothing_and_help_names_units_and_defaults() {
    let shop = shop();
    let quiet = run(&[&["crawl", "--quiet"], &FAST[..], &[&shop.url(0, "/deals"), "--max-depth=0"]].concat());
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
    let help = run(&["crawl", "--help"]);
    assert_eq!(help.code, 0);
    for part in
        ["[default: 60/m]", "[default: 1h]", "[default: 10MiB]", "10MiB;", "OPILIO_RATE", "Exit codes"]
    {
        assert!(help.stdout.contains(part), "{part}");
    }
    assert!(run(&["--version"]).stdout.starts_with("opilio 0."));
}

#[test]
fn the_sitemaps_of_robots_txt_are_seeds_if_asked_for() {
    let host = HostConfig::new()
        .page("/a", "text/html", "<a href=/b>b</a>")
        .page("/b", "text/html", "b")
        .page("/c", "text/html", "c")
        .page("/robots.txt", "text/plain", "user-agent: *\ndisallow: /d\nsitemap: /map.xml\n");
    // The sandbox knows its address only after it has started, so the sitemap contains paths instead of URLs.
    let shop = Sandbox::builder().host(host.page("/map.xml", "text/plain", MAP)).start().unwrap();
    let (run, report) = crawl(&[&shop.url(0, "/a"), "--sitemaps"]);
    let mut paths: Vec<_> = run.items().iter().map(|item| item["url"].to_string()).collect();
    paths.sort_unstable();
    assert_eq!(paths.len(), 3, "{paths:?} {report}");
    assert!(paths[2].ends_with("/c\""), "{paths:?}");
    assert_eq!(report["reasons"], json!({"robots": 1}));
    assert_eq!(shop.log(0).arrivals(), 5, "robots.txt once, the map, and three pages");
    let (run, _) = crawl(&[&shop.url(0, "/a")]);
    assert_eq!(run.items().len(), 2, "not unless asked for");
}

#[test]
fn sitemaps_are_seeds_wherever_they_are_named() {
    let index = "<?xml version='1.0'?>\n<!-- ours --><sitemapindex><sitemap><loc>/map.xml</loc></sitemap></sitemapindex>";
    let sm = "<sm:urlset xmlns:sm='x'><sm:url><sm:loc>/d</sm:loc></sm:url><sm:url><sm:loc>/c</sm:loc></sm:url></sm:urlset>";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(MAP.as_bytes()).unwrap();
    let host = ["/a", "/b", "/c", "/d"]
        .iter()
        .fold(HostConfig::new(), |host, path| host.page(*path, "text/html", "x"));
    let host = host
        .page("/map.xml", "text/xml", MAP)
        .page("/index.xml", "application/xml", index)
        .page("/sm", "text/plain", sm)
        .page("/map.xml.gz", "application/x-gzip", gzip.finish().unwrap())
        .page("/sitemap.xml", "text/xml", MAP);
    let shop = Sandbox::builder().host(host).start().unwrap();
    let pages = |args: &[&str]| {
        let (run, report) = crawl(&[&["--no-robots"], args].concat());
        assert_eq!(run.code, 0, "{} {report}", run.stderr);
        let url =
            |item: &serde_json::Value| item["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let mut urls: Vec<_> = run.items().iter().map(url).collect();
        urls.sort_unstable();
        urls.join(" ")
    };
    let of = |path: &str| shop.url(0, path);
    assert_eq!(pages(&["--sitemap", &of("/map.xml")]), "a c d");
    assert_eq!(pages(&["--sitemap", &of("/sm")]), "c d");
    assert_eq!(pages(&["--sitemap", &of("/index.xml"), "--sitemap", &of("/sm"), &of("/a")]), "a c d");
    assert_eq!(pages(&["--sitemap", &of("/map.xml.gz"), "--follow=none"]), "a c d");
    assert_eq!(pages(&[&of("/a"), "--sitemaps"]), "a c d", "at the usual place");
    for seed in ["/map.xml", "/index.xml", "/sm", "/map.xml.gz"] {
        let listed = if seed == "/sm" { "c d" } else { "a c d" };
        let expected = format!("{listed} {}", &seed[1..]);
        let mut expected: Vec<_> = expected.split(' ').collect();
        expected.sort_unstable();
        assert_eq!(pages(&[&of(seed)]), expected.join(" "), "{seed}");
    }
    let wrong = run(&["crawl", "--sitemap", "a.example/map.xml"]);
    assert!(wrong.code == 2 && wrong.error().contains("no scheme"), "{}", wrong.stderr);
}

#[test]
fn what_a_header_field_asks_of_crawlers_is_heeded() {
    let ears = crate::support::ears_with(
        "x-robots-tag: otherbot: noindex\r\nx-robots-tag: nofollow\r\n",
        "<a href=/b>b</a>",
    );
    let (run, report) = crawl(&[&format!("http://{}/a", ears.addr)]);
    assert_eq!(run.items().len(), 1);
    assert_eq!(report["filtered"], json!({"nofollow": 1}));
}

#[cfg(target_os = "linux")]
#[test]
fn a_crawl_asks_for_more_open_files_than_the_shell_gives() {
    // The server accepts the connection but never answers, so there is time to look at the process.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let opilio = env!("CARGO_BIN_EXE_opilio");
    let mut child = std::process::Command::new("sh")
        .args(["-c", "ulimit -Sn 128; exec \"$@\"", "sh", opilio, "crawl", "--allow-private", "-q", &url])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let limits = format!("/proc/{}/limits", child.id());
    let soft = || {
        let text = std::fs::read_to_string(&limits).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
        line.split_whitespace().nth(3).unwrap().parse::<u64>().unwrap()
    };
    until(|| soft() > 128);
    child.kill().unwrap();
    child.wait().unwrap();
}

const MAP: &str = "<urlset><url><loc>/c</loc></url><url><loc>/d</loc></url><url><loc>/a</loc></url></urlset>";

#[test]
fn session_ids_make_no_second_page_unless_they_are_kept() {
    let page = "<a href='/a;jsessionid=2'>a</a><a href='/b?PHPSESSID=1'>b</a><a href='/b?PHPSESSID=2'>b</a>";
    let host = ["/a", "/a;jsessionid=2", "/b?PHPSESSID=1", "/b?PHPSESSID=2"]
        .iter()
        .fold(HostConfig::new(), |host, path| host.page(*path, "text/html", page));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let seed = shop.url(0, "/a");
    let pages = |flags: &[&str]| crawl(&[&[&*seed], flags].concat()).0.items().len();
    assert_eq!(pages(&[]), 2);
    assert_eq!(pages(&["--keep-session-ids"]), 4);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("opilio.toml");
    std::fs::write(&config, "[crawl]\nkeep_session_ids = true\n").unwrap();
    assert_eq!(pages(&["--config", config.to_str().unwrap()]), 4);
}

#[test]
fn one_page_under_every_name_is_a_trap_and_may_be_merged() {
    let page = "<title>Not found</title><a href='help/contact.html'>help</a><a href='news/'>news</a>";
    let server = ears_with("", page);
    let seed = format!("http://{}/old/", server.addr);
    let (run, report) = crawl(&[&seed, "--max-pages=300"]);
    assert!(run.items().len() <= 15, "{}", run.items().len());
    assert!(report["filtered"]["trap_same_content"].as_u64().unwrap() > 0, "{report}");
    assert!(run.stderr.contains("many URLs of this host have sent the same content"), "{}", run.stderr);
    let (run, _) = crawl(&[&seed, "--max-pages=60", "--follow-traps"]);
    assert_eq!(run.items().len(), 60);
    let (run, report) = crawl(&[&seed, "--merge-duplicates"]);
    assert_eq!(report["pages"], json!(1), "{report}");
    let aliases: Vec<_> = run.items().into_iter().filter(|item| item["alias"] == json!(true)).collect();
    assert!(aliases.len() >= 3 && aliases.iter().all(|item| item["final_url"] == json!(seed)), "{aliases:?}");
}
