//! Tests of messages for new users: where the items were written, that no URL was left, that no request was sent.

use opilio_sandbox::{HostConfig, Sandbox};

use crate::support::{FAST, crawl, run};

fn shop() -> Sandbox {
    let host = HostConfig::new()
        .page("/", "text/html", "<title>a</title><a href=/b>b</a><a href=/gone>gone</a>")
        .page("/b", "text/html", "<title>b</title>");
    Sandbox::builder().host(host).start().unwrap()
}

#[test]
fn the_end_line_counts_items_and_names_their_output() {
    let (shop, dir) = (shop(), tempfile::tempdir().unwrap());
    let output = dir.path().join("pages.jsonl");
    let (run, report) = crawl(&[&shop.base(0), "--output", output.to_str().unwrap()]);
    let expected = format!("2 pages, 1 failure, 2 items to {}, ", output.display());
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
    assert_eq!(report["outputs"], serde_json::json!([output]));
}

#[test]
fn a_seed_is_fetched_whatever_the_patterns_say() {
    let shop = shop();
    for pattern in [["--include", "*/b"], ["--exclude", "*"]] {
        let (run, report) = crawl(&[&[&*shop.base(0)], &pattern[..]].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        let pages = if pattern[0] == "--include" { 2 } else { 1 };
        assert_eq!(report["pages"], pages, "{pattern:?} {report}");
    }
}

#[test]
fn a_crawl_that_sends_no_request_is_an_error_with_its_reason() {
    let shop = shop();
    let long = shop.url(0, &format!("/{}", "x".repeat(3_000)));
    let ended = run(&[&["crawl"], &FAST[..], &[&long]].concat());
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("error: no request was sent: all seeds were filtered (1 url_too_long)"));
    assert_eq!(ended.stderr.matches("all seeds were filtered").count(), 1, "told once: {}", ended.stderr);
    assert_eq!(shop.log(0).arrivals(), 0);
}

#[test]
fn a_finished_crawl_that_is_resumed_is_not_told_as_if_it_had_crawled() {
    let (shop, dir) = (shop(), tempfile::tempdir().unwrap());
    let (state, output) = (dir.path().join("state"), dir.path().join("pages.jsonl"));
    let seed = shop.base(0);
    let kept = [&*seed, "--state", state.to_str().unwrap(), "--output", output.to_str().unwrap(), "--resume"];
    let (first, _) = crawl(&kept);
    assert!(!first.stderr.contains("nothing was left"), "{}", first.stderr);
    let arrivals = shop.log(0).arrivals();
    let (again, report) = crawl(&kept);
    assert_eq!((again.code, shop.log(0).arrivals()), (0, arrivals));
    assert!(again.stderr.contains("nothing was left to do (finished on "), "{}", again.stderr);
    assert!(again.stderr.contains("all runs in ") && report["nothing_left"] == true, "{}", again.stderr);

    // The columns of an existing file must not change, so another field is an error.
    let other = [&kept[..], &["--css", "heading=h1"]].concat();
    let refused = run(&[&["crawl"], &FAST[..], &other].concat());
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.error().contains("each page, and not of each page with heading=h1"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_failure_names_the_page_that_it_was_found_on() {
    let (shop, dir) = (shop(), tempfile::tempdir().unwrap());
    let (state, output) = (dir.path().join("state"), dir.path().join("pages.jsonl"));
    let (state, output) = (state.to_str().unwrap(), output.to_str().unwrap());
    let (crawled, report) = crawl(&[&shop.base(0), "--state", state, "--output", output, "-v"]);
    let seed = format!("{}/", shop.base(0));
    assert_eq!(report["failures"][0]["referrer"], *seed, "{report}");
    assert!(crawled.stderr.contains(&format!("referrer=\"{seed}\"")), "{}", crawled.stderr);
    let listed = run(&["failed", "--state", state]);
    assert_eq!(listed.items()[0], report["failures"][0], "{}", listed.stderr);
}

#[test]
fn a_connection_that_cannot_be_made_is_said_in_words() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let seed = format!("http://127.0.0.1:{port}/");
    for robots in [&[][..], &["--no-robots"]] {
        let (crawled, report) = crawl(&[&[&*seed, "--retries", "0"], robots].concat());
        let words = report["failures"][0]["error"].as_str().unwrap();
        assert!(words.contains(&format!("GET {seed}")) && words.contains("refused"), "{words}");
        assert!(crawled.stderr.contains(words), "{}", crawled.stderr);
    }
}

#[test]
fn flags_are_known_by_the_names_that_people_try() {
    let ears = crate::support::ears();
    let seed = format!("http://{}/", ears.addr);
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("out.jsonl");
    let output = output.to_str().unwrap();
    let flags = ["crawl", "--allow-private", "--no-robots", "--delay", "20ms", "--depth", "0"];
    let ended = run(&[&flags[..], &["-H", "Accept-Language: de", "-o", output, &seed]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let head = ears.heads.recv().unwrap();
    assert!(head.to_ascii_lowercase().contains("accept-language: de"), "{head}");
    assert_eq!(std::fs::read_to_string(output).unwrap().lines().count(), 1);

    for (flags, part) in [
        (["-H", "Authorization: Bearer x"], "send authorization to every host"),
        (["--delay", "2d"], "longest delay"),
        (["--delay", "2"], "not a time"),
    ] {
        let refused = run(&[&["crawl", &seed][..], &flags].concat());
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}

#[test]
fn a_crawl_tells_its_own_events() {
    let (shop, dir) = (shop(), tempfile::tempdir().unwrap());
    let said = {
        let state = dir.path().join("state");
        let args = ["crawl", &shop.base(0), "--state", state.to_str().unwrap()];
        let mut command = crate::support::opilio();
        let child = command.args(args).args(FAST).env("OPILIO_LOG", opilio::LOG_FILTER).spawn().unwrap();
        let ended = crate::support::finish(child);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stderr
    };
    for event in ["the crawl begins", "the URL failed", "the crawl has ended: 2 pages, "] {
        assert!(said.contains(event), "{event}: {said}");
    }
    assert_eq!(said.matches(" INFO ").count(), 3, "{said}");
}
