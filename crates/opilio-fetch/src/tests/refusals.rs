//! Tests of mistakes that servers make, and of the outcome for each mistake.

use std::time::{Duration, Instant};

use opilio_core::{Fault, Outcome};
use tokio::net::TcpListener;

use super::server::{Act, Server, answer, page, send};
use super::{SHORT, assert_fault, fetcher, fetcher_with, get, impatient, local};
use crate::decode::tests::encode;
use crate::{DnsCache, FetchRequest, Limits, WebSettings};

async fn expect(acts: Vec<Act>, fault: Fault, what: &str) {
    let server = Server::answering(acts).await;
    assert_fault(&get(&impatient(), &server.url("/")).await, fault, what);
    assert_eq!(server.requests().len(), 1, "{what}: one attempt is one request");
}

#[tokio::test]
async fn connections_break_in_every_phase() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    assert_fault(&get(&fetcher(), &format!("http://{closed}/")).await, Fault::Connect, "nobody listens");
    expect(vec![], Fault::Reset, "closed before the head").await;
    expect(vec![Act::Reset], Fault::Reset, "reset before the head").await;
    expect(vec![send("HTTP/1.1 200 O")], Fault::Reset, "cut in the head").await;
    let length = "Content-Length: 1000\r\n";
    expect(vec![answer("200 OK", length, "only this")], Fault::Reset, "short body").await;
    expect(vec![answer("200 OK", length, "only this"), Act::Reset], Fault::Reset, "reset in the body").await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    expect(vec![answer("200 OK", chunked, "5\r\nhello\r\n")], Fault::Reset, "no last chunk").await;
    expect(vec![answer("200 OK", chunked, "5\r\nhel")], Fault::Reset, "cut in a chunk").await;
}

#[tokio::test]
async fn broken_rules_of_http_are_never_a_page() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (acts, what) in [
        (vec![answer("200 OK", chunked, "xyz\r\nhello\r\n0\r\n\r\n")], "no chunk size"),
        (vec![answer("200 OK", chunked, "5\r\nhello!!\r\n0\r\n\r\n")], "chunk longer than said"),
        (vec![send("SSH-2.0-OpenSSH_9.6\r\n\r\n")], "another protocol"),
        (vec![send("<html>hello</html>\r\n\r\n")], "no head"),
    ] {
        expect(acts, Fault::Protocol, what).await;
    }
    // An error in the head of an answer would be the same on every connection.
    for (acts, what) in [
        (
            vec![answer("200 OK", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")],
            "two framings",
        ),
        (vec![answer("200 OK", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello")], "two lengths"),
        (vec![answer("200 OK", "Content-Length: -5\r\n", "hello")], "negative length"),
        (vec![answer("200 OK", "Content-Length: five\r\n", "hello")], "a word for a length"),
        (vec![answer("200 OK", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")], "compressed transfer"),
        (
            vec![answer(
                "200 OK",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            )],
            "chunked twice",
        ),
        (vec![send("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")], "chunks in HTTP/1.0"),
        (vec![answer("200 OK", "A\0B: x\r\n", "")], "a zero byte in a field's name"),
    ] {
        expect(acts, Fault::Malformed, what).await;
    }
    for status in ["099 Odd", "99 Odd", "600 Odd", "999 Odd"] {
        expect(vec![answer(status, "Content-Length: 0\r\n", "")], Fault::BadStatus, status).await;
    }
}

#[tokio::test]
async fn a_status_that_is_named_is_what_it_is_named() {
    let fields = "Retry-After: 7\r\nContent-Length: 5\r\n";
    for (line, code) in [("403 No", 403), ("999 Denied", 999), ("202 Later", 202), ("302 Found", 302)] {
        let server = Server::answering(vec![answer(line, fields, "later")]).await;
        let order = FetchRequest {
            slow_down: [code].into_iter().collect(),
            ..FetchRequest::get(server.url("/").parse().unwrap())
        };
        let fetched = fetcher().fetch(order).await;
        assert_eq!((fetched.outcome, &fetched.body[..]), (Outcome::Refused(code), &b""[..]));
        assert_eq!(fetched.hints.retry_after, Some(Duration::from_secs(7)), "{code}");
        assert!(fetched.error.unwrap().ends_with(&format!("the status {code} counts as a refusal")));
    }
    for (line, code) in [("404 No", 404), ("999 Denied", 999), ("202 Later", 202)] {
        let server = Server::answering(vec![answer(line, "Content-Length: 5\r\n", "later")]).await;
        let order = FetchRequest {
            retried: [code].into_iter().collect(),
            ..FetchRequest::get(server.url("/").parse().unwrap())
        };
        let fetched = fetcher().fetch(order).await;
        assert_eq!((fetched.outcome, &fetched.body[..]), (Outcome::Answered(code), &b"later"[..]));
    }
    // Neighbouring statuses and ordinary refusals are still accepted as before.
    for (line, outcome) in [
        ("998 Odd", Outcome::Failed(Fault::BadStatus)),
        ("404 No", Outcome::Answered(404)),
        ("429 Slow", Outcome::Answered(429)),
        ("503 Down", Outcome::Answered(503)),
    ] {
        let server = Server::answering(vec![answer(line, fields, "later")]).await;
        let named = || [403, 429, 503, 999].into_iter().collect();
        let order = FetchRequest {
            slow_down: named(),
            retried: named(),
            ..FetchRequest::get(server.url("/").parse().unwrap())
        };
        assert_eq!(fetcher().fetch(order).await.outcome, outcome, "{line}");
    }
}

#[tokio::test]
async fn too_many_headers_have_their_own_name() {
    let many: String = (0..1_200).map(|n| format!("X-{n}: y\r\n")).collect();
    expect(vec![answer("200 OK", &many, "")], Fault::TooManyHeaders, "1,200 fields").await;
    let long = format!("X-Long: {}\r\nContent-Length: 0\r\n", "y".repeat(110_000));
    expect(vec![answer("200 OK", &long, "")], Fault::TooManyHeaders, "110 kB").await;
    let endless = format!("X-Long: {}", "y".repeat(1_000_000));
    expect(vec![answer("200 OK", &endless, ""), Act::Stall], Fault::TooManyHeaders, "1 MB").await;
    let few = WebSettings { header_count_max: 5, ..local() };
    let server = Server::answering(vec![answer("200 OK", &many[..60], "\r\n")]).await;
    let fetched = get(&fetcher_with(few, DnsCache::default()), &server.url("/")).await;
    assert_fault(&fetched, Fault::TooManyHeaders, "more than five");
}

#[tokio::test]
async fn one_deadline_covers_the_whole_attempt() {
    let drip = |bytes: &str| Act::Drip(bytes.into(), Duration::from_millis(20));
    let length = "Content-Length: 100000\r\n";
    for (acts, what) in [
        (vec![Act::Stall], "silence"),
        (vec![send("HTTP/1.1 200 OK\r\nX-Slow: "), drip("y")], "a dripping head"),
        (vec![drip("HTTP/1.1 103 Early Hints\r\n\r\n")], "a flood of 1xx"),
        (vec![answer("200 OK", length, ""), drip("y")], "a dripping body"),
        (vec![answer("200 OK", length, "half"), Act::Stall], "a stalled body"),
    ] {
        let began = Instant::now();
        expect(acts, Fault::Timeout, what).await;
        assert!(began.elapsed() < SHORT * 5, "{what}");
    }
}

#[tokio::test]
async fn the_first_byte_has_a_deadline_of_its_own() {
    let server = Server::answering(vec![Act::Stall]).await;
    let hasty = fetcher().limits(Limits { first_byte: Some(SHORT / 4), ..Limits::default() });
    let fetched = get(&hasty, &server.url("/")).await;
    assert_fault(&fetched, Fault::Timeout, "first byte");
    assert!(fetched.elapsed < SHORT * 5);
}

#[tokio::test]
async fn a_connection_that_never_stands_is_no_timeout_of_the_url() {
    // The kernel accepts the connection, but the server never answers in the TLS handshake.
    let server = Server::start(vec![vec![Act::Stall]]).await;
    let url = format!("https://{}/", server.address);
    let settings = WebSettings { connect_timeout: SHORT, ..local() };
    assert_fault(
        &get(&fetcher_with(settings, DnsCache::default()), &url).await,
        Fault::Connect,
        "connect timeout",
    );
    assert_fault(&get(&impatient(), &url).await, Fault::Connect, "deadline while connecting");
}

fn coded(coding: &str, body: &[u8]) -> Act {
    answer("200 OK", &format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", body.len()), body)
}

#[tokio::test]
async fn codings_are_undone_or_named() {
    let html = "<p>hello</p>".repeat(1_000);
    let once = encode("gzip", html.as_bytes());
    for (coding, body) in [
        ("gzip", once.clone()),
        ("gzip, gzip", encode("gzip", &once)),
        ("identity", html.clone().into_bytes()),
    ] {
        let server = Server::answering(vec![coded(coding, &body)]).await;
        let fetched = get(&fetcher(), &server.url("/")).await;
        assert_eq!(fetched.outcome, Outcome::Answered(200), "{coding}: {:?}", fetched.error);
        assert!(fetched.body == html.as_bytes(), "{coding}");
        assert_eq!(fetched.wire_bytes, body.len() as u64);
    }
    for (coding, body, what) in [
        ("gzip", html.as_bytes(), "plain text called gzip"),
        ("gzip", &once[..once.len() - 9], "cut gzip with the right length"),
        ("br", &once[..], "gzip called br"),
        ("compress", &once[..], "unknown"),
        ("gzip, gzip, gzip", &once[..], "three"),
    ] {
        expect(vec![coded(coding, body)], Fault::Undecodable, what).await;
    }
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_failures_and_never_cut_pages() {
    let zeros = encode("gzip", &vec![0; 9 << 20]);
    expect(vec![coded("gzip", &zeros)], Fault::DecompressionBomb, "bomb by ratio").await;
    expect(vec![coded("gzip, gzip", &encode("gzip", &zeros))], Fault::DecompressionBomb, "bomb in a bomb")
        .await;
    expect(
        vec![answer("200 OK", "Content-Length: 20000000\r\n", "x"), Act::Stall],
        Fault::BodyTooLarge,
        "stated",
    )
    .await;
    let small = fetcher().limits(Limits { body_bytes_max: 10_000, ..Limits::default() });
    for (length, outcome) in
        [(10_000, Outcome::Answered(200)), (10_001, Outcome::Failed(Fault::BodyTooLarge))]
    {
        let body = "x".repeat(length);
        for act in [page(&body), answer("200 OK", "Connection: close\r\n", &body)] {
            let server = Server::answering(vec![act]).await;
            assert_eq!(get(&small, &server.url("/")).await.outcome, outcome, "{length}");
        }
    }
}

#[tokio::test]
async fn of_a_body_of_which_the_beginning_counts_the_rest_is_not_read() {
    const ENOUGH: usize = 300_000;
    let rules = "Disallow: /x\n".repeat(100_000);
    let endless = Act::Drip("#".repeat(10_000).into_bytes(), Duration::ZERO);
    let zeros = encode("gzip", &vec![0; 9 << 20]);
    for (acts, what) in [
        (vec![page(&rules)], "a long one"),
        (
            vec![answer("200 OK", "Content-Length: 20000000\r\n", &rules), Act::Stall],
            "a longer one than allowed",
        ),
        (vec![answer("200 OK", "Connection: close\r\n", ""), endless], "one without end"),
        (vec![coded("gzip", &encode("gzip", rules.as_bytes()))], "a coded one"),
        (vec![coded("gzip", &zeros)], "a bomb"),
    ] {
        let server = Server::answering(acts).await;
        let order = FetchRequest {
            enough: Some(ENOUGH),
            ..FetchRequest::get(server.url("/robots.txt").parse().unwrap())
        };
        let fetched = impatient().fetch(order).await;
        assert_eq!(fetched.outcome, Outcome::Answered(200), "{what}: {:?}", fetched.error);
        assert_eq!(fetched.body.len(), ENOUGH, "{what}");
    }
    let short = Server::answering(vec![answer("200 OK", "Content-Length: 1000\r\n", "half")]).await;
    let order =
        FetchRequest { enough: Some(ENOUGH), ..FetchRequest::get(short.url("/robots.txt").parse().unwrap()) };
    assert_fault(&fetcher().fetch(order).await, Fault::Reset, "less than stated and less than enough");
}

#[tokio::test]
async fn a_refusal_is_heard_whatever_follows_it() {
    let refused = async |status: u16, fields: &str| {
        let drip = Act::Drip(b"y".to_vec(), Duration::from_millis(50));
        let server = Server::answering(vec![answer(&format!("{status} No"), fields, ""), drip]).await;
        let fetched = get(&fetcher(), &server.url("/")).await;
        assert_eq!(fetched.outcome, Outcome::Answered(status), "{fields}");
        assert_eq!(fetched.hints.retry_after, Some(Duration::from_secs(7)));
        assert!(fetched.elapsed < Duration::from_secs(5), "told soon");
    };
    tokio::join!(
        refused(429, "Retry-After: 7\r\nContent-Length: 100000\r\n"),
        refused(503, "Retry-After: 7\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
        refused(429, "Retry-After: 7\r\nContent-Encoding: compress\r\n"),
    );
}

#[tokio::test]
async fn a_failing_status_stays_one_when_its_body_fails() {
    let server = Server::answering(vec![answer("500 Oops", "Content-Length: 1000\r\n", "half")]).await;
    let fetched = get(&fetcher(), &server.url("/")).await;
    assert_eq!(fetched.outcome, Outcome::Answered(500));
    assert!(fetched.body.is_empty() && fetched.error.is_some());
    let whole = Server::answering(vec![answer("404 Not Found", "Content-Length: 4\r\n", "gone")]).await;
    let fetched = get(&fetcher(), &whole.url("/")).await;
    assert_eq!((fetched.outcome, &fetched.body[..]), (Outcome::Answered(404), &b"gone"[..]));
}
