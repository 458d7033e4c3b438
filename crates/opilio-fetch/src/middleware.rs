//! Middleware: sees every request before it is sent, and every answer before anything else does.
//!
//! Middleware may set header fields and bodies, and declare an answer a refusal in disguise. It cannot send
//! requests, cannot redirect one elsewhere, and cannot remove a server's statements about its host: those
//! belong to the gate.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use opilio_core::{Blame, Outcome};
use url::Url;

use crate::fetch::{FetchRequest, Fetched, Purpose};

/// Sees each request of a crawl on its way out and each answer on its way in.
///
/// One value serves all shards at once, on their own threads, so it must not block or hold a lock for long.
/// Of several, the first one sees a request first and its answer last, so each wraps the ones after it. A
/// panic ends its attempt as `middleware_panic`.
///
/// ```
/// # mod opilio { pub use opilio_fetch as fetch; }
/// use opilio::fetch::{Incoming, Middleware, Outgoing};
/// use http::HeaderValue;
///
/// /// For a shop that answers 200 to crawlers that it blocks.
/// struct SoftBlocks;
///
/// impl Middleware for SoftBlocks {
///     fn on_request(&self, request: &mut Outgoing<'_>) {
///         request.headers.entry("accept-language").or_insert(HeaderValue::from_static("en"));
///     }
///
///     fn on_response(&self, answer: &mut Incoming<'_>) {
///         if answer.body().starts_with(b"<title>Slow down") {
///             answer.refuse(None);
///         }
///     }
/// }
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// A request is about to be sent. Framing, connection and coding of the body stay the fetcher's.
    fn on_request(&self, request: &mut Outgoing<'_>) {
        let _ = request;
    }

    /// An attempt is over: answered or failed.
    fn on_response(&self, answer: &mut Incoming<'_>) {
        let _ = answer;
    }

    /// Its name in error messages.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }
}

/// A request that is about to be sent. Where it goes and by which method was decided with its budget.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Where it goes: without fragment and user info.
    pub url: &'a Url,
    /// Its method.
    pub method: &'a Method,
    /// The purpose of the request.
    pub purpose: Purpose,
    /// The session that it belongs to; none for the crawl's own.
    pub session: Option<&'a str>,
    /// Its header fields; `User-Agent`, `Accept` and the like are added later if missing.
    pub headers: &'a mut HeaderMap,
    /// Its body, if any.
    pub body: &'a mut Option<Bytes>,
}

/// An attempt that is over.
#[derive(Debug)]
pub struct Incoming<'a> {
    url: &'a Url,
    purpose: Purpose,
    session: Option<&'a str>,
    /// The wait that the answer states, should it be a refusal.
    stated: Option<Duration>,
    fetched: &'a mut Fetched,
}

impl Incoming<'_> {
    /// Where the request went.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.url
    }

    /// The purpose of the request.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The session that it belonged to; none for the crawl's own.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session
    }

    /// The outcome of the attempt.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.fetched.outcome
    }

    /// All that the attempt gave.
    #[must_use]
    pub fn fetched(&self) -> &Fetched {
        self.fetched
    }

    /// The header fields of the answer, if there was one. Changes affect what the spider reads, but no
    /// decision already made from them.
    pub fn headers_mut(&mut self) -> Option<&mut HeaderMap> {
        self.fetched.head.as_mut().map(|head| &mut head.headers)
    }

    /// The decoded body; empty where there is none.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.fetched.body
    }

    /// Another body for the spider to read. Of no effect on a failure or a refusal, which have none.
    pub fn set_body(&mut self, body: Bytes) {
        if !matches!(self.fetched.outcome, Outcome::Failed(_) | Outcome::Refused(_)) {
            self.fetched.body = body;
        }
    }

    /// Declares the answer a refusal, as if it had been a 429: for a challenge or a captcha in place of a
    /// page. The host is held for `wait`, for the answer's own `Retry-After`, or as long as its strikes
    /// require. The URL is tried again; if it fails for good, its reason is `http_4xx`, `http_5xx` or, with
    /// another status, `refused`. The answer is neither a page nor stored in a cache. A refusal can only be
    /// made longer; a failure stays one.
    pub fn refuse(&mut self, wait: Option<Duration>) {
        match self.fetched.outcome {
            Outcome::Failed(_) => return,
            outcome if outcome.blame() == Blame::Refusal => {}
            Outcome::Answered(status) | Outcome::Refused(status) | Outcome::Redirected(status) => {
                self.fetched.outcome = Outcome::Refused(status);
                self.fetched.location = None;
                self.fetched.hints.retry_after = self.stated;
            }
        }
        self.fetched.hints.retry_after = self.fetched.hints.retry_after.max(wait);
    }
}

/// All middleware of a crawl, in the order in which it was given.
#[derive(Clone, Default)]
pub(crate) struct Stack(Arc<[Arc<dyn Middleware>]>);

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|one| one.name())).finish()
    }
}

/// Which one panicked.
#[derive(Debug)]
pub(crate) struct Panicked(pub(crate) String);

impl Stack {
    pub(crate) fn new(all: Vec<Arc<dyn Middleware>>) -> Self {
        Self(all.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn on_request(&self, order: &mut FetchRequest) -> Result<(), Panicked> {
        for one in self.0.iter() {
            let mut request = Outgoing {
                url: &order.url,
                method: &order.method,
                purpose: order.purpose,
                session: order.session.as_deref(),
                headers: &mut order.headers,
                body: &mut order.body,
            };
            guarded(&**one, |one| one.on_request(&mut request))?;
        }
        Ok(())
    }

    pub(crate) fn on_response(
        &self,
        asked: &ObservedRequest,
        stated: Option<Duration>,
        fetched: &mut Fetched,
    ) -> Result<(), Panicked> {
        for one in self.0.iter().rev() {
            let before = fetched.outcome;
            let mut answer = Incoming {
                url: &asked.url,
                purpose: asked.purpose,
                session: asked.session.as_deref(),
                stated,
                fetched,
            };
            guarded(&**one, |one| one.on_response(&mut answer))?;
            if let (Outcome::Refused(status), true) = (fetched.outcome, fetched.outcome != before) {
                let (url, name) = (&asked.url, name_of(&**one));
                fetched.error =
                    Some(format!("{url}: the middleware {name} takes the answer {status} for a refusal"));
            }
        }
        Ok(())
    }
}

/// The facts about a request that are kept until its answer comes.
pub(crate) struct ObservedRequest {
    pub(crate) url: Url,
    pub(crate) purpose: Purpose,
    pub(crate) session: Option<Arc<str>>,
}

impl ObservedRequest {
    pub(crate) fn of(order: &FetchRequest) -> Self {
        Self { url: order.url.clone(), purpose: order.purpose, session: order.session.clone() }
    }
}

fn guarded(one: &dyn Middleware, work: impl FnOnce(&dyn Middleware)) -> Result<(), Panicked> {
    catch_unwind(AssertUnwindSafe(|| work(one))).map_err(|_| Panicked(name_of(one)))
}

fn name_of(one: &dyn Middleware) -> String {
    let name = catch_unwind(AssertUnwindSafe(|| one.name().to_owned()));
    name.unwrap_or_else(|_| "middleware".to_owned())
}
