//! Tests of parts of the API whose names new users would guess: they have the effect that their names promise.

use std::cell::RefCell;
use std::rc::Rc;

use opilio_core::{HostPolicy, per_second};
use opilio_fetch::{ScriptedAnswer, ScriptedTransport, Transport, TransportRequest};
use serde_json::json;
use tokio::time::Instant;

use super::run;
use crate::{CrawlError, Crawler, Found, HostSettings, Page, ParseError, Request, Scope, Spider};

/// A spider whose seeds are these requests.
struct Sends(Vec<Request<()>>);

impl Spider for Sends {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        self.0.clone()
    }

    fn parse(&self, _: &Page<()>, _: &mut Found<Self>) -> Result<(), ParseError> {
        Ok(())
    }
}

/// A request as the server received it: its method and path, its body, the type of the body, and its
/// `Accept-Language`.
type Said = (String, String, Option<String>, String);

fn said(ask: &TransportRequest) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let of = |name: &str| ask.headers.get(name).map(|value| text(value.as_bytes()));
    let body = ask.body.as_deref().map(text).unwrap_or_default();
    let language = of("accept-language").unwrap_or_default();
    (format!("{} {}", ask.method, ask.url.path()), body, of("content-type"), language)
}

thread_local! {
    static ASKED: RefCell<Vec<Said>> = RefCell::default();
}

fn sends(requests: Vec<Request<()>>) -> Crawler<Sends> {
    ASKED.with(|asked| asked.borrow_mut().clear());
    let transport: fn() -> Rc<dyn Transport> = || {
        Rc::new(ScriptedTransport::new(|_: Instant, ask: &TransportRequest| {
            ASKED.with(|asked| asked.borrow_mut().push(said(ask)));
            ScriptedAnswer::page("")
        }))
    };
    Crawler::new(Sends(requests)).no_robots().transport(transport)
}

fn asked() -> Vec<Said> {
    let mut all = ASKED.with(|asked| asked.borrow().clone());
    all.sort();
    all
}

#[test]
fn a_post_sends_json_or_a_form() {
    let requests = vec![
        Request::post("http://a.example/1", ()).json(&json!({ "query": "tea pot" })),
        Request::post("http://a.example/2", ()).form([("q", "tea & pot"), ("page", "1")]),
        Request::post("http://a.example/3", ()),
    ];
    assert_eq!(run(sends(requests)).0.unwrap().pages, 3);
    let said = |method: &str, body: &str, kind: Option<&str>| {
        (method.to_owned(), body.to_owned(), kind.map(str::to_owned), String::new())
    };
    let form = Some("application/x-www-form-urlencoded");
    let expected = [
        said("POST /1", r#"{"query":"tea pot"}"#, Some("application/json")),
        said("POST /2", "q=tea+%26+pot&page=1", form),
        said("POST /3", "", None),
    ];
    assert_eq!(asked(), expected);
}

#[test]
fn a_header_of_the_crawl_goes_to_every_host_and_the_more_exact_one_holds() {
    let requests = vec![
        Request::get("http://a.example/1", ()),
        Request::get("http://b.example/2", ()),
        Request::get("http://c.example/3", ()).header("accept-language", "fr"),
    ];
    let mut own = HostSettings::from(HostPolicy::new().rate(per_second(1)));
    own.headers.insert("accept-language", http::HeaderValue::from_static("it"));
    // Settings of hosts that are set later do not remove this header.
    let crawl = sends(requests).header("Accept-Language", "de").host(HostPolicy::new().rate(per_second(5)));
    assert_eq!(run(crawl.host_named("b.example", own)).0.unwrap().pages, 3);
    let languages: Vec<_> = asked().into_iter().map(|(.., language)| language).collect();
    assert_eq!(languages, ["de", "it", "fr"]);
}

#[test]
fn what_cannot_be_a_header_of_every_host_is_refused() {
    let one = || vec![Request::get("http://a.example/1", ())];
    let bad = run(sends(one()).header("no name", "x")).0.unwrap_err();
    assert!(matches!(bad, CrawlError::Header(_)), "{bad:?}");
    for name in ["Authorization", "cookie"] {
        let secret = run(sends(one()).header(name, "secret")).0.unwrap_err();
        let words = format!("{secret:?}");
        assert!(words.contains("host_named") && !words.contains("send secret"), "{words}");
    }
    assert!(asked().is_empty());
}

#[test]
fn a_pattern_that_cannot_be_read_becomes_the_error_of_a_crawl() {
    fn scope() -> Result<Scope, CrawlError> {
        Ok(Scope::new().include("*/products/*")?.exclude("*/print/*")?)
    }
    assert!(scope().is_ok());
}

#[test]
fn examples_import_the_crate_that_a_user_has() {
    fn look(dir: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let docs = text.lines().filter_map(|line| line.trim_start().strip_prefix("///"));
            // Lines that begin with # are hidden in the documentation, and links in running text are not examples.
            let shown = docs.filter(|line| !line.trim_start().starts_with('#') && !line.contains('`'));
            let ours = |line: &&str| {
                line.contains("opilio_engine::")
                    || line.contains("opilio_spider::")
                    || line.contains("use opilio_")
            };
            found.extend(shown.filter(ours).map(|line| format!("{}: {line}", path.display())));
        }
    }
    let mut found = Vec::new();
    let engine = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    look(&engine.join("src"), &mut found);
    look(&engine.join("../opilio-spider/src"), &mut found);
    assert_eq!(found, [""; 0]);
}
