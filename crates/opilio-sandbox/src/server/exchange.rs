//! Serves one request: records the arrival at the host, and sends the answer at the configured speed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming};
use tokio::time::{Sleep, sleep};

use super::Served;
use super::wire::WireEnd;
use crate::config::Fault;
use crate::host::{Answer, Ask};
use crate::log::ArrivalId;

/// An error that is returned to hyper, so that hyper breaks the connection as the configured fault requires.
#[derive(Debug, thiserror::Error)]
#[error("the connection is broken on purpose")]
pub(super) struct BrokenOnPurpose;

/// Answers a request. If this returns an error, hyper breaks the connection.
pub(super) async fn answer(
    served: Arc<Served>,
    end: WireEnd,
    request: Request<Incoming>,
) -> Result<Response<PacedBody>, BrokenOnPurpose> {
    let arrived = served.now();
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    if let Some(document) = report(&served, target) {
        return Ok(PacedBody::aside(document));
    }
    let mut knock = Knock { served: &served, arrived, method: head.method.as_str(), target, answered: false };
    let body = read_body(body).await;
    let answer = knock.arrive(&body);
    drop(knock);
    let visit = OpenArrival { served, id: answer.id, over: false };
    deliver(answer, visit, end).await
}

/// A request whose head has arrived. If the client closes the connection before the body has arrived, the request
/// is still logged as an arrival.
struct Knock<'a> {
    served: &'a Served,
    arrived: Duration,
    method: &'a str,
    target: &'a str,
    answered: bool,
}

impl Knock<'_> {
    fn arrive(&mut self, body: &[u8]) -> Answer {
        self.answered = true;
        let ask = Ask { method: self.method, path_and_query: self.target, body };
        self.served.lock().arrive(self.arrived, &ask)
    }
}

impl Drop for Knock<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let answer = self.arrive(&[]);
            let now = self.served.now();
            self.served.lock().abandoned(now, answer.id);
        }
    }
}

/// Returns the body of one of the sandbox's own pages about its log, if `target` names such a page. Requests for
/// these pages are neither limited nor logged.
fn report(served: &Served, target: &str) -> Option<String> {
    let log = match target {
        "/__log" | "/__stats" => served.lock().log().clone(),
        _ => return None,
    };
    Some(if target == "/__log" {
        log.to_json().to_string()
    } else {
        serde_json::json!(log.statements()).to_string()
    })
}

/// Reads the body of a request. Returns an empty body if the body is broken or too long, so that no order is carried
/// out.
async fn read_body(body: Incoming) -> Bytes {
    if body.is_end_stream() {
        return Bytes::new();
    }
    let collected = Limited::new(body, BODY_BYTES_MAX).collect().await;
    collected.map_or_else(|_| Bytes::new(), |collected| collected.to_bytes())
}

async fn deliver(
    answer: Answer,
    mut visit: OpenArrival,
    end: WireEnd,
) -> Result<Response<PacedBody>, BrokenOnPurpose> {
    if !answer.latency.is_zero() {
        sleep(answer.latency).await;
    }
    let ending = match answer.fault {
        Some(Fault::Reset | Fault::Unreachable) => {
            end.reset();
            visit.over = true;
            return Err(BrokenOnPurpose);
        }
        // If the client closes the connection, hyper drops this future and `visit`, which logs the end.
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::ResetMidBody) => BodyEnd::Reset,
        Some(Fault::Truncated) => BodyEnd::Close,
        Some(Fault::Status(_) | Fault::Refusal { .. } | Fault::Slow(_) | Fault::Drip { .. }) | None => {
            BodyEnd::Whole
        }
    };
    visit.sent();
    let rest = answer.sent_body();
    let (chunk_bytes, pause) = match answer.fault {
        Some(Fault::Drip { chunk, every }) => (chunk.max(1) as usize, every),
        _ => (rest.len(), Duration::ZERO),
    };
    let mut response =
        Response::new(PacedBody { rest, chunk_bytes, pause, waiting: None, ending, end, visit: Some(visit) });
    // A status outside of 100 to 999 can be configured but not sent. In its place, status 500 is sent.
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    Ok(response)
}

/// A request in flight. When this value is dropped, the host logs the end of the request. If `over` is not set by
/// then, the client has closed the connection.
#[derive(Debug)]
struct OpenArrival {
    served: Arc<Served>,
    id: ArrivalId,
    over: bool,
}

impl OpenArrival {
    fn sent(&self) {
        let now = self.served.now();
        self.served.lock().sent(now, self.id);
    }
}

impl Drop for OpenArrival {
    fn drop(&mut self) {
        let now = self.served.now();
        let mut host = self.served.lock();
        if self.over {
            host.left(now, self.id);
        } else {
            host.abandoned(now, self.id);
        }
    }
}

/// The way in which the connection ends after the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyEnd {
    Whole,
    Close,
    Reset,
}

/// A body that is sent at the configured speed, and may be cut off.
#[derive(Debug)]
pub(super) struct PacedBody {
    rest: Bytes,
    chunk_bytes: usize,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    ending: BodyEnd,
    end: WireEnd,
    /// The request in flight; `None` for an answer that is not logged.
    visit: Option<OpenArrival>,
}

impl PacedBody {
    fn aside(document: String) -> Response<Self> {
        let length = HeaderValue::from(document.len());
        let mut response = Response::new(Self {
            chunk_bytes: document.len(),
            rest: document.into(),
            pause: Duration::ZERO,
            waiting: None,
            ending: BodyEnd::Whole,
            end: WireEnd::default(),
            visit: None,
        });
        let json = HeaderValue::from_static(crate::pages::JSON);
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, json);
        headers.insert(http::header::CONTENT_LENGTH, length);
        response
    }

    fn over(&mut self) {
        if let Some(visit) = &mut self.visit {
            visit.over = true;
        }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = BrokenOnPurpose;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOnPurpose>>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        if self.rest.is_empty() {
            self.over();
            return Poll::Ready(match self.ending {
                BodyEnd::Whole => None,
                BodyEnd::Close => Some(Err(BrokenOnPurpose)),
                BodyEnd::Reset => {
                    self.end.reset();
                    Some(Err(BrokenOnPurpose))
                }
            });
        }
        let length = self.chunk_bytes.clamp(1, self.rest.len());
        let chunk = self.rest.split_to(length);
        let pause = if self.rest.is_empty() {
            // This pause before the connection breaks makes sure that the bytes before the cut are sent.
            (self.ending != BodyEnd::Whole).then_some(FLUSH_PAUSE)
        } else {
            (!self.pause.is_zero()).then_some(self.pause)
        };
        self.waiting = pause.map(|pause| Box::pin(sleep(pause)));
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    /// Returns whether the last byte of a whole body was sent. Then hyper drops the body without polling it again.
    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.ending == BodyEnd::Whole
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.over();
        }
    }
}

const BODY_BYTES_MAX: usize = 1 << 20;
const FLUSH_PAUSE: Duration = Duration::from_millis(5);
