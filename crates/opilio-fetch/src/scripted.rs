//! A simulated web in memory: a script decides the answers, and tokio's clock measures the latencies. With a paused
//! clock, a simulated day takes microseconds, and the same random seed gives the same run.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use opilio_core::Fault;
use tokio::time::Instant;

use crate::transport::{Answer, Phase, Sending, Transport, TransportError, TransportRequest};

/// A script that decides the answers of the simulated web.
pub trait Script {
    /// Returns the answer to a request that arrives now.
    fn answer(&mut self, now: Instant, ask: &TransportRequest) -> ScriptedAnswer;
}

impl<F: FnMut(Instant, &TransportRequest) -> ScriptedAnswer> Script for F {
    fn answer(&mut self, now: Instant, ask: &TransportRequest) -> ScriptedAnswer {
        self(now, ask)
    }
}

/// The answer to a request, with its latency.
#[derive(Clone, Debug)]
pub struct ScriptedAnswer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body as it is sent. It is not encoded here, even if the header fields state a content coding.
    pub body: Bytes,
    /// The time from the request's arrival to the head of the answer.
    pub latency: Duration,
    /// The time from the head to the end of the body.
    pub body_latency: Duration,
    /// The fault that happens instead of a complete answer: after `latency` or, in `Phase::Body`, after the body.
    /// `None` for an answer without a fault.
    pub fault: Option<(Phase, Fault)>,
}

impl ScriptedAnswer {
    /// Returns an answer with this status, without headers, body or latency.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            latency: Duration::ZERO,
            body_latency: Duration::ZERO,
            fault: None,
        }
    }

    /// Returns an answer with status 200 and this HTML.
    #[must_use]
    pub fn page(html: impl Into<Bytes>) -> Self {
        let html_type = HeaderValue::from_static("text/html; charset=utf-8");
        Self { body: html.into(), ..Self::status(200) }.header(http::header::CONTENT_TYPE, html_type)
    }

    /// Returns an answer that fails with this fault in this phase of the exchange.
    #[must_use]
    pub fn fault(phase: Phase, fault: Fault) -> Self {
        Self { fault: Some((phase, fault)), ..Self::status(200) }
    }

    /// Adds a header field to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the time from the request's arrival to the head of the answer.
    #[must_use]
    pub fn after(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }
}

/// A transport whose answers come from a `Script`.
pub struct ScriptedTransport {
    script: RefCell<Box<dyn Script>>,
}

impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedTransport").finish_non_exhaustive()
    }
}

impl ScriptedTransport {
    /// Makes a simulated web that answers as this script decides.
    #[must_use]
    pub fn new(script: impl Script + 'static) -> Self {
        Self { script: RefCell::new(Box::new(script)) }
    }
}

impl Transport for ScriptedTransport {
    fn send(&self, ask: TransportRequest) -> Sending<'_> {
        async move {
            // The borrow of the script ends before any wait, so several requests can be in flight.
            let scripted = self.script.borrow_mut().answer(Instant::now(), &ask);
            let early = scripted.fault.filter(|(phase, _)| *phase != Phase::Body);
            ask.progress.enter(early.map_or(Phase::Head, |(phase, _)| phase));
            if !scripted.latency.is_zero() {
                tokio::time::sleep(scripted.latency).await;
            }
            if let Some((phase, fault)) = early {
                return Err(TransportError::new(phase, fault, "simulated"));
            }
            ask.progress.enter(Phase::Body);
            Ok(into_answer(scripted))
        }
        .boxed_local()
    }
}

fn into_answer(scripted: ScriptedAnswer) -> Answer {
    let fault = scripted.fault.map(|(phase, fault)| Err(TransportError::new(phase, fault, "simulated")));
    let chunks = stream::iter([Ok(scripted.body)].into_iter().chain(fault));
    let wait = scripted.body_latency;
    let body = async move {
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        chunks
    };
    Answer {
        status: scripted.status,
        version: Version::HTTP_11,
        headers: scripted.headers,
        body: body.flatten_stream().boxed_local(),
        reused: false,
        remote: None,
    }
}
