//! Tests of arguments that users know from other tools: each of them works, or one line says what to write.

use opilio_sandbox::{HostConfig, Sandbox};

use crate::support::{crawl, run, run_with_input};

fn shop() -> Sandbox {
    let links = "<a href=/sql-1>a</a><a href=/sql-2>b</a><a href=/gone>c</a>";
    let host = HostConfig::new().page("/", "text/html", links);
    let host = host.page("/sql-1", "text/html", "one").page("/sql-2", "text/html", "two");
    Sandbox::builder().host(host).start().unwrap()
}

fn refused(args: &[&str], parts: &[&str]) {
    let run = run(args);
    assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
    for part in parts {
        assert!(run.error().contains(part), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn a_resumed_crawl_has_its_seeds() {
    let (shop, dir) = (shop(), tempfile::tempdir().unwrap());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let kept = ["--no-robots", "--state", &path("state"), "--output", &path("out.jsonl")];
    let (first, _) = crawl(&[&kept[..], &["--max-pages", "1", &shop.base(0)]].concat());
    assert_eq!(first.code, 0, "{}", first.stderr);
    let resumed = [&kept[..], &["--resume"]].concat();
    let (second, report) = crawl(&resumed);
    assert_eq!((second.code, &report["pages"]), (0, &3.into()), "{} {report}", second.stderr);
    assert!(second.stderr.contains(&format!("opilio failed --state {} lists", path("state"))));
    let asked = shop.log(0).arrivals();
    let (third, report) = crawl(&[&resumed[..], &["--retry-failed"]].concat());
    assert_eq!((third.code, shop.log(0).arrivals()), (0, asked + 1), "{} {report}", third.stderr);

    // The links of this crawl's pages lead to the seeds' hosts, too.
    let state = path("early");
    let early = ["--no-robots", "--state", &state, "--output", &path("early.jsonl")];
    let seeds = [&*shop.base(0), &shop.url(0, "/sql-1")];
    crawl(&[&early[..], &["--order", "dfs", "--max-pages", "1"], &seeds].concat());
    let (_, report) = crawl(&[&early[..], &["--order", "dfs", "--resume"]].concat());
    assert_eq!((&report["pages"], &report["filtered"]), (&3.into(), &serde_json::json!({})), "{report}");
}

#[test]
fn nothing_to_resume_is_said_once_and_only_where_one_begins() {
    let (shop, dir) = (shop(), tempfile::tempdir().unwrap());
    let missing = dir.path().join("missing");
    let missing = missing.to_str().unwrap();
    refused(&["crawl", "--state", missing, "--resume"], &["no crawl in", missing, "no URL to begin one at"]);
    let output = dir.path().join("out.jsonl");
    std::fs::write(&output, "{}\n").unwrap();
    let output = output.to_str().unwrap();
    let args = ["crawl", "--state", missing, "--resume", "--output", output, "--allow-private"];
    refused(&[&args[..], &[&*shop.base(0)]].concat(), &["a new crawl would empty it"]);
}

#[test]
fn a_pattern_that_can_match_nothing_is_named() {
    let shop = shop();
    for (flag, pattern) in [
        ("--include", "sql-"),
        ("--exclude", "sql-"),
        ("--include", "sql-*"),
        ("--include", "/sql-*"),
        ("--include", "127.0.0.1/*"),
        ("--include", "http"),
    ] {
        let (run, _) = crawl(&[flag, pattern, &shop.base(0)]);
        let words =
            format!("the pattern {pattern} matches no URL, since no URL begins like this: write *{pattern}*");
        assert!(run.stderr.contains(&words), "{pattern}: {}", run.stderr);
    }
    for pattern in ["*sql-*", "http*", "https://a.example/", "h*", "*"] {
        let (run, _) = crawl(&["--include", pattern, &shop.base(0)]);
        assert!(!run.stderr.contains("matches no URL"), "{pattern}: {}", run.stderr);
    }
}

#[test]
fn a_name_with_a_port_is_no_scheme() {
    for seed in ["localhost:8502", "127.0.0.1:8502", "shop.example:80/lamps", "localhost"] {
        refused(&["crawl", seed], &[&format!("seed {seed:?}: the URL has no scheme: write http://")]);
    }
    refused(&["crawl", "mailto:a@b.example"], &["neither http nor https"]);
}

#[test]
fn habits_of_other_tools_are_answered() {
    for flag in ["--concurrency", "--threads", "--parallel=4"] {
        refused(&["crawl", "http://a.example/", flag, "4"], &["--in-flight", "--total-in-flight"]);
    }
    let url = "http://a.example/";
    refused(&[url], &["opilio crawl http://a.example/", "opilio fetch http://a.example/"]);
    refused(&["a.example"], &["opilio crawl a.example"]);
    refused(&["http://me:secret@a.example/"], &["opilio crawl URL"]);
    refused(&["failed", "shop.state"], &["opilio failed --state shop.state"]);
    refused(&["crawl", url, "--css", "h1::text"], &["write `h1`", "as in the field NAME=h1"]);
    refused(&["crawl", url, "--css", "a::attr(href)"], &["as in the field NAME[attr=href]=a"]);
}

#[test]
fn a_document_without_an_address_can_be_searched() {
    let page = b"<h2>One</h2><a href=/x>x</a>";
    let found = run_with_input(&["extract", "-", "--css", "h2"], page);
    assert_eq!((found.code, &*found.stdout), (0, "\"One\"\n"), "{}", found.stderr);
    let links = run_with_input(&["links", "-"], page);
    assert_eq!(links.code, 2);
    assert!(links.error().contains("--base https://shop.example/lamps"), "{}", links.stderr);
}

#[test]
fn a_crawl_whose_urls_all_lie_on_another_host_names_it() {
    let entries =
        |at: &str| -> String { (1..5).map(|n| format!("<url><loc>{at}/{n}</loc></url>")).collect() };
    let near = format!("<urlset>{}</urlset>", entries("http://www.cdn.example"));
    let feed = "<rss><channel><item><link>http://other.example/1</link></item></channel></rss>";
    let host =
        HostConfig::new().page("/map.xml", "application/xml", near).page("/feed.xml", "text/xml", feed);
    let links = "<a href=http://www.cdn.example/>a</a>";
    let host = host.page("/links", "text/html", links);
    let site = Sandbox::builder().host(host).start().unwrap();
    for (path, counts, named) in
        [("/map.xml", "4 scope_host", "www.cdn.example"), ("/feed.xml", "1 scope_host", "other.example")]
    {
        let (run, report) = crawl(&["--no-robots", "--sitemap", &site.url(0, path)]);
        assert_eq!((run.code, &report["pages"]), (1, &0.into()), "{path}: {}", run.stderr);
        let words = format!(
            "error: no page was fetched: all that was found was filtered ({counts}); URLs lead to {named}"
        );
        assert!(run.stderr.contains(&words) && run.stderr.contains("--follow all"), "{path}: {}", run.stderr);
    }
    let (run, _) = crawl(&["--no-robots", &site.url(0, "/links")]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("hint: URLs lead to www.cdn.example"), "{}", run.stderr);
    for chosen in [["--follow", "none"], ["--max-depth", "0"]] {
        let (run, _) = crawl(&[&["--no-robots", &*site.url(0, "/links")], &chosen[..]].concat());
        assert!(!run.stderr.contains("URLs lead to"), "{chosen:?}: {}", run.stderr);
    }
}

#[test]
fn failures_are_named_also_where_pages_came() {
    let links: String = (1..=5).map(|n| format!("<a href=/gone-{n}>x</a>")).collect();
    let site = Sandbox::builder().host(HostConfig::new().page("/", "text/html", links)).start().unwrap();
    let (run, report) = crawl(&["--no-robots", &site.base(0)]);
    assert_eq!((run.code, &report["pages"]), (0, &1.into()), "{}", run.stderr);
    let named = |line: &&str| line.contains("/gone-") && line.contains("ended as http_4xx with status 404");
    assert_eq!(run.stderr.lines().filter(named).count(), 3, "{}", run.stderr);
    assert!(run.stderr.contains("    and 2 more"), "{}", run.stderr);
}
