//! Tests of `opilio fetch`, which sends one request and prints how a crawl would decide about the answer.

use opilio_sandbox::{Fault, HostConfig, Limit, RefusalForm, Sandbox, Trigger};
use serde_json::{Value, json};

use crate::support::{Run, ears, run};

fn fetch(args: &[&str]) -> (Run, Value) {
    let run = run(&[&["fetch", "--allow-private"], args].concat());
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
    let json = run.items().remove(0);
    (run, json)
}

#[test]
fn a_page_is_shown_with_status_headers_decision_and_body() {
    let page = "<title>A</title>\u{9b}31m";
    let shop = Sandbox::builder().host(HostConfig::new().page("/a", "text/html", page)).start().unwrap();
    let (run, json) = fetch(&[&shop.url(0, "/a")]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!((&json["status"], &json["body"]), (&json!(200), &json!(page)));
    assert_eq!(json["decision"]["verdict"], "accept");
    assert_eq!(json["remote"], json!(shop.addr(0).to_string()));
    let headers = json["headers"].as_array().unwrap();
    assert!(headers.iter().any(|field| field[0] == "content-type"), "{json}");
    assert!(!run.stdout.contains('\u{9b}'), "control characters are escaped");
    // The arrivals are robots.txt and the page.
    assert_eq!(shop.log(0).arrivals(), 2);
}

#[test]
fn robots_txt_is_obeyed_unless_told_otherwise() {
    let host = || {
        HostConfig::new().page("/robots.txt", "text/plain", "User-agent: *\nDisallow: /private").page(
            "/private",
            "text/html",
            "secret",
        )
    };
    let shop = Sandbox::builder().host(host()).start().unwrap();
    let private = shop.url(0, "/private");
    let (run, json) = fetch(&[&private]);
    assert_eq!((run.code, &json["status"]), (1, &Value::Null));
    assert_eq!(
        (&json["decision"]["verdict"], &json["decision"]["reason"]),
        (&json!("ignore"), &json!("robots"))
    );
    assert_eq!(json["error"], "robots.txt does not allow it");
    assert_eq!(shop.log(0).arrivals(), 1);
    let (run, json) = fetch(&[&private, "--no-robots"]);
    assert_eq!((run.code, &json["body"]), (0, &json!("secret")));
}

#[test]
fn a_refusal_is_explained_and_not_repeated() {
    let host = HostConfig::new().limit(Limit::per_minute(1)).refusal(429, RefusalForm::Fixed(120));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let deals = shop.url(0, "/deals");
    fetch(&[&deals, "--no-robots"]);
    let (run, json) = fetch(&[&deals, "--no-robots"]);
    assert_eq!((run.code, &json["status"]), (1, &json!(429)));
    let decision = &json["decision"];
    assert_eq!((&decision["verdict"], &decision["pause_host_ms"]), (&json!("retry"), &json!(120_000)));
    assert_eq!(shop.log(0).arrivals(), 2, "nothing is sent twice");
}

#[test]
fn redirects_are_shown_and_failures_say_why() {
    let host = HostConfig::new().fault(Trigger::Path("/deals".into()), Fault::Status(500));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let (run, json) = fetch(&[&shop.url(0, "/go?to=/deals")]);
    assert_eq!((run.code, &json["location"]), (0, &json!(shop.url(0, "/deals"))));
    let (run, json) = fetch(&[&shop.url(0, "/deals")]);
    assert_eq!((run.code, &json["decision"]["reason"]), (1, &json!("http_5xx")));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (run, json) = fetch(&[&format!("http://{closed}/")]);
    assert_eq!((run.code, &json["decision"]["reason"]), (1, &json!("connect")));
    assert!(json["error"].as_str().unwrap().starts_with("robots.txt could not be asked"), "{json}");
    let blocked = crate::support::run(&["fetch", "http://127.0.0.1:1/", "--no-robots"]);
    assert_eq!((blocked.code, &blocked.items()[0]["decision"]["reason"]), (1, &json!("blocked_address")));
}

#[test]
fn method_headers_and_data_are_sent_as_told() {
    let ears = ears();
    let url = format!("http://{}/search", ears.addr);
    let (run, json) = fetch(&[&url, "--no-robots", "--data", "q=cable", "--header", "X-Key: 7"]);
    assert_eq!((run.code, &json["status"]), (0, &json!(200)), "{json}");
    let head = ears.heads.recv().unwrap().to_ascii_lowercase();
    for part in ["post /search", "x-key: 7", "content-length: 7", "application/x-www-form-urlencoded"] {
        assert!(head.contains(part), "{part}: {head}");
    }
    fetch(&[&url, "--no-robots", "--head"]);
    assert!(ears.heads.recv().unwrap().starts_with("HEAD /search"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("body");
    let (_, json) = fetch(&[&url, "--no-robots", "--output", path.to_str().unwrap()]);
    assert_eq!((std::fs::read(&path).unwrap().len(), json.get("body")), (0, None));
}

#[test]
fn what_cannot_be_asked_is_a_usage_error() {
    for args in [
        &["fetch", "shop.example"][..],
        &["fetch", "ftp://x/"],
        &["fetch"],
        &["fetch", "http://x/", "-H", "x"],
    ] {
        let run = run(args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}");
        run.error();
    }
}
