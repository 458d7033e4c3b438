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

/// An answer that was read from text.
#[derive(Debug)]
pub(crate) struct AnswerText {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// If true, the body was sent in chunks, and its last chunk is missing.
    pub(crate) is_cut: bool,
}

/// Reads an answer; `None` if the text has no complete head. The chunks of a chunked body are joined.
pub(crate) fn read_answer(text: &Bytes) -> Option<AnswerText> {
    let (first, mut headers, mut body) = read(text)?;
    let status = first.split(' ').nth(1)?.parse().ok()?;
    let mut is_cut = false;
    if let Some((b"chunked", before)) =
        transfer_codings(&headers).split_last().map(|(last, rest)| (last.as_bytes(), rest))
        && let Some(joined) = joined(&body)
    {
        (body, is_cut) = (joined.body.into(), !joined.is_whole);
        // The number of bytes that the server stated, if it did, does not count the chunks.
        headers.remove(header::CONTENT_LENGTH);
        if !is_cut {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        // Another coding of the transfer is undone after those of the content (RFC 9112 §6.1).
        for coding in before.iter().filter_map(|coding| HeaderValue::from_str(coding).ok()) {
            headers.append(header::CONTENT_ENCODING, coding);
        }
    }
    let framing: Vec<_> = headers.keys().filter(|name| is_framing(name)).cloned().collect();
    framing.iter().for_each(|name| {
        headers.remove(name);
    });
    Some(AnswerText { status, headers, body, is_cut })
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

/// Returns the codings of the transfer in lower case, in the order in which they were applied.
fn transfer_codings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::TRANSFER_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings = values.flat_map(|value| value.split(',')).map(|coding| coding.trim().to_ascii_lowercase());
    codings.filter(|coding| !coding.is_empty()).collect()
}

struct JoinedChunks {
    body: Vec<u8>,
    /// If true, the last chunk was read.
    is_whole: bool,
}

/// Joins the chunks of a body (RFC 9112 §7.1). Returns `None` if the body does not begin with a chunk: some writers
/// remove the chunks but keep the header field.
fn joined(mut body: &[u8]) -> Option<JoinedChunks> {
    let mut whole = JoinedChunks { body: Vec::new(), is_whole: false };
    let mut is_first = true;
    loop {
        let Some(size) = chunk_size(&mut body) else {
            return (!is_first).then_some(whole);
        };
        if size == 0 {
            whole.is_whole = true;
            return Some(whole);
        }
        whole.body.extend_from_slice(&body[..size.min(body.len())]);
        body = body.get(size..).unwrap_or_default();
        let line_end = body.strip_prefix(b"\r").unwrap_or(body).strip_prefix(b"\n");
        match line_end {
            Some(rest) => body = rest,
            None if body.len() < 2 => return Some(whole),
            None => return (!is_first).then_some(whole),
        }
        is_first = false;
    }
}

/// Reads the line with the size of a chunk; `None` if there is no such line.
fn chunk_size(body: &mut &[u8]) -> Option<usize> {
    let line = body.iter().take(CHUNK_LINE_MAX).position(|byte| *byte == b'\n')?;
    let size = std::str::from_utf8(&body[..line]).ok()?.split(';').next()?.trim();
    let size = usize::from_str_radix(size, 16).ok()?;
    *body = &body[line + 1..];
    Some(size)
}

/// The longest line with the size of a chunk, with its extensions.
const CHUNK_LINE_MAX: usize = 4 << 10;

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
        let AnswerText { status, headers: read_headers, body, is_cut } = read_answer(&text).unwrap();
        assert_eq!((status, read_headers, &body[..], is_cut), (404, headers, &b"\r\n\r\ngone"[..], false));
    }

    #[test]
    fn chunks_of_other_writers_are_put_together_and_what_is_no_chunk_stays() {
        let read = |coding: &str, body: &str| {
            let head = format!("HTTP/2 200\nTransfer-Encoding: {coding}\nbad line\n\n");
            read_answer(&Bytes::from(format!("{head}{body}"))).unwrap()
        };
        for coding in ["chunked", "Chunked", "identity\nTransfer-Encoding: CHUNKED", "gzip, chunked"] {
            let AnswerText { status, headers, body, is_cut } =
                read(coding, "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
            assert_eq!((status, &body[..], is_cut), (200, &b"abcde"[..], false), "{coding}");
            assert_eq!(headers[header::CONTENT_LENGTH], "5");
            assert!(!headers.contains_key(header::TRANSFER_ENCODING));
            assert_eq!(
                headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip"),
                coding == "gzip, chunked"
            );
        }
        for plain in ["<p>plain</p>", "", "\n3\r\nabc", "2\r\nno chunk at all\r\n"] {
            let AnswerText { body, is_cut, .. } = read("chunked", plain);
            assert_eq!((&body[..], is_cut), (plain.as_bytes(), false));
        }
        assert_eq!(read("chunked, gzip", "0\r\n\r\n").body, "0\r\n\r\n");
        assert!(read_answer(&Bytes::from_static(b"no head")).is_none());
    }

    #[test]
    fn a_body_that_ends_before_its_last_chunk_is_cut() {
        let whole = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for (bytes, kept) in [
            (4, "a"),
            (6, "abc"),
            (8, "abc"),
            (9, "abc"),
            (12, "abcd"),
            (14, "abcde"),
            (15, "abcde"),
            (16, "abcde"),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", &whole[..bytes]);
            let AnswerText { body, is_cut, headers, .. } = read_answer(&Bytes::from(text)).unwrap();
            assert_eq!((std::str::from_utf8(&body).unwrap(), is_cut), (kept, true), "{bytes}");
            assert!(!headers.contains_key(header::CONTENT_LENGTH));
        }
    }
}
