//! Tests that answers that browsers accept are accepted as pages, in spite of malformed lines in a head, unknown
//! codings or missing trailers.

use opilio_core::{Fault, Outcome};

use super::server::{Act, Server, answer, send};
use super::{assert_fault, fetcher, fetcher_with, get, impatient, local};
use crate::decode::tests::encode;
use crate::{Accept, DnsCache, FetchRequest, Fetched, Limits, WebSettings};

/// Lines from real servers that are not header fields. Each such line is ignored, and the other lines are read.
const STRAY: [&[u8]; 14] = [
    b"PHP Warning: Undefined variable $x in /var/www/a.php on line 3",
    b"<b>Warning</b>: mysql_connect(): No such file",
    b"X[1]: a",
    b"X/Y: a",
    b": v",
    b":",
    b"no colon at all",
    b"HTTP/1.1 200 OK",
    b"X-Control: a\x01b",
    b"X-Control: a\x0bb",
    b"X-Control: \x7f",
    b"X\xc3\xa9: a",
    b"\"X-Quoted\": a",
    b"X A: b",
];

async fn read(fields: &[u8], body: &[u8]) -> Fetched {
    let head = [b"HTTP/1.1 200 OK\r\n", fields, b"\r\n", body].concat();
    let server = Server::answering(vec![send(head), Act::Read, Act::Stall]).await;
    let fetched = get(&impatient(), &server.url("/")).await;
    assert_eq!(server.requests().len(), 1, "one attempt is one request");
    fetched
}

#[track_caller]
fn assert_page(fetched: &Fetched, body: &[u8], what: &str) {
    assert_eq!(fetched.outcome, Outcome::Answered(200), "{what}: {:?}", fetched.error);
    assert_eq!(String::from_utf8_lossy(&fetched.body), String::from_utf8_lossy(body), "{what}");
}

fn header(fetched: &Fetched, name: &str) -> Option<Vec<u8>> {
    fetched.head.as_ref()?.headers.get(name).map(|value| value.as_bytes().to_vec())
}

#[tokio::test]
async fn a_line_that_is_no_field_costs_itself_and_no_page() {
    let good: [&[u8]; 3] = [b"Content-Length: 5", b"X-Good: yes", b"Content-Type: text/html; charset=utf-8"];
    for stray in STRAY {
        for place in 0..=good.len() {
            for end in [&b"\r\n"[..], b"\n"] {
                let mut lines = good.to_vec();
                lines.insert(place, stray);
                let fields = lines.iter().flat_map(|line| [*line, end].concat()).collect::<Vec<_>>();
                let fetched = read(&fields, b"hello").await;
                let what = format!("{:?} at {place}", String::from_utf8_lossy(stray));
                assert_page(&fetched, b"hello", &what);
                assert_eq!(header(&fetched, "x-good").unwrap(), b"yes", "{what}");
                assert_eq!(header(&fetched, "content-type").unwrap(), good[2][14..], "{what}");
                assert_eq!(fetched.head.unwrap().headers.len(), good.len(), "{what} is left out");
            }
        }
    }
}

#[tokio::test]
async fn a_folded_value_is_one_line() {
    for (line, value) in [
        (&b"X-A: one\r\n two"[..], &b"one two"[..]),
        (b"X-A: one\r\n\ttwo", b"one two"),
        (b"X-A: one \r\n   two\r\n three", b"one two three"),
        (b"X-A:\r\n one", b"one"),
        (b"X-A: one\n two", b"one two"),
        (b"X-A: one\r\n Content-Length: 9", b"one Content-Length: 9"),
        (b"X-A: \xe9\r\n \xe9", b"\xe9 \xe9"),
        (b"X-A : one", b"one"),
        (b"X-A\t: one", b"one"),
    ] {
        for fields in [
            [b"Content-Length: 5\r\n", line, b"\r\n"].concat(),
            [line, b"\r\nContent-Length: 5\r\n"].concat(),
        ] {
            let fetched = read(&fields, b"hello").await;
            let what = String::from_utf8_lossy(&fields);
            assert_page(&fetched, b"hello", &what);
            assert_eq!(header(&fetched, "x-a").unwrap(), value, "{what}");
        }
    }
    let typed =
        read(b"Content-Type: text/html;\r\n charset=windows-1250\r\nContent-Length : 5\r\n", b"hello").await;
    assert_page(&typed, b"hello", "a folded type");
    assert_eq!(header(&typed, "content-type").unwrap(), b"text/html; charset=windows-1250");
}

#[tokio::test]
async fn the_connection_goes_on_after_a_stray_line() {
    let page = answer("200 OK", "X-A: one\r\n two\r\nPHP Warning: x\r\nContent-Length: 5\r\n", "hello");
    let server = Server::start(vec![vec![Act::Read, page.clone(), Act::Read, page]]).await;
    let fetcher = fetcher();
    for reused in [false, true] {
        let fetched = get(&fetcher, &server.url("/")).await;
        assert_page(&fetched, b"hello", "one of two");
        assert_eq!(fetched.reused, reused);
    }
}

#[tokio::test]
async fn framing_is_no_stray_line() {
    for (fields, what) in [
        (&b"Content-Length: five\r\n"[..], "a word"),
        (b"Content-Length:\r\n", "nothing"),
        (b"Content-Length: 1\r\n 5\r\n", "two numbers, folded"),
        (b"Content-Length: 5\r\nContent-Length : 6\r\n", "two lengths"),
        (b"Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n", "two framings, folded"),
        (b"X-A: a\0b\r\nContent-Length: 5\r\n", "a zero byte"),
    ] {
        assert_fault(&read(fields, b"hello").await, Fault::Malformed, what);
    }
}

#[tokio::test]
async fn a_transfer_encoding_that_codes_nothing_leaves_the_length_in_force() {
    for word in ["identity", "Identity", "", " ", "none", "utf-8", "8bit", "binary", "identity, identity"] {
        // The body is longer than the stated length, and the connection stays open.
        let fields = format!("Transfer-Encoding: {word}\r\nContent-Length: 5\r\n");
        let fetched = read(fields.as_bytes(), b"hello, and more").await;
        assert_page(&fetched, b"hello", word);
        assert_eq!(fetched.wire_bytes, 5);
        let empty = format!("Content-Length: 0\r\nTransfer-Encoding: {word}\r\n");
        assert_page(&read(empty.as_bytes(), b"").await, b"", word);
        let chunked = format!("Transfer-Encoding: {word}\r\nTransfer-Encoding: chunked\r\n");
        assert_page(&read(chunked.as_bytes(), b"5\r\nhello\r\n0\r\n\r\n").await, b"hello", word);
        let fields = format!("Transfer-Encoding: {word}\r\n");
        let closes = Server::answering(vec![answer("200 OK", &fields, "to the end")]).await;
        assert_page(&get(&impatient(), &closes.url("/")).await, b"to the end", word);
    }
    let short = Server::answering(vec![answer(
        "200 OK",
        "Transfer-Encoding: identity\r\nContent-Length: 9\r\n",
        "hello",
    )]);
    assert_fault(&get(&impatient(), &short.await.url("/")).await, Fault::Reset, "less than stated");
    for word in ["gzip", "gzip, chunked", "chunked, chunked", "chunked, identity", "rot13"] {
        let fields = format!("Transfer-Encoding: {word}\r\n");
        let server = Server::answering(vec![answer("200 OK", &fields, "0\r\n\r\n")]).await;
        assert_fault(&get(&impatient(), &server.url("/")).await, Fault::Malformed, word);
    }
}

#[tokio::test]
async fn a_trailer_that_is_no_field_costs_no_page() {
    for trailer in
        ["PHP Warning: x", "no colon", ": v", "X[1]: a", "X-A : b", "X-A: a\x01b", "X-A: one\r\n two"]
    {
        let body = format!("5\r\nhello\r\n0\r\nX-Good: yes\r\n{trailer}\r\n\r\n");
        let fetched = read(b"Transfer-Encoding: chunked\r\n", body.as_bytes()).await;
        assert_page(&fetched, b"hello", trailer);
    }
    let no_size = read(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\nno size\r\n").await;
    assert_fault(&no_size, Fault::Protocol, "a chunk without a size");
    let cut = answer("200 OK", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nPHP Warning: x");
    let cut = Server::answering(vec![cut]).await;
    assert_fault(&get(&impatient(), &cut.url("/")).await, Fault::Reset, "cut in a trailer");
}

#[tokio::test]
async fn chunks_that_nobody_announces_are_no_page() {
    // The line that announced the chunks is not a valid header field. If it were ignored, the sizes of the chunks
    // would be part of the text.
    let chunked = "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n";
    for line in
        ["Transfer-Encoding: \x0bchunked", "Transfer-Encoding\x01: chunked", "Transfer Encoding: chunked"]
    {
        for body in [chunked, "0\r\n\r\n"] {
            let server = Server::answering(vec![answer("200 OK", &format!("{line}\r\n"), body)]).await;
            assert_fault(&get(&impatient(), &server.url("/")).await, Fault::Malformed, line);
        }
    }
    // Text that only begins like chunks remains text.
    for body in ["5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0", "", "5\nhello\n0\n\n", "0\r\n\r\nand more"] {
        let server = Server::answering(vec![answer("200 OK", "Connection: close\r\n", body)]).await;
        assert_page(&get(&impatient(), &server.url("/")).await, body.as_bytes(), body);
    }
    let stated = read(format!("Content-Length: {}\r\n", chunked.len()).as_bytes(), chunked.as_bytes()).await;
    assert_page(&stated, chunked.as_bytes(), "a body of a stated length is what it is");
}

#[tokio::test]
async fn a_redirect_without_a_coding_is_told_at_once() {
    let fields = "Location: /b\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n";
    let server = Server::answering(vec![answer("302 Found", fields, "moved"), Act::Read, Act::Stall]).await;
    let fetched = get(&impatient(), &server.url("/a")).await;
    assert_eq!(fetched.location.unwrap().as_str(), server.url("/b"));
}

#[tokio::test]
async fn a_content_coding_that_codes_nothing_leaves_the_body_as_it_is() {
    let gzip = encode("gzip", b"hello");
    for word in ["none", "utf-8", "binary", "8bit", "text/html", "charset=utf-8", ""] {
        let fields = format!("Content-Encoding: {word}\r\nContent-Length: 5\r\n");
        assert_page(&read(fields.as_bytes(), b"hello").await, b"hello", word);
        for both in [format!("gzip, {word}"), format!("{word}, gzip")] {
            let fields = format!("Content-Encoding: {both}\r\nContent-Length: {}\r\n", gzip.len());
            assert_page(&read(fields.as_bytes(), &gzip).await, b"hello", &both);
        }
        let fields = format!(
            "Content-Encoding: {word}\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n",
            gzip.len()
        );
        assert_page(&read(fields.as_bytes(), &gzip).await, b"hello", word);
    }
}

#[tokio::test]
async fn a_body_without_its_trailer_is_a_page_and_a_cut_one_is_none() {
    let html = "<p>hello</p>".repeat(5_000);
    for (coding, name, trailer) in [("gzip", "gzip", 8), ("x-gzip", "gzip", 8), ("deflate", "zlib", 4)] {
        let wire = encode(name, html.as_bytes());
        for missing in [trailer, trailer - 1, 1] {
            let body = &wire[..wire.len() - missing];
            let length = format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", body.len());
            let fetched = read(length.as_bytes(), body).await;
            assert_page(&fetched, html.as_bytes(), &format!("{coding} without {missing}"));
            let chunked = format!("Content-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n");
            let chunks = [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
            assert_page(&read(chunked.as_bytes(), &chunks).await, html.as_bytes(), coding);
        }
        for missing in [trailer + 1, trailer + 100, wire.len() - 12] {
            let body = &wire[..wire.len() - missing];
            let length = format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", body.len());
            assert_fault(&read(length.as_bytes(), body).await, Fault::Undecodable, coding);
        }
        // Here the stated length shows that the trailer was lost on the way, and not omitted by the server.
        let stated = format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", wire.len());
        let cut = Server::answering(vec![answer("200 OK", &stated, &wire[..wire.len() - trailer])]).await;
        assert_fault(&get(&impatient(), &cut.url("/")).await, Fault::Reset, coding);
    }
}

#[tokio::test]
async fn a_page_may_have_many_header_lines_and_100_kib_of_them() {
    let lines = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let long = |bytes: usize| format!("X-Long: {}\r\n", "y".repeat(bytes));
    let set = |count: usize| (0..count).map(|n| format!("Set-Cookie: c{n}={n}\r\n")).collect::<String>();
    for (fields, count) in [
        (lines(100), 100),
        (lines(101), 101),
        (lines(400), 400),
        (lines(999), 999),
        (set(400), 400),
        (long(100_000), 1),
        ((0..20).map(|_| long(5_000)).collect(), 20),
    ] {
        let fetched = read(format!("{fields}Content-Length: 5\r\n").as_bytes(), b"hello").await;
        assert_page(&fetched, b"hello", &format!("{count} fields"));
        assert_eq!(fetched.head.unwrap().headers.len(), count + 1);
    }
    for (fields, what) in [(lines(1_001), "1,001 fields"), (long(103_000), "103 kB")] {
        let fetched = read(format!("{fields}Content-Length: 5\r\n").as_bytes(), b"hello").await;
        assert_fault(&fetched, Fault::TooManyHeaders, what);
    }
    // The caller can set both limits higher.
    let limits = Limits { header_count_max: 2_000, header_bytes_max: 300_000, ..Limits::default() };
    let settings = WebSettings { header_count_max: 2_000, header_bytes_max: 300_000, ..local() };
    let server = Server::answering(vec![answer("200 OK", &(lines(1_500) + &long(150_000)), "hello")]).await;
    let fetched = get(&fetcher_with(settings, DnsCache::default()).limits(limits), &server.url("/")).await;
    assert_page(&fetched, b"hello", "more by setting");
}

#[tokio::test]
async fn fields_are_listed_in_the_order_in_which_they_came() {
    let fields =
        "X-A: 1\r\nX-B: 2\r\nX-A: 3\r\nX-C:\r\nX-B: 4\r\n 5\r\nX-C: 6\r\nX-A:\r\nContent-Length: 5\r\n";
    let fetched = read(fields.as_bytes(), b"hello").await;
    let head = fetched.head.unwrap().clone();
    let listed: Vec<_> =
        head.fields().iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
    assert_eq!(listed.join(" "), "x-a=1 x-b=2 x-a=3 x-c= x-b=4 5 x-c=6 x-a= content-length=5");
}

#[tokio::test]
async fn a_type_survives_a_byte_that_is_no_ascii() {
    for (value, is_text) in [
        (&b"application/pdf; name=\"\xe9.pdf\""[..], false),
        (b"text/html; charset=windows-1250; name=\xcf.htm", true),
        (b"text/html; charset=utf-8; name=\xc3\xa9.htm", true),
        (b"image/png; name=\xff", false),
        (b"html", true),
        (b"*/*", true),
        (b"unknown/unknown", true),
    ] {
        let head =
            [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: ", value, b"\r\n\r\nhello"].concat();
        let server = Server::answering(vec![send(head)]).await;
        let order =
            FetchRequest { accept: Accept::Text, ..FetchRequest::get(server.url("/").parse().unwrap()) };
        let fetched = impatient().fetch(order).await;
        let what = String::from_utf8_lossy(value);
        assert_eq!(header(&fetched, "content-type").unwrap(), value, "{what}");
        let outcome = if is_text { Outcome::Answered(200) } else { Outcome::Failed(Fault::NotText) };
        assert_eq!(fetched.outcome, outcome, "{what}");
        let media_type = fetched.head.unwrap().media_type();
        assert!(what.starts_with(&media_type), "{media_type} of {what}");
    }
}
