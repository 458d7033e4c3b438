//! The trait of a transport, which sends one request and returns the head of the answer and a stream of its body.

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

/// A transport, which carries one request to its server and returns the answer.
///
/// A transport sends each request at most once: it makes no retries, follows no redirects, and sends nothing that
/// its caller did not ask for. It belongs to one thread. Dropping the future or the body ends the exchange.
pub trait Transport {
    /// Sends a request. The future returns the head of the answer.
    fn send(&self, ask: TransportRequest) -> Sending<'_>;
}

/// The future of [`Transport::send`]: it completes when the head of the answer arrives.
pub type Sending<'a> = LocalBoxFuture<'a, Result<Answer, TransportError>>;

/// The body of an answer, chunk by chunk. The framing is removed, but content codings are not decoded.
pub type BodyStream = LocalBoxStream<'static, Result<Bytes, TransportError>>;

/// One request, as a transport sends it.
#[derive(Debug)]
pub struct TransportRequest {
    /// The method of HTTP, such as GET.
    pub method: Method,
    /// The URL: absolute, and http or https.
    pub url: Url,
    /// All header fields except those that the transport derives (`Host`, framing, connection).
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<Bytes>,
    /// Whether the request may use an idle connection, and whether its connection is kept open afterwards.
    pub connection: Connection,
    /// The name of the session that the request belongs to; `None` for the crawl's own session. The name is not
    /// sent: a transport that records requests can tell the sessions apart by it.
    pub session: Option<Arc<str>>,
    /// The proxy for this request, instead of the transport's own proxies.
    pub proxy: Option<Proxy>,
    /// A record of how far the request got, for a caller that stops waiting.
    pub progress: Progress,
}

/// Whether a request may use an idle connection, and whether its connection is kept open afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Connection {
    /// The request uses an idle connection if there is one, and its connection is kept open for the next request.
    #[default]
    Keep,
    /// The request uses an idle connection if there is one, and its connection is closed afterwards, since no other
    /// request to the host is due soon.
    Close,
    /// The request uses a new connection, which is closed afterwards. For requests that must not be sent twice: when
    /// an idle connection turns out to be closed, it is unknown whether the server acted on the request (RFC 9112
    /// §9.3.1).
    Fresh,
}

/// The answer to a request.
pub struct Answer {
    /// The status as sent: 100–999.
    pub status: u16,
    /// The version of HTTP in which the answer was sent.
    pub version: Version,
    /// The header fields as sent.
    pub headers: HeaderMap,
    /// The body, as a stream of chunks.
    pub body: BodyStream,
    /// Whether the connection had carried a request before.
    pub reused: bool,
    /// The address of the server; `None` if it is not known.
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

/// The phases of an exchange, to say how far it got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Phase {
    /// The request waits for a connection from the pool, or for an answer on a connection that was used before.
    #[default]
    Waiting,
    /// The name of the host is being resolved.
    Resolve,
    /// The connection is being made, TLS handshake included.
    Connect,
    /// The TLS handshake is running. Only errors report this phase: while the handshake runs, the phase is
    /// [`Connect`](Self::Connect).
    Tls,
    /// The connection is ready: the request is being sent, or the head of the answer is awaited.
    Head,
    /// The body is being read.
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
    /// Returns the fault of an attempt whose deadline passes while the request is in this phase.
    #[must_use]
    pub fn timeout(self) -> Fault {
        match self {
            Self::Resolve => Fault::Dns,
            Self::Connect | Self::Tls => Fault::Connect,
            Self::Waiting | Self::Head | Self::Body => Fault::Timeout,
        }
    }
}

/// A record of how far a request got, and of why its caller stopped it, shared between the transport and its caller.
#[derive(Clone, Debug, Default)]
pub struct Progress(Rc<ProgressCells>);

#[derive(Debug, Default)]
struct ProgressCells {
    phase: Cell<Phase>,
    stopped: Cell<Option<StopReason>>,
}

/// The reason why the caller of a transport drops an exchange before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopReason {
    /// The caller does not want the rest of the answer.
    Enough,
    /// The deadline of the attempt passed.
    Deadline,
}

impl Progress {
    /// Returns the phase that the request has reached.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.phase.get()
    }

    /// Records that the request has entered this phase.
    pub fn enter(&self, phase: Phase) {
        self.0.phase.set(phase);
    }

    /// Returns why the caller stopped the exchange; `None` if it has not stopped it. An exchange that is dropped
    /// without a reason was given up from outside, such as by the end of the crawl.
    #[must_use]
    pub fn stopped(&self) -> Option<StopReason> {
        self.0.stopped.get()
    }

    /// Records why the caller stops the exchange. The caller does this before it drops the future or the body.
    pub fn stop(&self, reason: StopReason) {
        self.0.stopped.set(Some(reason));
    }
}

/// The reason why an answer, or the rest of its body, did not arrive.
#[derive(Debug, thiserror::Error)]
#[error("{phase}: {detail}")]
pub struct TransportError {
    phase: Phase,
    fault: Fault,
    detail: String,
}

impl TransportError {
    /// Returns the error of a request that failed in this phase. `detail` is a text that explains the failure and
    /// must not contain the URL.
    #[must_use]
    pub fn new(phase: Phase, fault: Fault, detail: impl Into<String>) -> Self {
        Self { phase, fault, detail: detail.into() }
    }

    /// Returns the phase in which the request failed.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns the fault with which the attempt ends.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }
}
