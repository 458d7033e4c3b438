//! Tests of `check`: a cassette of the shop's first edition against the shop as it is now.

use std::time::Duration;

use opilio_sandbox::{Edition, HostConfig, Sandbox};
use tempfile::TempDir;

use super::support::{Ended, begin, finish, run, signal, until};

/// Records the first edition of a shop. Returns the directory with the cassette, and the port of the shop, which is
/// closed now.
fn recorded() -> (TempDir, u16) {
    let dir = tempfile::tempdir().unwrap();
    let shop = Sandbox::builder().host(HostConfig::new().products(40)).start().unwrap();
    let ended = run(&dir, &["record", "--base", &shop.base(0)]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    (dir, shop.addr(0).port())
}

fn check(dir: &TempDir, shop: &Sandbox, more: &[&str]) -> Ended {
    run(dir, &[&["check", "--base", &shop.base(0)], more].concat())
}

#[test]
fn an_unchanged_shop_passes_with_three_pages_of_each_step() {
    let (dir, port) = recorded();
    let shop = Sandbox::builder().host(HostConfig::new().products(40)).port(port).start().unwrap();
    let ended = check(&dir, &shop, &[]);
    assert_eq!((ended.code, ended.stdout.contains("now")), (0, false), "{}{}", ended.stdout, ended.stderr);
    let words = "5 of 5 pages compared with cassette.warc, of the steps Listing, Product";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert!(shop.log(0).served() <= 6, "robots.txt and five pages: there are only two listings");

    let ended = check(&dir, &shop, &["--pages", "1", "--quiet"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
}

#[test]
fn exactly_the_renamed_fields_are_named_with_selector_page_and_nearest_element() {
    let (dir, port) = recorded();
    let host = HostConfig::new().products(40).edition(Edition::Second);
    let shop = Sandbox::builder().host(host).port(port).start().unwrap();
    let ended = check(&dir, &shop, &[]);
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    let words = "error: 3 fields fell silent: Product.name, Product.price, Product.stock";
    assert!(ended.stderr.lines().any(|line| line == words), "{}", ended.stderr);
    for words in [
        "Product.name is empty now, on 3 of 3 pages that have it in the cassette",
        "  asked:    css(\"h1.name\")",
        "  nearest:  <h1 class=\"title\">",
        "  asked:    css(\"p.price\")",
        "  recorded: <p class=\"price\"",
        "  nearest:  <p class=\"amount\"",
        "  asked:    css(\"dd.stock\")",
        "  nearest:  <dd class=\"availability\"",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert!(ended.stdout.contains(&format!("  page:     {}/products/", shop.base(0))), "{}", ended.stdout);
    assert_eq!(ended.stdout.matches(" now, on ").count(), 3, "{}", ended.stdout);
}

#[test]
fn lost_links_and_pages_that_are_gone_are_named() {
    let (dir, port) = recorded();
    let empty = "<ol class=products></ol>";
    let host = HostConfig::new().products(2);
    let host = host.answer("/products", 200, [], empty).answer("/products?page=2", 200, [], empty);
    let shop = Sandbox::builder().host(host).port(port).start().unwrap();
    let ended = check(&dir, &shop, &[]);
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("the step Listing leads to no requests now"), "{}", ended.stdout);
    assert!(ended.stderr.contains("no requests are found at: Listing"), "{}", ended.stderr);
    assert!(ended.stderr.contains("ended as http_4xx with status 404"), "{}", ended.stderr);
}

#[test]
fn a_cassette_that_is_not_there_or_of_another_site_is_usage() {
    let (dir, _) = recorded();
    let ended = run(&dir, &["check", "--base", "http://127.0.0.1:1", "--cassette", "other.warc"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    let words = "error: there is no cassette at other.warc; record it: commands";
    assert!(ended.stderr.starts_with(words), "{}", ended.stderr);
    let ended = run(&dir, &["check", "--base", "http://127.0.0.1:1"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    for words in ["the spider reads no page of cassette.warc", "GET http://127.0.0.1:1/", "record --cassette"]
    {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}

#[test]
fn after_a_signal_pages_that_are_missing_are_no_error() {
    let (dir, port) = recorded();
    let host = HostConfig::new().products(40).latency(Duration::from_millis(800));
    let shop = Sandbox::builder().host(host).port(port).start().unwrap();
    let child = begin(&dir, &["check", "--base", &shop.base(0)]);
    until(|| shop.log(0).arrivals() > 0);
    signal(&child, "INT");
    let ended = finish(child);
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(!ended.stderr.contains("error"), "{}", ended.stderr);
}

#[test]
fn a_warning_about_a_page_of_the_cassette_says_that_it_is_of_the_cassette() {
    let dir = tempfile::tempdir().unwrap();
    let listing = "<a class=product href=/bare>bare</a>";
    let host = HostConfig::new().answer("/products", 200, [], listing).answer("/bare", 200, [], "<p>");
    let shop = Sandbox::builder().host(host).start().unwrap();
    let ended = run(&dir, &["record", "--base", &shop.base(0)]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let ended = check(&dir, &shop, &[]);
    let warnings: Vec<&str> = ended.stderr.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!(!warnings.is_empty() && warnings[0].contains("/bare"), "{}", ended.stderr);
    for warning in warnings {
        assert!(warning.starts_with("in cassette.warc: "), "{}", ended.stderr);
    }
}
