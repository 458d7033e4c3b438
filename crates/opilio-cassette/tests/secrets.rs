//! Tests of secrets: a cassette does not have them, and a replay tells requests apart that differ in one.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use opilio_cassette::{Cassette, CassetteDraft, Recording, Replay, Tape};
use opilio_core::{Fault, Outcome};
use opilio_fetch::{FetchRequest, Fetched, Fetcher, ScriptedAnswer, ScriptedTransport, TransportRequest};

/// Answers each request with its URL and its body, and leads `/in` on to a URL with a secret.
fn echo() -> ScriptedTransport {
    ScriptedTransport::new(|_, ask: &TransportRequest| {
        if ask.url.path() == "/in" {
            let target = HeaderValue::from_bytes("/über?token=hush-answer".as_bytes()).unwrap();
            let cookie = HeaderValue::from_static("sid=hush-cookie; Path=/");
            return ScriptedAnswer::status(302)
                .header(header::LOCATION, target)
                .header(header::SET_COOKIE, cookie);
        }
        let number = ask.url.as_str().len() + ask.body.as_ref().map_or(0, Bytes::len);
        let last = ask.body.as_deref().unwrap_or(ask.url.as_str().as_bytes()).last().copied();
        ScriptedAnswer::page(format!("{number} {}", last.unwrap_or_default()))
    })
}

fn get(rest: &str) -> FetchRequest {
    FetchRequest::get(format!("http://a.example{rest}").parse().unwrap())
}

fn post(kind: &'static str, body: &str) -> FetchRequest {
    let mut order = FetchRequest::new(Method::POST, "http://a.example/login".parse().unwrap());
    order.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    order.body = Some(Bytes::from(body.to_owned()));
    order
}

struct Recorded {
    dir: tempfile::TempDir,
    answers: Vec<Fetched>,
}

impl Recorded {
    fn path(&self) -> PathBuf {
        self.dir.path().join("tape.warc")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path()).unwrap()).into_owned()
    }

    fn replay(&self) -> Replay {
        let cassette = Cassette::load(&self.path(), "record").unwrap();
        Replay::of(Tape::new(self.path(), cassette, "record".to_owned()))
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future)
}

fn record(recording: &Recording, orders: Vec<FetchRequest>) -> Recorded {
    let fetcher = Fetcher::new(recording.around()(Rc::new(echo())));
    let mut recorded = Recorded { dir: tempfile::tempdir().unwrap(), answers: Vec::new() };
    for order in orders {
        recorded.answers.push(run(fetcher.fetch(order)));
    }
    CassetteDraft::open(&recorded.path()).unwrap().save(&recording.cassette()).unwrap();
    recorded
}

fn fetch(replay: &Replay, order: FetchRequest) -> Fetched {
    run(Fetcher::new(replay.transports()()).fetch(order))
}

#[test]
fn no_planted_secret_is_in_the_cassette_and_the_replay_takes_the_same_path() {
    let mut with_fields = get("/fields");
    for (name, value) in [
        ("authorization", "Bearer hush"),
        ("x-auth", "hush"),
        ("x-auth-key", "hush"),
        ("referer", "http://a.example/?jwt=hush#hush"),
        ("own-field", "hush"),
    ] {
        with_fields.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let form = "application/x-www-form-urlencoded";
    let orders = vec![
        get("/in"),
        get("/a;jsessionid=hush?PHPSESSID=hush&sig=hush&user_pass=hush&passwort=hush&own_field=hush"),
        with_fields,
        post(form, "user=me&password=hush&session=hush-session"),
        post("application/json", r#"{"credentials":{"login":"hush","value":["hush"]}}"#),
        post("text/plain", "\u{feff}{\"token\":\"hush\"}"),
        post("application/x-ndjson", "{\"token\":\"hush\"}\n{\"token\":\"hush\"}"),
        post(
            "multipart/form-data; boundary=x",
            "--x\r\ncontent-disposition: form-data; name=pwd\r\n\r\nhush\r\n--x--",
        ),
    ];
    let recorded = record(&Recording::new(false).secret_names(["own_field"]), orders.clone());
    let text = recorded.text();
    assert!(
        !text.contains("hush"),
        "{:?}",
        text.lines().filter(|line| line.contains("hush")).collect::<Vec<_>>()
    );
    assert!(text.contains("location: http://a.example/%C3%BCber?token=left-out\r\n"), "{text}");
    let replay = recorded.replay();
    for (order, answer) in orders.into_iter().zip(&recorded.answers) {
        let again = fetch(&replay, order);
        assert_eq!((again.outcome, &again.body), (answer.outcome, &answer.body), "{:?}", again.error);
    }
    assert_eq!(replay.unknown(), [""; 0]);
}

#[test]
fn pages_that_differ_only_in_a_token_are_told_apart() {
    let token = |letter: &str| get(&format!("/list?token={}", letter.repeat(20)));
    let json = |letter: &str| {
        post("application/json", &format!("{{\"next\":{{\"token\":\"{}\"}}}}", letter.repeat(20)))
    };
    let page = |letter: &str| get(&format!("/list?pageToken={letter}"));
    for keep_secrets in [false, true] {
        let orders = ["a", "b", "c"].map(|letter| [token(letter), json(letter), page(letter)]).concat();
        let recorded = record(&Recording::new(keep_secrets), orders.clone());
        assert_eq!(recorded.text().contains("aaaaa"), keep_secrets);
        let replay = recorded.replay();
        for (order, answer) in orders.into_iter().zip(&recorded.answers).rev() {
            assert_eq!(fetch(&replay, order).body, answer.body);
        }
        let unknown = fetch(&replay, token("d"));
        assert_eq!(unknown.outcome, Outcome::Failed(Fault::BlockedAddress));
        assert_eq!(replay.unknown(), ["GET http://a.example/list?token=left-out"]);
    }
}

#[test]
fn a_secret_with_one_value_matches_any_value() {
    let with_key = |key: &str, page: &str| get(&format!("/list?api_key={key}&page={page}"));
    for keep_secrets in [false, true] {
        let key = "0123456789abcdef";
        let recorded = record(&Recording::new(keep_secrets), vec![with_key(key, "1"), with_key(key, "2")]);
        let replay = recorded.replay();
        assert_eq!(fetch(&replay, with_key("of somebody else", "2")).body, recorded.answers[1].body);
        assert_eq!(fetch(&replay, with_key("", "1")).outcome, Outcome::Failed(Fault::BlockedAddress));
    }
}

#[test]
fn twenty_unknown_requests_are_named_and_the_others_counted() {
    let replay = record(&Recording::new(false), vec![get("/")]).replay();
    for nth in (0..30).chain(0..30) {
        fetch(&replay, get(&format!("/{nth}")));
    }
    let unknown = replay.unknown();
    assert_eq!((unknown.len(), unknown[0].as_str()), (21, "GET http://a.example/0"));
    assert_eq!(unknown[20], "and 10 more");
}
