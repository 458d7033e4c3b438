//! Functions for fuzzing, one per parser. Each function takes any bytes, and panics if the parser violates its
//! guarantees. The property tests call the same functions.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use http::{HeaderMap, Request, header};
use http_body_util::{BodyDataStream, Empty};
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use opilio_core::{Fault, Outcome};
use url::Url;

use crate::cookies::{Jar, add, again};
use crate::transport::{Answer, Phase, Sending, Transport, TransportError, TransportRequest};
use crate::{FetchRequest, Fetched, Fetcher, Limits};

/// Reads each line as a `Set-Cookie` field. The line's first byte chooses the site that sets the cookie.
///
/// # Panics
/// When a cookie is sent to a site that it does not belong to, cannot be sent, or is changed by saving it to a file.
pub fn cookies(bytes: &[u8]) {
    let mut jar = Jar::default();
    let lines = bytes.split(|byte| *byte == b'\n').take(64);
    for line in lines {
        let Some((site, line)) = line.split_first() else { continue };
        let url = url(SITES[usize::from(*site) % SITES.len()]);
        let _ = jar.set(&url, line, NOW_SECS);
        assert!(jar.len() <= 64, "a line is one cookie");
    }
    for other in ["https://evil.org/", "https://com/", "https://co.uk/", "http://127.0.0.2/", "http://[::2]/"]
    {
        assert_eq!(jar.of(&url(other), NOW_SECS), None, "{other} is nobody's");
    }
    let mut kept = again(&jar, NOW_SECS);
    for site in SITES {
        let cookies = jar.of(&url(site), NOW_SECS);
        assert_eq!(kept.of(&url(site), NOW_SECS), cookies, "what a file keeps");
        let Some(cookies) = cookies else { continue };
        let mut headers = HeaderMap::new();
        add(&mut headers, &cookies);
        let sent = headers.get(header::COOKIE).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
        for (name, value) in &cookies {
            let pair = [name, &b"="[..], value].concat();
            let is_there = sent.windows(pair.len()).any(|part| part == pair);
            assert!(is_there || sent.len() + pair.len() > 7_000, "it is sent as it came");
        }
    }
}

/// Reads the bytes as a whole answer, which is sent in pieces; the first byte is the size of a piece. Then reads the
/// same bytes as one line in an otherwise correct head.
///
/// # Panics
/// When a failure has a body, when a limit is exceeded, or when a header line that does not concern the body makes
/// the page fail.
pub fn answers(bytes: &[u8]) {
    let Some((piece, answer)) = bytes.split_first() else { return };
    let fetched = read(answer, usize::from(*piece) + 1);
    assert!(fetched.body.len() <= BYTES_MAX, "{}", fetched.body.len());
    if let Outcome::Failed(_) = fetched.outcome {
        assert!(fetched.body.is_empty() && fetched.error.is_some());
    }
    if let Some(head) = &fetched.head {
        assert_eq!(head.fields().len(), head.headers.len());
        let _ = head.media_type();
    }
    let line: Vec<u8> = answer.iter().copied().filter(|byte| !b"\r\n\0".contains(byte)).take(1_000).collect();
    if is_about_the_body(&line) {
        return;
    }
    for fields in [
        [b"X-Good: yes\r\n", &line[..], b"\r\nContent-Length: 5\r\n"].concat(),
        [b"Content-Length: 5\r\n", &line[..], b"\r\nX-Good: yes\r\n"].concat(),
    ] {
        // A line that begins with white space would continue the line before it.
        let folds = line.first().is_some_and(|byte| b" \t".contains(byte));
        if line.is_empty() || folds {
            continue;
        }
        let fetched =
            read(&[b"HTTP/1.1 200 OK\r\n", &fields[..], b"\r\nhello"].concat(), usize::from(*piece) + 1);
        assert_eq!((fetched.outcome, &fetched.body[..]), (Outcome::Answered(200), &b"hello"[..]), "{line:?}");
        let headers = fetched.head.map(|head| head.headers).unwrap_or_default();
        assert_eq!(headers.get_all("x-good").iter().next().map(|value| value.as_bytes()), Some(&b"yes"[..]));
    }
}

/// Returns whether a header line names a field that determines how the body is read.
fn is_about_the_body(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let name = line[..end].trim_ascii().to_ascii_lowercase();
    matches!(name.as_slice(), b"content-length" | b"transfer-encoding" | b"content-encoding")
}

/// Makes one attempt at a server that sends these bytes in pieces of this size and then closes the connection.
fn read(answer: &[u8], piece: usize) -> Fetched {
    // Building this runtime cannot fail, since it has neither threads nor sockets.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("no system call");
    let limits = Limits { body_bytes_max: BYTES_MAX, ..Limits::default() };
    let wire = RawTransport { answer: Bytes::copy_from_slice(answer), piece };
    let fetcher = Fetcher::new(Rc::new(wire)).limits(limits);
    runtime.block_on(fetcher.fetch(FetchRequest::get(url("http://site.example/"))))
}

fn url(text: &str) -> Url {
    // Parsing cannot fail, since all texts are constants.
    Url::parse(text).expect("a constant")
}

/// A transport to a server that answers each connection with the same bytes.
struct RawTransport {
    answer: Bytes,
    piece: usize,
}

impl Transport for RawTransport {
    fn send(&self, ask: TransportRequest) -> Sending<'_> {
        let connection =
            PiecewiseStream { answer: self.answer.clone(), piece: self.piece, was_asked: false, waker: None };
        exchange(connection, ask).boxed_local()
    }
}

/// Sends a request over HTTP/1 with the same settings as the transport for the web.
async fn exchange(connection: PiecewiseStream, ask: TransportRequest) -> Result<Answer, TransportError> {
    let broke = |error: hyper::Error| TransportError::new(Phase::Head, Fault::Malformed, error.to_string());
    let limits = Limits::default();
    let mut builder = http1::Builder::new();
    builder
        .ignore_invalid_headers_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .max_headers(limits.header_count_max);
    let (mut sender, driver) = builder.handshake(connection).await.map_err(broke)?;
    tokio::spawn(driver.map(drop));
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.headers_mut() = ask.headers;
    let (head, body) = sender.send_request(request).await.map_err(broke)?.into_parts();
    let in_body = |error: hyper::Error| TransportError::new(Phase::Body, Fault::Reset, error.to_string());
    // The closure keeps `sender`, and so the connection, as long as the body may be read.
    let body = BodyDataStream::new(body).map_err(in_body).map(move |chunk| (&sender, chunk).1);
    Ok(Answer {
        status: head.status.as_u16(),
        version: head.version,
        headers: head.headers,
        body: body.boxed_local(),
        reused: false,
        remote: None,
    })
}

/// A connection that, after a request, returns its bytes in pieces and then ends.
struct PiecewiseStream {
    answer: Bytes,
    piece: usize,
    was_asked: bool,
    waker: Option<Waker>,
}

impl Read for PiecewiseStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.was_asked {
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = self.piece.min(self.answer.len()).min(into.remaining());
        into.put_slice(&self.answer.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl Write for PiecewiseStream {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.was_asked = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const NOW_SECS: i64 = 1_800_000_000;
const BYTES_MAX: usize = 1 << 20;
const SITES: [&str; 8] = [
    "https://shop.example.com/a/b",
    "http://shop.example.com/a/b",
    "https://example.com/",
    "http://cart.shop.example.com/a",
    "https://a.co.uk/",
    "http://127.0.0.1/a",
    "http://[::1]/",
    "http://localhost/",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::sample::select(vec![
            &b"X-A: 1"[..],
            b"\r\n",
            b"\n",
            b" ",
            b":",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 103 Early\r\n\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: identity\r\n",
            b"Content-Encoding: gzip\r\n",
            b"\r\n\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
            b"Set-Cookie: a=\xe9\t1",
            b"a=b; Domain=example.com; Path=/; Secure",
            b"\x1f\x8b\x08\x00",
            b"\x00",
            b"\x01",
        ]);
        let word = prop_oneof![3 => words.prop_map(<[u8]>::to_vec), 1 => any::<Vec<u8>>()];
        prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn no_answer_upsets_the_reader(bytes in lines()) {
            super::answers(&bytes);
        }

        #[test]
        fn no_cookie_upsets_the_jar(bytes in lines()) {
            super::cookies(&bytes);
        }
    }
}
