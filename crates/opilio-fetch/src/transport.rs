//! The transport trait: sends one request, and returns the head of the answer and a stream of its body.

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

/// Carries one request to its server and returns the answer.
///
/// A transport sends each request at most once: no retries, no redirects, nothing that its caller did not ask
/// for. It belongs to one thread. Dropping the future or the body ends the exchange.
pub trait Transport {
    /// Sends a request. The future returns the head of the answer.
    fn send(&self, ask: TransportRequest) -> Sending<'_>;
}

/// The future of [`Transport::send`]: a request in flight, until the head of its answer arrives.
pub type Sending<'a> = LocalBoxFuture<'a, Result<Answer, TransportError>>;

/// The body of an answer as it was sent, chunk by chunk: framing is removed, content codings are not.
pub type BodyStream = LocalBoxStream<'static, Result<Bytes, TransportError>>;

/// One request, as a transport sends it.
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
    /// Which connection to use, and whether to keep it open.
    pub connection: Connection,
    /// The name of the request's session; `None` for the crawl's own. It is not sent: a transport that
    /// records requests can tell them apart by it.
    pub session: Option<Arc<str>>,
    /// The proxy for this request, instead of the transport's own proxies.
    pub proxy: Option<Proxy>,
    /// Records how far the request got, for a caller that stops waiting.
    pub progress: Progress,
}

/// Which connection a request uses, and whether it is kept afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Connection {
    /// Uses an idle connection if there is one, and keeps the connection open for the next request.
    #[default]
    Keep,
    /// Uses an idle connection if there is one, and closes it afterwards, since no request is due soon.
    Close,
    /// Uses a new connection, and closes it afterwards: for requests that must not be sent twice. When an
    /// idle connection turns out to be dead, it is unknown whether the server acted on the request (RFC 9112
    /// §9.3.1).
    Fresh,
}

/// The answer to a request.
pub struct Answer {
    /// The status as sent: 100–999.
    pub status: u16,
    /// The version of HTTP of the answer.
    pub version: Version,
    /// The header fields as sent.
    pub headers: HeaderMap,
    /// The body after the head.
    pub body: BodyStream,
    /// Whether the connection had carried a request before.
    pub reused: bool,
    /// The server's address, if known.
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
    /// Waiting for a connection from the pool, or for an answer on a connection that was used before.
    #[default]
    Waiting,
    /// Resolving the name.
    Resolve,
    /// Connecting, TLS handshake included.
    Connect,
    /// In the TLS handshake. Only errors report this phase: while it runs, the phase is
    /// [`Connect`](Self::Connect).
    Tls,
    /// The connection is ready: sending the request, waiting for the head of the answer.
    Head,
    /// Reading the body.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting | Self::Head => "cannot get the answer",
            Self::Resolve => "cannot resolve the name",
            Self::Connect => "cannot connect",
            Self::Tls => "the TLS handshake failed",
            Self::Body => "cannot read the body",
        })
    }
}

impl Phase {
    /// Returns the fault of an attempt whose deadline passes in this phase.
    #[must_use]
    pub fn timeout(self) -> Fault {
        match self {
            Self::Resolve => Fault::Dns,
            Self::Connect | Self::Tls => Fault::Connect,
            Self::Waiting | Self::Head | Self::Body => Fault::Timeout,
        }
    }
}

/// How far a request got, shared between the transport and its caller.
#[derive(Clone, Debug, Default)]
pub struct Progress(Rc<Cell<Phase>>);

impl Progress {
    /// Returns the phase that the request is in.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.get()
    }

    /// Records that a phase has begun.
    pub fn enter(&self, phase: Phase) {
        self.0.set(phase);
    }
}

/// Why an answer, or the rest of its body, did not arrive.
#[derive(Debug, thiserror::Error)]
#[error("{phase}: {detail}")]
pub struct TransportError {
    phase: Phase,
    fault: Fault,
    detail: String,
}

impl TransportError {
    /// Makes the error of a request that failed in this phase. `detail` explains it and must not contain the
    /// URL.
    #[must_use]
    pub fn new(phase: Phase, fault: Fault, detail: impl Into<String>) -> Self {
        Self { phase, fault, detail: detail.into() }
    }

    /// Returns the phase in which the request failed.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns the fault of the attempt.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }
}
