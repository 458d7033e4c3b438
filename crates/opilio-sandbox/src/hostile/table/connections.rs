//! Connections that break, stall or send very slowly, in every phase of an answer.

use super::super::Trouble;
use super::super::act::{Act, ENDLESS, head, send};
use super::{CHUNKED, HTML, LONG, PROTOCOL, RESET, SECOND, TIMEOUT, TOO_LARGE, acts, answer, fails};

pub(super) fn troubles() -> Vec<Trouble> {
    let mut all = broken();
    all.extend(slow());
    all.extend(lengths());
    all.extend(chunks());
    all
}

fn broken() -> Vec<Trouble> {
    use Act::{Close, Reset};
    let close = "closes the connection";
    let reset = "resets the connection";
    let one =
        |name: &str, how: &str, when: &str, did: Vec<Act>| acts(name, &format!("{how} {when}"), RESET, did);
    vec![
        one("close-before-head", close, "instead of answering", vec![Close]),
        one("reset-before-head", reset, "instead of answering", vec![Reset]),
        one("cut-in-status", close, "in the status line", vec![send("HTTP/1.1 20"), Close]),
        one("cut-in-head", close, "in the head", vec![send("HTTP/1.1 200 OK\r\nContent-Ty"), Close]),
        one("reset-in-head", reset, "in the head", vec![send("HTTP/1.1 200 OK\r\nContent-Ty"), Reset]),
        one("short-body", close, "before the stated length", answer(LONG, vec![send("half"), Close])),
        one("no-body", close, "right after a head with a length", answer(LONG, vec![Close])),
        one("reset-in-body", reset, "before the stated length", answer(LONG, vec![send("half"), Reset])),
        one(
            "cut-in-chunk-size",
            close,
            "in a chunk's size",
            answer(CHUNKED, vec![send("5\r\nhello\r\n1f"), Close]),
        ),
        one("cut-in-chunk", close, "in a chunk", answer(CHUNKED, vec![send("5\r\nhel"), Close])),
        one("reset-in-chunk", reset, "in a chunk", answer(CHUNKED, vec![send("5\r\nhel"), Reset])),
        one(
            "no-last-chunk",
            close,
            "before the last chunk",
            answer(CHUNKED, vec![send("5\r\nhello\r\n"), Close]),
        ),
        one(
            "cut-in-last-chunk",
            close,
            "within the last chunk",
            answer(CHUNKED, vec![send("5\r\nhello\r\n0\r\n"), Close]),
        ),
        one(
            "cut-after-1xx",
            close,
            "after an early hint",
            vec![send("HTTP/1.1 103 Early Hints\r\n\r\n"), Close],
        ),
    ]
}

fn slow() -> Vec<Trouble> {
    let drip = |bytes: &str| match send(bytes) {
        Act::Send(bytes) => Act::Drip(bytes, SECOND / 4),
        other => other,
    };
    vec![
        acts("no-answer", "reads the request and says nothing", TIMEOUT, vec![Act::Stall]),
        acts(
            "stalled-head",
            "stops in the middle of the head",
            TIMEOUT,
            vec![send("HTTP/1.1 200 OK\r\nA: "), Act::Stall],
        ),
        acts(
            "dripping-status",
            "sends blank lines for ever before the status line",
            TIMEOUT,
            vec![drip("\r\n")],
        ),
        acts(
            "dripping-head",
            "sends a header a byte at a time",
            TIMEOUT,
            vec![send("HTTP/1.1 200 OK\r\nA: "), drip("y")],
        ),
        acts(
            "dripping-fields",
            "sends a header field now and then",
            TIMEOUT,
            vec![send("HTTP/1.1 200 OK\r\n"), drip("A: b\r\n")],
        ),
        acts(
            "stalled-body",
            "stops in the middle of the body",
            TIMEOUT,
            answer(LONG, vec![send("half"), Act::Stall]),
        ),
        acts("dripping-body", "sends a body a byte at a time", TIMEOUT, answer(LONG, vec![drip("y")])),
        acts("dripping-endless-body", "the same without a length", TIMEOUT, answer(HTML, vec![drip("y")])),
        acts(
            "dripping-chunks",
            "sends a tiny chunk now and then",
            TIMEOUT,
            answer(CHUNKED, vec![drip("1\r\ny\r\n")]),
        ),
        acts(
            "stalled-last-chunk",
            "never sends the last chunk",
            TIMEOUT,
            answer(CHUNKED, vec![send("2\r\nok\r\n"), Act::Stall]),
        ),
        acts(
            "dripping-1xx",
            "sends an early hint now and then",
            TIMEOUT,
            vec![drip("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")],
        ),
        // Only 2,500 interim answers are sent in a second: at higher speeds, hyper reads all bytes that have
        // arrived in one go, and blocks its thread meanwhile.
        acts(
            "flood-of-1xx",
            "sends thousands of early hints a second",
            TIMEOUT,
            vec![Act::Drip(bytes(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(50)), SECOND / 50)],
        ),
    ]
}

fn lengths() -> Vec<Trouble> {
    let framed = |name: &str, does: &str, fields: &str, body: &str| {
        acts(name, does, PROTOCOL, answer(fields, vec![send(body), Act::Close]))
    };
    vec![
        framed("two-lengths", "states two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"),
        framed("length-list", "states two lengths in one field", "Content-Length: 5, 6\r\n", "hello!"),
        framed(
            "length-and-chunks",
            "states a length and chunks",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        framed(
            "chunks-and-length",
            "states chunks and a length",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "0\r\n\r\n",
        ),
        framed("negative-length", "states a negative length", "Content-Length: -5\r\n", "hello"),
        framed("signed-length", "states a length with a plus sign", "Content-Length: +5\r\n", "hello"),
        framed("hex-length", "states a length in hex", "Content-Length: 0x5\r\n", "hello"),
        framed("garbage-length", "states a word for a length", "Content-Length: five\r\n", "hello"),
        framed(
            "overflowing-length",
            "states more than 64 bits hold",
            "Content-Length: 99999999999999999999999\r\n",
            "hello",
        ),
        acts(
            "huge-length",
            "states the largest number of 64 bits",
            // hyper returns the same error for a wrong length and for a head that is too large to store.
            fails(&["body_too_large", "protocol", "too_many_headers"]),
            answer("Content-Length: 18446744073709551615\r\n", vec![send("hello"), Act::Stall]),
        ),
        framed(
            "compressed-transfer",
            "compresses the transfer",
            "Transfer-Encoding: gzip, chunked\r\n",
            "0\r\n\r\n",
        ),
        framed(
            "unknown-transfer",
            "names a transfer coding that nobody knows",
            "Transfer-Encoding: rot13\r\n",
            "uryyb",
        ),
        framed("chunked-twice", "chunks the chunks", "Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
        framed(
            "hidden-chunks",
            "hides the word chunked behind a control character",
            "Transfer-Encoding: \x0bchunked\r\n",
            "0\r\n\r\n",
        ),
        acts(
            "chunks-in-http-1.0",
            "chunks in a version that knows none",
            PROTOCOL,
            vec![send("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Act::Close],
        ),
    ]
}

fn chunks() -> Vec<Trouble> {
    let chunked = |name: &str, does: &str, body: &str| {
        acts(name, does, PROTOCOL, answer(CHUNKED, vec![send(body), Act::Close]))
    };
    vec![
        chunked("garbage-chunk-size", "a chunk's size is no number", "xyz\r\nhello\r\n0\r\n\r\n"),
        chunked("negative-chunk-size", "a chunk's size is negative", "-5\r\nhello\r\n0\r\n\r\n"),
        chunked("empty-chunk-size", "a chunk has no size", "\r\nhello\r\n0\r\n\r\n"),
        chunked(
            "overflowing-chunk-size",
            "a chunk's size is over 64 bits",
            "FFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        ),
        chunked("long-chunk", "a chunk is longer than it says", "5\r\nhello!!\r\n0\r\n\r\n"),
        acts(
            "huge-chunk",
            "a chunk says that it is the whole address space",
            fails(&["reset", "body_too_large", "protocol"]),
            answer(CHUNKED, vec![send("7FFFFFFFFFFFFFFF\r\nhello"), Act::Close]),
        ),
        acts(
            "endless-chunk-extension",
            "a chunk's extension never ends",
            fails(&["protocol", "timeout"]),
            answer(CHUNKED, vec![send("5;x="), Act::Repeat(bytes("y"), ENDLESS)]),
        ),
        acts(
            "flood-of-trailers",
            "the trailers never end",
            fails(&["protocol", "too_many_headers", "timeout"]),
            answer(CHUNKED, vec![send("5\r\nhello\r\n0\r\n"), Act::Repeat(bytes("X-Y: z\r\n"), ENDLESS)]),
        ),
        acts(
            "crumbs",
            "sends a large body in chunks of one byte",
            fails(&["body_too_large", "timeout"]),
            answer(CHUNKED, vec![Act::Repeat(bytes("1\r\ny\r\n"), ENDLESS)]),
        ),
        acts(
            "endless-chunks",
            "the chunks never end",
            TOO_LARGE,
            vec![
                head("200 OK", CHUNKED),
                Act::Repeat(bytes(&format!("4000\r\n{}\r\n", "y".repeat(0x4000))), ENDLESS),
            ],
        ),
    ]
}

fn bytes(text: &str) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(text.as_bytes())
}
