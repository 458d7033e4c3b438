//! Tests of `record`: the cassette, its bound, its secrets.

use std::time::Duration;

use opilio_sandbox::{HostConfig, Sandbox};

use super::support::{begin, finish, run, signal, until};

#[test]
fn a_bounded_crawl_is_recorded_without_secrets_and_without_items() {
    let cookie = [("set-cookie", "sid=hush-cookie; Path=/".to_owned())];
    let host = HostConfig::new().products(300).answer(
        "/products",
        200,
        cookie,
        "<a class=product href=/products/1>1</a><a class=next href='/products?page=2'>next</a>",
    );
    let shop = Sandbox::builder().host(host).start().unwrap();
    let (dir, base) = (tempfile::tempdir().unwrap(), shop.base(0).replace("//", "//me:hush-login@"));
    let ended = run(&dir, &["record", "--base", &base, "--max-pages", "30", "--cassette", "tapes/shop.warc"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for words in ["the cassette ends at 30 pages", " exchanges are recorded in tapes/shop.warc"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    let cassette = std::fs::read_to_string(dir.path().join("tapes/shop.warc")).unwrap();
    assert!(cassette.starts_with("WARC/1.1\r\n") && cassette.contains("GET /robots.txt"), "{cassette}");
    assert!(cassette.matches("<h1 class=\"name\">").count() >= 20, "{}", cassette.len());
    assert!(!cassette.contains("hush") && !cassette.contains("bWU6aHVzaC1"), "a secret is recorded");
    assert!(!dir.path().join("products.jsonl").exists());

    let ended = run(&dir, &["record", "--base", &base, "--max-pages", "2", "--keep-secrets", "--quiet"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let cassette = std::fs::read_to_string(dir.path().join("cassette.warc")).unwrap();
    assert!(cassette.contains("hush-cookie"));
}

#[test]
fn without_a_page_the_exit_code_is_1_and_items_have_no_flags() {
    let shop = Sandbox::builder().host(HostConfig::new().products(3)).start().unwrap();
    let (closed, dir) = (shop.base(0), tempfile::tempdir().unwrap());
    assert_eq!(run(&dir, &["record", "--base", &closed]).code, 0);
    drop(shop);
    let cassette = std::fs::read(dir.path().join("cassette.warc")).unwrap();
    let ended = run(&dir, &["record", "--base", &closed, "--retries", "0", "--max-strikes-unanswered", "1"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let words =
        "the recording has no page, so the cassette cassette.warc stays as it was: GET http://127.0.0.1";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert_eq!(std::fs::read(dir.path().join("cassette.warc")).unwrap(), cassette);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
    for flag in ["--output", "--state", "--cache"] {
        let ended = run(&dir, &["record", "--base", &closed, flag, "x"]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
    }
    let help = run(&dir, &["record", "--help"]).stdout;
    for words in ["Ends after this many pages [default: 200]", "--cassette <FILE.warc>", "--rate"] {
        assert!(help.contains(words), "{words}: {help}");
    }
}

#[test]
fn a_path_that_cannot_be_written_is_usage_and_nothing_is_requested() {
    let shop = Sandbox::builder().host(HostConfig::new().products(3)).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tapes"), "").unwrap();
    for path in [".", "tapes/shop.warc"] {
        let ended = run(&dir, &["record", "--base", &shop.base(0), "--cassette", path]);
        assert_eq!((ended.code, shop.log(0).arrivals()), (2, 0), "{}", ended.stderr);
        let words = format!("error: cannot read or write the cassette {path}: ");
        assert!(ended.stderr.contains(&words), "{}", ended.stderr);
    }
}

#[test]
fn a_signal_drains_the_crawl_and_the_cassette_has_what_came_until_then() {
    let host = HostConfig::new().products(200).latency(Duration::from_millis(50));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let child = begin(&dir, &["record", "--base", &shop.base(0)]);
    until(|| shop.log(0).served() >= 10);
    signal(&child, "INT");
    let ended = finish(child);
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    let cassette = std::fs::read_to_string(dir.path().join("cassette.warc")).unwrap();
    let answers = cassette.matches("WARC-Type: response").count() as u64;
    assert_eq!(answers, shop.log(0).served(), "{}", ended.stderr);
}
