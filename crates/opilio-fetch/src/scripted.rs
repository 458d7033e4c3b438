//! A web in memory: answers come from a script, latencies from tokio's clock. Under a paused clock
//! a day passes in microseconds, and the same seed gives the same run.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use opilio_core::Fault;
use tokio::time::Instant;

use crate::transport::{Answer, Phase, Sending, Transport, TransportError, TransportRequest};

/// Decides the answer to a request.
pub trait Script {
    /// The answer to a request that arrives now.
    fn answer(&mut self, now: Instant, ask: &TransportRequest) -> ScriptedAnswer;
}

impl<F: FnMut(Instant, &TransportRequest) -> ScriptedAnswer> Script for F {
    fn answer(&mut self, now: Instant, ask: &TransportRequest) -> ScriptedAnswer {
        self(now, ask)
    }
}

/// The answer to a request, and its latency.
#[derive(Clone, Debug)]
pub struct ScriptedAnswer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as sent: codings are not applied here.
    pub body: Bytes,
    /// From the request's arrival to the head.
    pub latency: Duration,
    /// From the head to the body's end.
    pub body_latency: Duration,
    /// Instead of a complete answer, in this phase: after `latency`, or in `Phase::Body` after the body.
    pub fault: Option<(Phase, Fault)>,
}

impl ScriptedAnswer {
    /// An answer at once, without headers or body.
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

    /// A 200 with this HTML.
    #[must_use]
    pub fn page(html: impl Into<Bytes>) -> Self {
        let html_type = HeaderValue::from_static("text/html; charset=utf-8");
        Self { body: html.into(), ..Self::status(200) }.header(http::header::CONTENT_TYPE, html_type)
    }

    /// No answer, but this fault in this phase.
    #[must_use]
    pub fn fault(phase: Phase, fault: Fault) -> Self {
        Self { fault: Some((phase, fault)), ..Self::status(200) }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// With the head this long after the request's arrival.
    #[must_use]
    pub fn after(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }
}

/// A transport that asks a script.
pub struct ScriptedTransport {
    script: RefCell<Box<dyn Script>>,
}

impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedTransport").finish_non_exhaustive()
    }
}

impl ScriptedTransport {
    /// A web that answers by this script.
    #[must_use]
    pub fn new(script: impl Script + 'static) -> Self {
        Self { script: RefCell::new(Box::new(script)) }
    }
}

impl Transport for ScriptedTransport {
    fn send(&self, ask: TransportRequest) -> Sending<'_> {
        async move {
            // The borrow ends before any wait: scripts are asked one at a time.
            let scripted = self.script.borrow_mut().answer(Instant::now(), &ask);
            let early = scripted.fault.filter(|(phase, _)| *phase != Phase::Body);
            ask.progress.enter(early.map_or(Phase::Head, |(phase, _)| phase));
            if !scripted.latency.is_zero() {
                tokio::time::sleep(scripted.latency).await;
            }
            if let Some((phase, fault)) = early {
                return Err(TransportError::new(phase, fault, "as scripted"));
            }
            ask.progress.enter(Phase::Body);
            Ok(into_answer(scripted))
        }
        .boxed_local()
    }
}

fn into_answer(scripted: ScriptedAnswer) -> Answer {
    let fault = scripted.fault.map(|(phase, fault)| Err(TransportError::new(phase, fault, "as scripted")));
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
