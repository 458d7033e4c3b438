//! Tests of the settings for patience: which statuses mean "slow down" or cause a retry, how long the crawl waits,
//! and when a host is parked. They are set by flag, by environment variable and by `opilio.toml`, for all hosts and
//! for one host.

use std::time::Duration;

use opilio_sandbox::{Fault, HostConfig, Limit, RefusalForm, Sandbox, Trigger};
use serde_json::{Value, json};

use crate::support::{FAST, crawl, finish, opilio, run};

/// Returns a shop that allows ten requests in some time, and refuses all other requests with this status.
fn limited(status: u16) -> HostConfig {
    let limit = Limit::fixed(10, Duration::from_millis(300));
    HostConfig::new().products(8).limit(limit).refusal(status, RefusalForm::Bare)
}

fn config(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("opilio.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn a_shop_that_says_slow_down_by_another_status_is_crawled_whole() {
    let whole = Sandbox::builder().host(HostConfig::new().products(8)).start().unwrap();
    let pages = crawl(&[&whole.base(0)]).1["pages"].clone();
    // Without the setting, several answers of 403 in a row count as a refusal of the client, and several of 500 as
    // an outage.
    for (status, unnamed) in [(403, ""), (420, "http_4xx"), (999, "protocol"), (500, "")] {
        let shop = || Sandbox::builder().host(limited(status)).start().unwrap();
        let named = shop();
        let (run, report) = crawl(&[&named.base(0), "--slow-down", &format!("418,{status}")]);
        assert_eq!((run.code, &report["pages"], &report["reasons"]), (0, &pages, &json!({})), "{report}");
        let refused = named.log(0).only(|arrival| arrival.status == status).entries().len();
        assert!(refused > 0 && report["refusals"] == json!(refused), "{report}");
        if !unnamed.is_empty() {
            let plain = shop();
            let (_, report) = crawl(&[&plain.base(0), "--slow-down", "418"]);
            assert!(report["reasons"][unnamed].as_u64().unwrap() > 0, "{report}");
            assert_eq!(report["refusals"], 0);
        }
    }
}

#[test]
fn the_file_and_the_environment_name_statuses_for_all_hosts_or_for_one() {
    let shop = || Sandbox::builder().hosts([limited(420), limited(420)]).start().unwrap();
    let lost = |report: &Value| report["reasons"]["http_4xx"].as_u64().unwrap_or(0);
    let refused_at = |shop: &Sandbox, host: usize| {
        shop.log(host).only(|arrival| arrival.status == 420).entries().len() as u64
    };

    let one = shop();
    let (_dir, path) = config(&format!("[host.\"{}\"]\nslow_down = [420]\n", one.addr(0)));
    let (_, report) = crawl(&[&one.base(0), &one.base(1), "--config", &path]);
    assert_eq!(
        (report["refusals"].as_u64(), lost(&report)),
        (Some(refused_at(&one, 0)), refused_at(&one, 1))
    );
    assert!(refused_at(&one, 0) > 0 && refused_at(&one, 1) > 0);

    // The setting applies to all hosts except one.
    let all = shop();
    let (_dir, path) =
        config(&format!("[default]\nslow_down = [420]\n[host.\"{}\"]\nslow_down = []\n", all.addr(1)));
    let (_, report) = crawl(&[&all.base(0), &all.base(1), "--config", &path]);
    assert_eq!(
        (report["refusals"].as_u64(), lost(&report)),
        (Some(refused_at(&all, 0)), refused_at(&all, 1))
    );

    let by_env = shop();
    let mut command = opilio();
    command.arg("crawl").args(FAST).args([by_env.base(0), by_env.base(1)]).env("OPILIO_SLOW_DOWN", "999,420");
    let run = finish(command.spawn().unwrap());
    assert_eq!(run.code, 0);
    assert!(!run.stderr.contains("http_4xx"), "{}", run.stderr);
}

#[test]
fn a_status_that_is_worth_a_retry_is_tried_again() {
    let late = |status| {
        let late = Trigger::PathTimes("/late".into(), 2);
        let host = HostConfig::new()
            .page("/start", "text/html", "<a href=/late>late</a><a href=/never>never</a>")
            .page("/late", "text/html", "<title>late</title>")
            .fault(late, Fault::Status(status))
            .fault(Trigger::Path("/never".into()), Fault::Status(status));
        Sandbox::builder().hosts([host.clone(), host]).start().unwrap()
    };
    for (status, unnamed, reason) in
        [(404, "http_4xx", "http_4xx"), (501, "http_5xx", "http_5xx"), (999, "protocol", "http_other")]
    {
        let named = late(status);
        let (_, report) = crawl(&[&named.url(0, "/start"), "--retry-status", &status.to_string()]);
        assert_eq!(report["pages"], 2, "{report}");
        let never = json!([{"url": named.url(0, "/never"), "reason": reason, "attempts": 4, "status": status, "referrer": named.url(0, "/start")}]);
        assert_eq!(report["failures"], never);
        assert_eq!(named.log(0).only(|arrival| &*arrival.path == "/never").entries().len(), 4);

        // The setting applies to one of two hosts.
        let one = late(status);
        let (_dir, path) = config(&format!("[host.\"{}\"]\nretry_status = [{status}]\n", one.addr(1)));
        let (_, report) = crawl(&[&one.url(0, "/start"), &one.url(1, "/start"), "--config", &path]);
        assert_eq!(report["pages"], 3, "{report}");
        assert!(report["reasons"][unnamed].as_u64().unwrap() >= 2, "{report}");
        assert_eq!(one.log(0).only(|arrival| &*arrival.path == "/late").entries().len(), 1);
        assert_eq!(one.log(1).only(|arrival| &*arrival.path == "/late").entries().len(), 3);
    }
}

#[test]
fn a_host_is_given_up_after_so_many_strikes() {
    let closed = || {
        let host = HostConfig::new().products(8).fault(Trigger::Share(1.0), Fault::Status(503));
        Sandbox::builder().host(host).start().unwrap()
    };
    let knocks = |args: &[&str]| {
        let shop = closed();
        let (run, report) = crawl(&[&[shop.base(0).as_str(), "--max-backoff", "20ms"], args].concat());
        assert_eq!((run.code, &report["pages"]), (1, &json!(0)), "{report}");
        shop.log(0).arrivals()
    };
    let (few, usual) = (knocks(&["--max-strikes", "2"]), knocks(&[]));
    assert!((2..=4).contains(&few) && usual >= 10, "{few} {usual}");
    let (_dir, path) = config("[default]\nmax_strikes = 2\n[host.\"*.example\"]\nmax_strikes = 20\n");
    let by_file = knocks(&["--config", &path]);
    assert!((2..=4).contains(&by_file), "{by_file}");
    // The same settings apply to a host that never answers.
    let dead = |args: &[&str]| {
        let resets = HostConfig::new().products(8).fault(Trigger::Share(1.0), Fault::Reset);
        let shop = Sandbox::builder().host(resets).start().unwrap();
        crawl(&[&[shop.base(0).as_str(), "--max-backoff", "20ms"], args].concat());
        shop.log(0).arrivals()
    };
    let (few, more) = (dead(&["--max-strikes-unanswered", "1"]), dead(&["--max-strikes-unanswered", "9"]));
    assert!(few + 4 <= more, "{few} {more}");
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_fetched() {
    let (_dir, contradicts) = config("[host.\"a.example\"]\nmin_backoff = \"2m\"\nmax_backoff = \"1m\"\n");
    let (_dir, unknown) = config("[default]\nmax_strike = 3\n");
    let (_dir, word) = config("[default]\nslow_down = \"403\"\n");
    let (_dir, page) = config("[host.\"a.example\"]\nretry_status = [404, 200]\n");
    for (args, part) in [
        (&["--slow-down", "200"][..], "200 is the status of a page"),
        (&["--slow-down", "403,banana"], "\"banana\" is not a status"),
        (&["--retry-status", "1000"], "write numbers from 201 to 999"),
        (&["--max-strikes", "0"], "--max-strikes"),
        (&["--max-backoff", "soon"], "\"soon\" is not a time"),
        (&["--max-backoff", "1s", "--min-backoff", "5s"], "the longest backoff (1.0 s) is shorter"),
        (&["--config", &contradicts], "[host.\"a.example\"]"),
        (&["--config", &unknown], "unknown key \"max_strike\" in [default]: did you mean \"max_strikes\"?"),
        (&["--config", &word], "slow_down: this is a list of statuses, such as [403, 999]"),
        (&["--config", &page], "retry_status: 200 is the status of a page"),
    ] {
        let run = run(&[&["crawl", "http://127.0.0.1:1/"], args].concat());
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}");
        assert!(run.error().contains(part), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn explain_knows_the_same_words() {
    let explain = |args: &[&str]| -> Value {
        let run = run(&[&["explain"], args].concat());
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        serde_json::from_str(&run.stdout).unwrap()
    };
    let decision = |args: &[&str]| {
        let answer = explain(args);
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        (text("verdict"), text("reason"), answer["pause_host_ms"].as_u64().unwrap())
    };
    let of = |verdict: &str, reason: &str, pause| (verdict.to_owned(), reason.to_owned(), pause);
    assert_eq!(decision(&["--status", "403"]), of("give_up", "http_4xx", 0));
    assert_eq!(decision(&["--status", "403", "--slow-down", "403,999"]), of("retry", "http_4xx", 1_000));
    assert_eq!(decision(&["--status", "999", "--slow-down", "403,999"]), of("retry", "refused", 1_000));
    let last = ["--status", "999", "--slow-down", "999", "--attempt", "4", "--header", "Retry-After: 9"];
    assert_eq!(decision(&last), of("give_up", "refused", 9_000));
    assert_eq!(decision(&["--status", "999"]), of("give_up", "protocol", 0));
    assert_eq!(decision(&["--status", "999", "--retry-status", "999"]), of("retry", "http_other", 0));
    let third = explain(&["--status", "500", "--attempt", "3", "--max-backoff", "2s"]);
    assert_eq!(third["retry_after_ms"], 2_000);
}
