//! The transport trait: one request in, a head and a stream of body bytes out.

use std::cell::Cell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::LocalBoxStream;
use http::{HeaderMap, Method, Version};
use opilio_core::{Fault, Proxy};
use url::Url;

/// Carries one request to where it belongs and brings the answer back.
///
/// A transport sends each request at most once: no retries, no redirects, nothing on the wire that
/// its caller did not ask for. It belongs to one thread. Dropping the future or the body ends the
/// exchange.
pub trait Transport {
    /// Sends a request; resolves with the head of its answer.
    fn send(&self, ask: TransportRequest) -> Sending<'_>;
}

/// A request in flight, up to the head of its answer.
pub type Sending<'a> = LocalBoxFuture<'a, Result<Answer, TransportError>>;

/// The body of an answer as it was sent, chunk by chunk, framing removed and codings left on.
pub type BodyStream = LocalBoxStream<'static, Result<Bytes, TransportError>>;

/// One request.
#[derive(Debug)]
pub struct TransportRequest {
    /// The method.
    pub method: Method,
    /// An absolute http(s) URL.
    pub url: Url,
    /// All headers except those that the transport derives (`Host`, framing, connection).
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<Bytes>,
    /// Which connection to use, and whether to keep it.
    pub connection: Connection,
    /// The session that it belongs to; none for the crawl's own. Not sent: recorders tell requests apart by it.
    pub session: Option<Arc<str>>,
    /// The proxy to go through, instead of one of the transport's own.
    pub proxy: Option<Proxy>,
    /// Where the transport notes its progress, for a caller that gives up.
    pub progress: Progress,
}

/// Which connection a request uses, and whether it is kept afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Connection {
    /// An idle one if there is one; kept for the next request.
    #[default]
    Keep,
    /// An idle one if there is one; closed afterwards, since no request is due soon.
    Close,
    /// A new one, closed afterwards: for requests that must not be sent twice. An idle connection
    /// that turns out dead leaves open whether the server acted on the request (RFC 9112 §9.3.1).
    Fresh,
}

/// The answer to a request.
pub struct Answer {
    /// As sent: 100–999.
    pub status: u16,
    /// The version of HTTP that was spoken.
    pub version: Version,
    /// As sent.
    pub headers: HeaderMap,
    /// The body after the head.
    pub body: BodyStream,
    /// Whether the connection had carried a request before.
    pub reused: bool,
    /// The address that it came from, if known.
    pub remote: Option<SocketAddr>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// How far an exchange got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Phase {
    /// Waiting for a connection of the pool, or on one that was used before.
    #[default]
    Waiting,
    /// Resolving the name.
    Resolve,
    /// Connecting, TLS handshake included.
    Connect,
    /// In the TLS handshake. Told apart from connecting by its errors only.
    Tls,
    /// The connection stands: sending the request, waiting for the head.
    Head,
    /// Reading the body.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting | Self::Head => "wait for the answer",
            Self::Resolve => "resolve the name",
            Self::Connect => "connect",
            Self::Tls => "shake hands over TLS",
            Self::Body => "read the body",
        })
    }
}

impl Phase {
    /// The fault of a deadline that passes in this phase.
    #[must_use]
    pub fn timeout(self) -> Fault {
        match self {
            Self::Resolve => Fault::Dns,
            Self::Connect | Self::Tls => Fault::Connect,
            Self::Waiting | Self::Head | Self::Body => Fault::Timeout,
        }
    }
}

/// A shared note of how far an exchange got.
#[derive(Clone, Debug, Default)]
pub struct Progress(Rc<Cell<Phase>>);

impl Progress {
    /// How far it got.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.get()
    }

    /// Notes that a phase has begun.
    pub fn enter(&self, phase: Phase) {
        self.0.set(phase);
    }
}

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
#[error("{phase}: {detail}")]
pub struct TransportError {
    phase: Phase,
    fault: Fault,
    detail: String,
}

impl TransportError {
    /// The error of an exchange that ended in this phase; `detail` explains it without the URL.
    #[must_use]
    pub fn new(phase: Phase, fault: Fault, detail: impl Into<String>) -> Self {
        Self { phase, fault, detail: detail.into() }
    }

    /// How far the exchange got.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The fault of the attempt.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }
}
