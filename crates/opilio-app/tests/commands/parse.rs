//! Tests of `parse`: one page, its items and requests, its faults.

use opilio_sandbox::{HostConfig, Sandbox};

use super::support::run;

fn shop() -> Sandbox {
    let host = HostConfig::new().products(30);
    let host = host.answer("/half", 200, [], "<h1 class=name>Lamp</h1><p class=price>many</p>");
    Sandbox::builder().host(host).start().unwrap()
}

#[test]
fn one_page_is_fetched_politely_and_its_items_are_printed() {
    let shop = shop();
    let (dir, base) = (tempfile::tempdir().unwrap(), shop.base(0));
    let product = shop.url(0, "/products/7");
    let step = r#"{"Product":{"from":"/"}}"#;
    let ended = run(&dir, &["parse", "--base", &base, &product, "--step", step]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let items = ended.json();
    assert_eq!(items.len(), 1, "{}", ended.stdout);
    assert!(items[0]["sku"].as_str().unwrap().starts_with("C108-"), "{items:?}");
    assert!(
        ended.stderr.contains("1 item, 0 requests at the step Product of http://127.0.0.1"),
        "{}",
        ended.stderr
    );
    let paths: Vec<_> = shop.log(0).entries().iter().map(|arrival| arrival.path.to_string()).collect();
    assert_eq!(
        paths,
        ["/robots.txt", "/products/7", "/products/7-light-glass-bowl"],
        "the page redirects once"
    );
    // Nothing is stored, and the file of `run` is not written.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_step_of_the_first_seed_is_the_default_and_requests_are_printed_on_request() {
    let shop = shop();
    let (dir, base) = (tempfile::tempdir().unwrap(), shop.base(0));
    let page = shop.url(0, "/products");
    let ended = run(&dir, &["parse", &page, "--base", &base]);
    assert_eq!((ended.code, ended.json().len()), (0, 0), "{}", ended.stderr);
    assert!(ended.stderr.contains("0 items, 21 requests at the step Listing"), "{}", ended.stderr);

    let ended = run(&dir, &["parse", &page, "--base", &base, "--requests", "--quiet"]);
    let requests = ended.json();
    assert_eq!((ended.code, requests.len(), ended.stderr.as_str()), (0, 21, ""));
    assert_eq!(requests[0]["step"]["Product"]["from"], "/products");
    assert!(
        requests[0]["request"].as_str().unwrap().starts_with(&format!("{base}/products/")),
        "{requests:?}"
    );
    assert_eq!(requests[20]["step"], "Listing");
    assert_eq!(shop.log(0).served(), 4, "nothing but robots.txt and the page, twice");
}

#[test]
fn fields_that_cannot_be_read_are_named_and_the_exit_code_is_1() {
    let shop = shop();
    let (dir, base) = (tempfile::tempdir().unwrap(), shop.base(0));
    let step = r#"{"Product":{"from":"/"}}"#;
    let ended = run(&dir, &["parse", &shop.url(0, "/half"), "--base", &base, "--step", step]);
    assert_eq!((ended.code, ended.json().len()), (1, 0), "{}", ended.stderr);
    for words in [
        "error: parse_error at the step Product: 2 fields cannot be read on http://127.0.0.1",
        "Product.sku: nothing is there: css(\"dd.sku\")",
        "Product.price: css(\"p.price\") is \"many\"",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    let ended = run(&dir, &["parse", &shop.url(0, "/nowhere"), "--base", &base]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("/nowhere ended as http_4xx with status 404"), "{}", ended.stderr);
    let ended = run(&dir, &["parse", &shop.url(0, "/admin/x"), "--base", &base]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("ended as robots: robots.txt does not allow it"), "{}", ended.stderr);
}

#[test]
fn a_saved_page_is_read_without_a_request() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("lamp.html"),
        "<dl><dd class=sku>L-7</dl><h1 class=name>Lampe à pied</h1><p class=price>12,50 €</p>",
    )
    .unwrap();
    let args = ["parse", "http://shop.invalid/lamp", "--base", "http://shop.invalid", "--from", "lamp.html"];
    let ended = run(&dir, &[&args[..], &["--step", r#"{"Product":{"from":"/"}}"#]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let items = ended.json();
    assert_eq!((&items[0]["sku"], &items[0]["name"]), (&"L-7".into(), &"Lampe à pied".into()));
}

#[test]
fn wrong_steps_and_urls_are_usage_and_name_what_is_right() {
    let dir = tempfile::tempdir().unwrap();
    for (args, words) in [
        (&["parse", "http://127.0.0.1:1/", "--step", "Produkt"][..], "unknown variant `Produkt`"),
        (&["parse", "http://127.0.0.1:1/", "--step", "Product"], "--step Product: "),
        (&["parse", "shop.example/7"], "write http:// or https:// in front"),
        (&["parse", "http://127.0.0.1:1/", "--from", "gone.html"], "cannot read gone.html"),
        (
            &["parse", "http://127.0.0.1:1/", "--from", "gone.html", "--proxy", "http://127.0.0.1:1"],
            "--proxy cannot be used with --from, which reads a file and fetches nothing",
        ),
        (&["parse", "ftp://me:hush@127.0.0.1/"], "the URL \"ftp://…@127.0.0.1/\": ftp is not http or https"),
        (&["parse"], "<URL>"),
        (&["parse", "http://127.0.0.1:1/", "--max-pages", "7"], "'--max-pages'"),
    ] {
        let ended = run(&dir, &[args, &["--base", "http://127.0.0.1:1"]].concat());
        assert_eq!(ended.code, 2, "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn texts_of_pages_and_credentials_do_not_reach_the_terminal_as_they_are() {
    let text = format!("\u{1b}[2J{}", "x".repeat(20_000));
    let host = HostConfig::new().products(1).answer("/loud", 200, [], format!("<h1 class=fails>{text}</h1>"));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let (dir, base) = (tempfile::tempdir().unwrap(), shop.base(0));
    let with_login = |path: &str| shop.url(0, path).replace("//", "//me:hush@");
    for (url, words) in [
        (with_login("/loud"), "error: parse_error at the step Listing: it says \\u{1b}[2Jxxx"),
        (with_login("/nowhere"), "/nowhere ended as http_4xx"),
        (with_login("/admin/x"), "ended as robots"),
        (with_login("/products"), "at the step Listing of http://"),
    ] {
        let ended = run(&dir, &["parse", &url, "--base", &base]);
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hush") && !ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
        assert!(ended.stderr.len() < 20_000, "{}", ended.stderr.len());
    }
    std::fs::write(dir.path().join("list.html"), "<p>").unwrap();
    let ended = run(&dir, &["parse", &with_login("/x"), "--base", &base, "--from", "list.html"]);
    assert!(ended.code == 0 && !ended.stderr.contains("hush"), "{}", ended.stderr);
}
