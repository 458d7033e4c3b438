//! One exchange of a cassette: a request and its answer or failure, as WARC records.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use opilio_core::Fault;
use opilio_fetch::{Phase, TransportRequest};
use url::Url;
use xxhash_rust::xxh3::xxh3_128;

use crate::http_text::{self, AnswerText};
use crate::secrets::{Redactor, SecretRules};
use crate::warc::WarcRecord;

/// The parts by which two requests count as the same: method, URL, body and session, without their secrets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// The method.
    pub method: Method,
    /// The URL, without its secrets.
    pub url: Url,
    /// The body, without its secrets.
    pub body: Bytes,
    /// The session; `None` for the crawl's own session.
    pub session: Option<Arc<str>>,
}

impl RequestKey {
    /// Returns the key of a request that is to be sent.
    pub(crate) fn of(ask: &TransportRequest, redactor: &Redactor<'_>) -> Self {
        let body = ask.body.as_ref().map(|body| redactor.body(&ask.headers, body));
        Self {
            method: ask.method.clone(),
            url: redactor.url(&ask.url),
            body: body.unwrap_or_default(),
            session: ask.session.clone(),
        }
    }

    /// Describes the request in words, as in `POST https://shop.example/search with the body "q=lamp" in the
    /// session alice`.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self { method, url, body, session } = self;
        let mut text = format!("{method} {url}");
        if !body.is_empty() {
            let shown: String = String::from_utf8_lossy(body).chars().take(BODY_CHARS_SHOWN).collect();
            text.push_str(&format!(" with the body {shown:?}"));
        }
        if let Some(session) = session {
            text.push_str(&format!(" in the session {session}"));
        }
        text
    }
}

/// A request as it was recorded.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The parts by which the request is found.
    pub key: RequestKey,
    /// The URL and the body as they are recorded: with their secrets only if the recording keeps them.
    pub url: Url,
    /// The header fields as they are recorded.
    pub headers: HeaderMap,
    /// The body as it is recorded.
    pub body: Bytes,
    /// The time at which the request was sent; `None` if the file does not say it.
    pub at: Option<SystemTime>,
}

impl RecordedRequest {
    pub(crate) fn of(ask: &TransportRequest, rules: &SecretRules, at: SystemTime) -> Self {
        let (key, at) = (RequestKey::of(ask, &rules.plain()), Some(at));
        if rules.are_kept {
            let (url, headers) = (ask.url.clone(), ask.headers.clone());
            return Self { url, headers, body: ask.body.clone().unwrap_or_default(), key, at };
        }
        let RequestKey { url, body, .. } = RequestKey::of(ask, &rules.written());
        let headers = rules.written().request_fields(&ask.url, &ask.headers);
        Self { url, headers, body, key, at }
    }

    /// Returns the key of the request with the secrets that another redactor leaves.
    pub(crate) fn key_by(&self, redactor: &Redactor<'_>) -> RequestKey {
        let (url, body) = (redactor.url(&self.url), redactor.body(&self.headers, &self.body));
        RequestKey { url, body, ..self.key.clone() }
    }
}

/// An answer as it was received, up to its end or to the point at which it broke off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordedAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body as it was sent, without the framing of the connection (such as chunks).
    pub body: Bytes,
    /// The fault by which the body broke off; `None` if it did not break off.
    pub broken: Option<RecordedFault>,
    /// Whether the crawl stopped reading the body early, because it did not want the rest.
    pub cut: bool,
}

/// The fault because of which a request got no answer, or only a part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedFault {
    /// How far the request got.
    pub phase: Phase,
    /// The kind of the fault.
    pub fault: Fault,
    /// The fault in words.
    pub words: String,
}

/// A request with its answer or failure.
#[derive(Clone, Debug)]
pub struct RecordedExchange {
    /// The request.
    pub request: RecordedRequest,
    /// The time from the request to the head of the answer, or to the failure.
    pub latency: Duration,
    /// The answer, or the fault because of which there is none.
    pub result: Result<RecordedAnswer, RecordedFault>,
}

impl RecordedAnswer {
    /// Returns the fault that follows the body in a replay; `None` if the body is complete. If the crawl stopped
    /// reading on purpose, an error follows the recorded part, since a replay that reads on must not take this
    /// part for the whole body.
    #[must_use]
    pub fn end(&self) -> Option<RecordedFault> {
        let rest = || RecordedFault {
            phase: Phase::Body,
            fault: Fault::Reset,
            words: "the recording has only the beginning of this body".to_owned(),
        };
        self.broken.clone().or_else(|| self.cut.then(rest))
    }
}

impl RecordedExchange {
    /// Returns the exchange as two WARC records; it is exchange number `nth` of its file.
    pub(crate) fn records(&self, nth: usize) -> [WarcRecord; 2] {
        let RecordedRequest { key, url, headers, body, at } = &self.request;
        let [request_id, answer_id] = [record_id("request", nth, key), record_id("answer", nth, key)];
        let fields = |kind: &str, id: &str, other: &str| {
            let record = WarcRecord::new(kind).with("WARC-Record-ID", id);
            let record = at.iter().fold(record, |record, at| record.with("WARC-Date", date(*at)));
            record.with("WARC-Target-URI", url.as_str()).with("WARC-Concurrent-To", other)
        };
        let mut request = fields("request", &request_id, &answer_id).with("Content-Type", HTTP_REQUEST);
        if let Some(session) = &key.session {
            request = request.with(SESSION, &**session);
        }
        let request = request.block(http_text::request(&key.method, url, headers, body));
        let latency = self.latency.as_millis().to_string();
        let answer = match &self.result {
            Ok(answer) => {
                let record = fields("response", &answer_id, &request_id);
                let record = record.with("Content-Type", HTTP_RESPONSE).with(LATENCY, latency);
                let record = match &answer.broken {
                    Some(broken) => broken.fields(record.with(TRUNCATED, broken.truncated())),
                    None if answer.cut => record.with(TRUNCATED, "length"),
                    None => record,
                };
                record.block(http_text::answer(answer.status, &answer.headers, &answer.body))
            }
            Err(fault) => {
                let record = fields("metadata", &answer_id, &request_id);
                fault.fields(record.with("Content-Type", "application/warc-fields").with(LATENCY, latency))
            }
        };
        [request, answer]
    }

    /// Returns all exchanges of a file, in the order of the file. Skips records of other kinds, and answers
    /// whose URL or head cannot be read.
    pub(crate) fn all_of(records: &[WarcRecord], rules: &SecretRules) -> Vec<Self> {
        let requests: Vec<&WarcRecord> =
            records.iter().filter(|record| record.field("WARC-Type") == Some("request")).collect();
        let mut by_id: HashMap<&str, &WarcRecord> = HashMap::new();
        for request in requests {
            let names = [request.field("WARC-Record-ID"), request.field("WARC-Concurrent-To")];
            names.into_iter().flatten().for_each(|name| {
                by_id.insert(name, request);
            });
        }
        let answers = records.iter().filter_map(|record| {
            let names = [record.field("WARC-Concurrent-To"), record.field("WARC-Record-ID")];
            let request = names.into_iter().flatten().find_map(|name| by_id.get(name).copied());
            Self::of(record, request, rules)
        });
        answers.collect()
    }

    fn of(record: &WarcRecord, request: Option<&WarcRecord>, rules: &SecretRules) -> Option<Self> {
        let kind = record.field("WARC-Type")?;
        let result = match kind {
            "response"
                if record.field("Content-Type").is_none_or(|kind| kind.starts_with("application/http")) =>
            {
                let AnswerText { status, headers, body, is_cut } = http_text::read_answer(&record.block)?;
                let truncated = record.field(TRUNCATED);
                let broken = truncated.filter(|why| matches!(*why, "disconnect" | TIME));
                let in_chunks = || is_cut.then(RecordedFault::in_chunks);
                let broken = broken.map(|_| RecordedFault::of(record)).or_else(in_chunks);
                let cut = truncated.is_some() && broken.is_none();
                Ok(RecordedAnswer { status, headers, body, broken, cut })
            }
            "metadata" if record.field(FAULT).is_some() => Err(RecordedFault::of(record)),
            _ => return None,
        };
        let uri = record.field("WARC-Target-URI")?;
        // Old versions of wget put the URL into angle brackets.
        let url = Url::parse(uri.trim_start_matches('<').trim_end_matches('>')).ok()?;
        let sent = request.and_then(|request| http_text::read_request(&request.block));
        let (method, headers, body) = sent.unwrap_or((Method::GET, HeaderMap::new(), Bytes::new()));
        let session = request.and_then(|request| request.field(SESSION)).map(Arc::from);
        let key_body = rules.plain().body(&headers, &body);
        let key = RequestKey { method, url: rules.plain().url(&url), body: key_body, session };
        let at = record.field("WARC-Date").and_then(|date| date.parse::<jiff::Timestamp>().ok());
        let since = at.and_then(|at| u64::try_from(at.as_second()).ok());
        let at = since.map(|since| SystemTime::UNIX_EPOCH + Duration::from_secs(since));
        let latency = record.field(LATENCY).and_then(|millis| millis.parse().ok()).unwrap_or(0);
        let request = RecordedRequest { key, url, headers, body, at };
        Some(Self { request, latency: Duration::from_millis(latency), result })
    }
}

impl RecordedFault {
    fn fields(&self, record: WarcRecord) -> WarcRecord {
        let (fault, phase) = (format!("{:?}", self.fault), format!("{:?}", self.phase));
        record.with(FAULT, fault).with(PHASE, phase).with(DETAIL, &*self.words)
    }

    /// Returns the fault of a body in chunks that has no last chunk.
    fn in_chunks() -> Self {
        let words = "the recorded body ends before its last chunk".to_owned();
        Self { phase: Phase::Body, fault: Fault::Reset, words }
    }

    /// Returns the reason for which the body of a record is not complete, in the words of WARC.
    fn truncated(&self) -> &'static str {
        if self.fault == Fault::Timeout { TIME } else { "disconnect" }
    }

    /// Returns the fault that a record describes. If a file of another tool says that the time for a body was
    /// over, the fault is a timeout; any other body that breaks off counts as reset.
    fn of(record: &WarcRecord) -> Self {
        let named = |name: &str| record.field(name).unwrap_or_default().to_owned();
        let (fault, phase) = (named(FAULT), named(PHASE));
        let fault = FAULTS.into_iter().find(|known| format!("{known:?}") == fault);
        let phase = PHASES.into_iter().find(|known| format!("{known:?}") == phase);
        let is_late = record.field(TRUNCATED) == Some(TIME);
        let foreign = if is_late { Fault::Timeout } else { Fault::Reset };
        let (fault, phase) = (fault.unwrap_or(foreign), phase.unwrap_or(Phase::Body));
        Self { phase, fault, words: named(DETAIL) }
    }
}

/// Returns the id of a WARC record. It depends only on the request and its place in the file, so a recording that sends
/// the same requests in the same order has the same ids.
fn record_id(what: &str, nth: usize, key: &RequestKey) -> String {
    let RequestKey { method, url, body, session } = key;
    let session = session.as_deref().unwrap_or_default();
    let text = format!("{what} {nth} {method} {url} {session:?} ");
    let id = xxh3_128(&[text.as_bytes(), body].concat());
    // UUID version 8, variant 1: an id whose bits the application chooses (RFC 9562 §5.8).
    let id = id & !(0xf << 76) & !(0x3 << 62) | 0x8 << 76 | 0x2 << 62;
    let part = |shift: u32, bits: u32| (id >> shift) & ((1 << bits) - 1);
    let (a, b, c, d, e) = (part(96, 32), part(80, 16), part(64, 16), part(48, 16), part(0, 48));
    format!("<urn:uuid:{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}>")
}

/// Formats a wall time as WARC dates are written, to the second.
pub(crate) fn date(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or_default();
    jiff::Timestamp::from_second(at.as_second()).unwrap_or_default().to_string()
}

/// Returns a header field, or `None` if HTTP does not allow this name or value.
pub(crate) fn field(name: &str, value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_bytes(name.trim().as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
}

/// Returns whether a header field only frames a message on its connection. Records hold messages without such
/// fields.
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    [header::TRANSFER_ENCODING, header::CONNECTION, header::TRAILER].contains(name)
}

const HTTP_REQUEST: &str = "application/http;msgtype=request";
const HTTP_RESPONSE: &str = "application/http;msgtype=response";
const TRUNCATED: &str = "WARC-Truncated";
const TIME: &str = "time";
const SESSION: &str = "Opilio-Session";
const LATENCY: &str = "Opilio-Latency-Ms";
const FAULT: &str = "Opilio-Fault";
const PHASE: &str = "Opilio-Phase";
const DETAIL: &str = "Opilio-Detail";
const BODY_CHARS_SHOWN: usize = 80;
/// The faults that a transport can report, and so the faults that a cassette can hold.
const FAULTS: [Fault; 16] = [
    Fault::Dns,
    Fault::NoSuchName,
    Fault::Connect,
    Fault::Tls,
    Fault::Certificate,
    Fault::Timeout,
    Fault::Reset,
    Fault::StaleConnection,
    Fault::Protocol,
    Fault::Malformed,
    Fault::TooManyHeaders,
    Fault::BlockedAddress,
    Fault::UnsupportedScheme,
    Fault::Proxy,
    Fault::NoProxy,
    Fault::Ours,
];
const PHASES: [Phase; 6] =
    [Phase::Waiting, Phase::Resolve, Phase::Connect, Phase::Tls, Phase::Head, Phase::Body];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::warc;
    use proptest::prelude::*;

    fn exchange(result: Result<RecordedAnswer, RecordedFault>) -> RecordedExchange {
        let url: Url = "https://shop.example/search?q=1".parse().unwrap();
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("*/*"))]);
        let key = RequestKey {
            method: Method::POST,
            url: url.clone(),
            body: Bytes::from_static(b"q=lamp"),
            session: Some("alice".into()),
        };
        let at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_033_352));
        let request = RecordedRequest { url, headers, body: key.body.clone(), key, at };
        RecordedExchange { request, latency: Duration::from_millis(12), result }
    }

    fn read_back(exchange: &RecordedExchange) -> RecordedExchange {
        let mut file = Vec::new();
        exchange.records(3).iter().for_each(|record| record.write(&mut file));
        let mut all =
            RecordedExchange::all_of(&warc::read(file, 1 << 20).unwrap().records, &SecretRules::BUILT_IN);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[test]
    fn an_exchange_is_read_back_as_it_was_written() {
        let answer = RecordedAnswer {
            status: 200,
            headers: HeaderMap::from_iter([(header::SERVER, HeaderValue::from_static("a"))]),
            body: Bytes::from_static(b"\r\n\0WARC/1.1\r\n"),
            ..RecordedAnswer::default()
        };
        let fault = |phase, fault| RecordedFault { phase, fault, words: "as it was".to_owned() };
        let broken = RecordedAnswer { broken: Some(fault(Phase::Body, Fault::Reset)), ..answer.clone() };
        let cut = RecordedAnswer { cut: true, ..answer.clone() };
        for result in [Ok(answer), Ok(broken), Ok(cut), Err(fault(Phase::Connect, Fault::Tls))] {
            let written = exchange(result);
            let read = read_back(&written);
            assert_eq!((&read.result, &read.request.key), (&written.result, &written.request.key));
            assert_eq!((read.latency, read.request.at), (written.latency, written.request.at));
        }
        let records = exchange(Err(fault(Phase::Head, Fault::Timeout))).records(0);
        assert_eq!(records[0].field("WARC-Date"), Some("2026-11-30T10:09:12Z"));
        let id = records[0].field("WARC-Record-ID").unwrap();
        assert_eq!((id.len(), id, records[1].field("WARC-Concurrent-To")), (47, id, Some(id)));
        assert!(&id[24..25] == "8" && "89ab".contains(&id[29..30]), "{id}");
    }

    #[test]
    fn a_record_without_a_readable_date_has_none() {
        let mut written = exchange(Err(RecordedFault::in_chunks()));
        written.request.at = None;
        assert_eq!(read_back(&written).request.at, None);
    }

    #[test]
    fn every_fault_that_a_transport_tells_has_a_name_of_its_own() {
        for (fault, phase) in FAULTS.into_iter().zip(PHASES.into_iter().cycle()) {
            let written = RecordedFault { phase, fault, words: String::new() };
            assert_eq!(read_back(&exchange(Err(written.clone()))).result, Err(written));
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(
            file in proptest::collection::vec(any::<u8>(), 0..300),
            block in proptest::collection::vec(any::<u8>(), 0..300),
            head in "(WARC/1\\.[01]\r?\n)?([A-Za-z-]{0,16}:[ -~]{0,30}\r?\n){0,5}(Content-Length: [0-9]{1,3}\r\n)?\r?\n",
        ) {
            let _ = warc::read(file, 1 << 20);
            let _ = warc::read([head.as_bytes(), &block].concat(), 1 << 20);
            let record = |kind: &str| WarcRecord::new(kind).with("WARC-Target-URI", "http://a.example/").block(block.clone());
            let _ = RecordedExchange::all_of(&[record("request"), record("response"), record("metadata")], &SecretRules::BUILT_IN);
            let chunked = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &block[..]].concat();
            let _ = RecordedExchange::all_of(&[record("response").block(chunked)], &SecretRules::BUILT_IN);
        }
    }
}
