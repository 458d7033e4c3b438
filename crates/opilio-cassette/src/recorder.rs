//! Records the traffic of a transport: each request as it is sent, each answer as it arrives, and each
//! failure.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::BytesMut;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderValue, header};
use opilio_fetch::{
    Answer, BodyStream, Phase, Progress, Sending, StopReason, Transport, TransportError, TransportRequest,
};
use tokio::time::Instant;

use crate::cassette::Cassette;
use crate::exchange::{RecordedAnswer, RecordedExchange, RecordedFault, RecordedRequest};
use crate::secrets::SecretRules;

/// The exchanges recorded so far. The shards write to it from several threads.
#[derive(Clone)]
pub struct Recording {
    /// The exchanges in the order in which their requests were sent; `None` for an exchange that has not
    /// ended.
    exchanges: Arc<Mutex<Vec<Option<RecordedExchange>>>>,
    rules: Arc<SecretRules>,
}

impl Recording {
    /// Makes an empty recording. `keep_secrets` says whether logins, cookies and other secrets are recorded.
    #[must_use]
    pub fn new(keep_secrets: bool) -> Self {
        Self { exchanges: Arc::default(), rules: Arc::new(SecretRules::new(keep_secrets)) }
    }

    /// Adds names of secrets. The values of parameters, form fields, JSON fields and header fields with these names
    /// are left out, too. Only the letters and digits of a name count, not their case.
    #[must_use]
    pub fn secret_names<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let rules = Arc::make_mut(&mut self.rules);
        names.into_iter().for_each(|name| rules.add_name(name));
        self
    }

    /// Returns a function that wraps a transport, so that its traffic is recorded.
    pub fn around(&self) -> impl Fn(Rc<dyn Transport>) -> Rc<dyn Transport> + Send + Sync + use<> {
        let recording = self.clone();
        move |inner| Rc::new(RecordingTransport { inner, recording: recording.clone() })
    }

    /// Returns a cassette of all exchanges that have ended.
    #[must_use]
    pub fn cassette(&self) -> Cassette {
        Cassette::recorded(self.lock().iter().flatten().cloned().collect(), (*self.rules).clone())
    }

    fn begin(&self, ask: &TransportRequest) -> OpenRecord {
        let mut exchanges = self.lock();
        exchanges.push(None);
        OpenRecord {
            nth: exchanges.len() - 1,
            request: RecordedRequest::of(ask, &self.rules, SystemTime::now()),
            began: Instant::now(),
            recording: self.clone(),
            progress: ask.progress.clone(),
            answered: None,
            body: BytesMut::new(),
            is_written: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<RecordedExchange>>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct RecordingTransport {
    inner: Rc<dyn Transport>,
    recording: Recording,
}

impl Transport for RecordingTransport {
    fn send(&self, mut ask: TransportRequest) -> Sending<'_> {
        // Asks for an uncompressed answer, so that people can read the cassette and its diffs.
        ask.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut record = self.recording.begin(&ask);
        async move {
            match self.inner.send(ask).await {
                Ok(answer) => {
                    let Answer { status, version, headers, body, reused, remote } = answer;
                    record.heard(status, &headers);
                    let body = recorded(body, record);
                    Ok(Answer { status, version, headers, body, reused, remote })
                }
                Err(error) => {
                    record.failed(&error);
                    Err(error)
                }
            }
        }
        .boxed_local()
    }
}

/// Returns a stream with the same body, which also records the body while it is read.
fn recorded(body: BodyStream, record: OpenRecord) -> BodyStream {
    let pieces = stream::unfold((body, record), |(mut body, mut record)| async move {
        let piece = body.next().await;
        match &piece {
            Some(Ok(bytes)) => record.body.extend_from_slice(bytes),
            Some(Err(error)) => record.broke_off(error),
            None => record.write(false, None),
        }
        piece.map(|piece| (piece, (body, record)))
    });
    pieces.boxed_local()
}

/// An exchange that has not ended yet. If it is dropped before its end, the answer came too late, or the crawl had
/// read enough of it, or the crawl ended. In the last case it is not recorded.
struct OpenRecord {
    nth: usize,
    request: RecordedRequest,
    began: Instant,
    recording: Recording,
    progress: Progress,
    /// The head of the answer, and the time from the request to the head; `None` before the head has arrived.
    answered: Option<(RecordedAnswer, std::time::Duration)>,
    body: BytesMut,
    is_written: bool,
}

impl OpenRecord {
    fn heard(&mut self, status: u16, headers: &http::HeaderMap) {
        let rules = &self.recording.rules;
        let headers = if rules.are_kept {
            headers.clone()
        } else {
            rules.written().answer_fields(&self.request.url, headers)
        };
        let answer = RecordedAnswer { status, headers, ..RecordedAnswer::default() };
        self.answered = Some((answer, self.began.elapsed()));
    }

    fn failed(&mut self, error: &TransportError) {
        self.put(self.began.elapsed(), Err(fault_of(error)));
    }

    fn broke_off(&mut self, error: &TransportError) {
        self.write(false, Some(fault_of(error)));
    }

    fn write(&mut self, cut: bool, broken: Option<RecordedFault>) {
        if let Some((answer, latency)) = self.answered.take() {
            let body = std::mem::take(&mut self.body).freeze();
            self.put(latency, Ok(RecordedAnswer { body, broken, cut, ..answer }));
        }
    }

    fn put(&mut self, latency: std::time::Duration, result: Result<RecordedAnswer, RecordedFault>) {
        self.is_written = true;
        let exchange = RecordedExchange { request: self.request.clone(), latency, result };
        if let Some(place) = self.recording.lock().get_mut(self.nth) {
            *place = Some(exchange);
        }
    }
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        if self.is_written {
            return;
        }
        // If the answer has stated the length of its body, nobody reads on after the last byte, so the record ends
        // here.
        let length =
            self.answered.as_ref().and_then(|(answer, _)| answer.headers.get(header::CONTENT_LENGTH));
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        if length == Some(self.body.len()) {
            return self.write(false, None);
        }
        match self.progress.stopped() {
            Some(StopReason::Enough) => self.write(true, None),
            Some(StopReason::Deadline) => {
                let phase = if self.answered.is_some() { Phase::Body } else { self.progress.phase() };
                let words = "the deadline of the attempt passed".to_owned();
                let fault = RecordedFault { phase, fault: phase.timeout(), words };
                match self.answered {
                    Some(_) => self.write(false, Some(fault)),
                    None => self.put(self.began.elapsed(), Err(fault)),
                }
            }
            // The crawl ended during the exchange, so nobody knows how the exchange would have ended.
            None => {}
        }
    }
}

fn fault_of(error: &TransportError) -> RecordedFault {
    // The error's text begins with its phase, which is recorded in a field of its own, so it is removed here.
    let words = error.to_string();
    let words = words.strip_prefix(&format!("{}: ", error.phase())).unwrap_or(&words).to_owned();
    RecordedFault { phase: error.phase(), fault: error.fault(), words }
}
