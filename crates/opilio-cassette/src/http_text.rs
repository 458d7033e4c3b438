//! HTTP/1.1 messages as text, for the blocks of WARC records.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::{Position, Url};

use crate::exchange::{field, is_framing};

/// Writes a request as text, as it would be sent on a connection.
pub(crate) fn request(method: &Method, url: &Url, headers: &HeaderMap, body: &[u8]) -> Bytes {
    let mut text =
        format!("{method} {} HTTP/1.1\r\n", &url[Position::BeforePath..Position::AfterQuery]).into_bytes();
    text.extend_from_slice(
        format!("host: {}\r\n", &url[Position::BeforeHost..Position::AfterPort]).as_bytes(),
    );
    write_fields(&mut text, headers, (!body.is_empty()).then_some(body.len()));
    text.extend_from_slice(body);
    text.into()
}

/// Writes an answer as text, as it would be sent on a connection, with its body in one piece.
pub(crate) fn answer(status: u16, headers: &HeaderMap, body: &[u8]) -> Bytes {
    let reason =
        StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("-");
    let mut text = format!("HTTP/1.1 {status} {reason}\r\n").into_bytes();
    write_fields(&mut text, headers, None);
    text.extend_from_slice(body);
    text.into()
}

fn write_fields(text: &mut Vec<u8>, headers: &HeaderMap, length: Option<usize>) {
    for (name, value) in headers.iter().filter(|(name, _)| !is_framing(name) && **name != header::HOST) {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    if let Some(length) = length.filter(|_| !headers.contains_key(header::CONTENT_LENGTH)) {
        text.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
    }
    text.extend_from_slice(b"\r\n");
}

/// Reads the method, header fields and body of a request; `None` if the text has no complete head.
pub(crate) fn read_request(text: &Bytes) -> Option<(Method, HeaderMap, Bytes)> {
    let (first, headers, body) = read(text)?;
    let method = first.split(' ').next()?.parse().ok()?;
    Some((method, headers, body))
}

/// Reads the status, header fields and body of an answer; `None` if the text has no complete head. The chunks
/// of a chunked body are joined.
pub(crate) fn read_answer(text: &Bytes) -> Option<(u16, HeaderMap, Bytes)> {
    let (first, mut headers, mut body) = read(text)?;
    let status = first.split(' ').nth(1)?.parse().ok()?;
    let is_chunked = headers.get(header::TRANSFER_ENCODING).is_some_and(|coding| coding == "chunked");
    if let Some(whole) = is_chunked.then(|| unchunked(&body)).flatten() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
        body = whole.into();
    }
    let framing: Vec<_> = headers.keys().filter(|name| is_framing(name)).cloned().collect();
    framing.iter().for_each(|name| {
        headers.remove(name);
    });
    Some((status, headers, body))
}

fn read(text: &Bytes) -> Option<(String, HeaderMap, Bytes)> {
    let mut lines = Vec::new();
    let mut at = 0;
    loop {
        let length = text[at..].iter().position(|byte| *byte == b'\n')?;
        let line = &text[at..at + length];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        at += length + 1;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let (first, rest) = lines.split_first()?;
    let mut headers = HeaderMap::new();
    for line in rest {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = String::from_utf8_lossy(&line[..colon]);
        if let Some((name, value)) = field(&name, line[colon + 1..].trim_ascii()) {
            headers.append(name, value);
        }
    }
    Some((String::from_utf8_lossy(first).into_owned(), headers, text.slice(at..)))
}

/// Joins the chunks of a body (RFC 9112 §7.1). Returns `None` if the body is not chunked: some writers remove
/// the chunks but keep the header field.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = body.iter().position(|byte| *byte == b'\n')?;
        let size = std::str::from_utf8(&body[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        body = &body[line + 1..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(body.get(..size)?);
        body = body.get(size..)?;
        body = body.strip_prefix(b"\r").unwrap_or(body).strip_prefix(b"\n")?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        let url: Url = "http://a.example:8080/x?y=1#z".parse().unwrap();
        let text = request(&Method::POST, &url, &headers, b"q=1");
        assert_eq!(
            text,
            "POST /x?y=1 HTTP/1.1\r\nhost: a.example:8080\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 3\r\n\r\nq=1"
        );
        let (method, read_headers, body) = read_request(&text).unwrap();
        assert_eq!(
            (method, &body[..], read_headers.get_all("x-a").iter().count()),
            (Method::POST, &b"q=1"[..], 2)
        );
        let text = answer(404, &headers, b"\r\n\r\ngone");
        let (status, read_headers, body) = read_answer(&text).unwrap();
        assert_eq!((status, read_headers, &body[..]), (404, headers, &b"\r\n\r\ngone"[..]));
    }

    #[test]
    fn chunks_of_other_writers_are_put_together_and_what_is_no_chunk_stays() {
        let head = "HTTP/2 200\nTransfer-Encoding: chunked\nbad line\n\n";
        let read = |body: &str| read_answer(&Bytes::from(format!("{head}{body}"))).unwrap();
        let (status, headers, body) = read("3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        assert_eq!((status, &body[..]), (200, &b"abcde"[..]));
        assert_eq!(headers[header::CONTENT_LENGTH], "5");
        assert!(!headers.contains_key(header::TRANSFER_ENCODING));
        assert_eq!(read("<p>plain</p>").2, "<p>plain</p>");
        assert!(read_answer(&Bytes::from_static(b"no head")).is_none());
    }
}
