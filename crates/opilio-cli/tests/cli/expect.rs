//! Tests of how often the fields of `--css` are filled: the report, the summary, and `--expect`.

use opilio_sandbox::{HostConfig, Sandbox};
use serde_json::json;

use crate::support::crawl;

#[test]
fn fields_that_are_filled_less_often_than_expected_are_an_error() {
    let (with, without) = ("<p class=price>7</p>", "<p class=price> </p>");
    let host = HostConfig::new().page("/a", "text/html", with).page("/b", "text/html", without);
    let host = host.page("/c", "text/html", "x").page("/n.json", "application/json", "{}");
    let shop = Sandbox::builder().host(host).start().unwrap();
    let urls = ["/a", "/b", "/c", "/n.json"].map(|path| shop.url(0, path));
    let own = ["--follow=none", "--css", "price=.price", "--css=all[all]=.price"];
    let args: Vec<&str> = urls.iter().map(String::as_str).chain(own).collect();

    let (run, report) = crawl(&[&args[..], &["--expect=price=33%", "--expect=page.all=0.33"]].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    // The page that is JSON has no elements, so its fields are not counted.
    assert_eq!(
        report["coverage"]["page.price"],
        json!({"filled": 1, "empty": 2, "defaulted": 0, "unreadable": 0})
    );
    assert!(run.stderr.contains("  fields: 0 of 2 were always filled\n"), "{}", run.stderr);
    assert!(run.stderr.contains("\n    price 33.3 % (1 of 3), 2 empty\n"), "{}", run.stderr);

    let (run, report) = crawl(&[&args[..], &["--expect", "price=98%"]].concat());
    assert_eq!(run.code, 1, "{}", run.stderr);
    let words =
        "error: not what --expect asks for: price was filled in 33.3 % (1 of 3), and 98 % are expected";
    assert!(run.stderr.lines().any(|line| line == words), "{}", run.stderr);
    assert_eq!(run.stderr.matches("98 % are expected").count(), 1, "told once: {}", run.stderr);
    assert_eq!(report["shortfalls"][0]["why"], "less");
}
