//! Tests of `opilio explain`, which prints as JSON how a crawl decides about one attempt.

use serde_json::{Value, json};

use crate::support::run;

fn explain(args: &[&str]) -> Value {
    let run = run(&[&["explain"], args].concat());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn a_refusal_with_a_date_holds_the_host_until_then() {
    let date = ["--header", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", "--now", "2026-10-21T07:27:00Z"];
    assert_eq!(
        explain(&[&["--status", "429"], &date[..]].concat()),
        json!({"verdict": "retry", "reason": "http_4xx", "retry_after_ms": 60_000, "pause_host_ms": 60_000, "parks": false})
    );
    let parked = explain(&[&["--status", "429", "--max-hold", "30s"], &date[..]].concat());
    assert_eq!((&parked["pause_host_ms"], &parked["parks"]), (&json!(30_000), &json!(true)));
}

#[test]
fn a_wait_is_a_stated_one_however_far_ahead() {
    let huge = "9".repeat(40);
    for wait in ["Fri, 31 Dec 2099 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "4102444799", &huge] {
        for (status, reason) in [("503", "http_5xx"), ("429", "http_4xx")] {
            let header = format!("Retry-After: {wait}");
            assert_eq!(
                explain(&["--status", status, "--header", &header]),
                json!({"verdict": "retry", "reason": reason, "retry_after_ms": 3_600_000, "pause_host_ms": 3_600_000, "parks": true}),
                "{wait}"
            );
        }
    }
}

#[test]
fn the_last_retry_gives_up_whatever_went_wrong() {
    let verdict = |args: &[&str]| explain(args)["verdict"].as_str().unwrap().to_owned();
    for failure in [
        &["--status", "503"][..],
        &["--status", "429"],
        &["--status", "429", "--header", "Retry-After: 2"],
        &["--status", "408"],
        &["--status", "500"],
        &["--error", "timeout"],
        &["--error", "connect"],
        &["--error", "reset"],
        &["--error", "dns"],
        &["--error", "tls"],
    ] {
        for (attempt, expected) in [("1", "retry"), ("3", "retry"), ("4", "give_up"), ("50", "give_up")] {
            let args = [failure, &["--attempt", attempt]].concat();
            assert_eq!(verdict(&args), expected, "{args:?}");
        }
        assert_eq!(verdict(&[failure, &["--attempt", "4", "--retries", "4"]].concat()), "retry");
        assert_eq!(verdict(&[failure, &["--retries", "0"]].concat()), "give_up");
    }
    let last = explain(&["--status", "429", "--attempt", "4", "--header", "Retry-After: 7"]);
    let expected = json!({
        "verdict": "give_up", "reason": "http_4xx", "retry_after_ms": null, "pause_host_ms": 7_000, "parks": false
    });
    assert_eq!(last, expected, "the host is held all the same");
}

#[test]
fn attempts_methods_and_errors_count() {
    let verdict = |args: &[&str]| explain(args)["verdict"].as_str().unwrap().to_owned();
    assert_eq!(verdict(&["--status", "200"]), "accept");
    assert_eq!(verdict(&["--status", "500"]), "retry");
    assert_eq!(verdict(&["--status", "500", "--attempt", "4"]), "give_up");
    assert_eq!(verdict(&["--status", "500", "--retries", "0"]), "give_up");
    assert_eq!(verdict(&["--error", "timeout", "--method", "post"]), "give_up");
    assert_eq!(verdict(&["--error", "body-too-large"]), "give_up");
    for (word, reason) in [("connect", "connect"), ("dns", "dns"), ("tls", "tls"), ("reset", "reset")] {
        assert_eq!(explain(&["--error", word])["reason"], reason);
    }
    let pause =
        |min: &str| explain(&["--status=503", "--min-backoff", min])["pause_host_ms"].as_u64().unwrap();
    assert_eq!(pause("5s"), 5 * pause("1s"));
}

#[test]
fn questions_that_are_none_are_refused() {
    for (args, part) in [
        (&["--status", "99999"][..], "99999"),
        (&["--error", "fire"], "fire"),
        (&["--status", "429", "--header", "Retry-After 7"], "Name: value"),
        (&["--status", "429", "--now", "yesterday"], "yesterday"),
        (&["--status", "500", "--attempt", "0"], "--attempt"),
        (&["--status", "500", "--error", "dns"], "cannot be used"),
        (&[], "--status"),
    ] {
        let run = run(&[&["explain"], args].concat());
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}");
        assert!(run.error().contains(part), "{args:?}: {}", run.stderr);
    }
}
