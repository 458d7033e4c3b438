//! Middleware: code of the user that reads and may change every request before it is sent, and every answer before
//! the crawl uses it.
//!
//! Middleware may set header fields and bodies, and declare that an answer is a refusal in disguise. Middleware
//! cannot send requests, cannot change the target of a request, and cannot remove what a server states about its
//! host, since the host's limits depend on these statements.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use opilio_core::{Blame, Outcome};
use url::Url;

use crate::fetch::{FetchRequest, Fetched, Purpose};

/// The trait of middleware, which the crawl calls with each request before it is sent, and with each answer after it
/// arrives.
///
/// All shards call one value at the same time, on their own threads, so a middleware must not block or hold a lock
/// for long. The first middleware gets a request first and its answer last, so each middleware wraps those after it.
/// If a middleware panics, the attempt ends with the failure `middleware_panic`.
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
    /// Reads or changes a request before it is sent. The fetcher sets framing, connection and content coding
    /// afterwards.
    fn on_request(&self, request: &mut Outgoing<'_>) {
        let _ = request;
    }

    /// Reads or changes an attempt that is over, whether it was answered or failed.
    fn on_response(&self, answer: &mut Incoming<'_>) {
        let _ = answer;
    }

    /// Returns the name of the middleware for error messages.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }
}

/// A request that is about to be sent. Its URL and method cannot be changed, since the host's budget was spent for
/// this URL and method.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The URL of the request, without fragment and user info.
    pub url: &'a Url,
    /// The method of the request.
    pub method: &'a Method,
    /// The purpose of the request.
    pub purpose: Purpose,
    /// The name of the request's session; `None` for the crawl's own session.
    pub session: Option<&'a str>,
    /// The header fields of the request. `User-Agent`, `Accept` and similar fields are added later, if they are
    /// missing.
    pub headers: &'a mut HeaderMap,
    /// The body of the request, if it has one.
    pub body: &'a mut Option<Bytes>,
}

/// An attempt that is over, with its answer or failure.
#[derive(Debug)]
pub struct Incoming<'a> {
    url: &'a Url,
    purpose: Purpose,
    session: Option<&'a str>,
    /// The wait that the answer asks for; it counts if the answer is a refusal.
    stated: Option<Duration>,
    fetched: &'a mut Fetched,
}

impl Incoming<'_> {
    /// Returns the URL of the request.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.url
    }

    /// Returns the purpose of the request.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Returns the name of the request's session; `None` for the crawl's own session.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session
    }

    /// Returns the outcome of the attempt.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.fetched.outcome
    }

    /// Returns everything that the attempt produced.
    #[must_use]
    pub fn fetched(&self) -> &Fetched {
        self.fetched
    }

    /// Returns the header fields of the answer, if there was an answer. Changes affect the fields that the spider
    /// reads, but not the decisions that were already made from the fields.
    pub fn headers_mut(&mut self) -> Option<&mut HeaderMap> {
        self.fetched.head.as_mut().map(|head| &mut head.headers)
    }

    /// Returns the decoded body of the answer; empty if the answer has no body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.fetched.body
    }

    /// Replaces the body that the spider reads. Has no effect on a failure or a refusal, which have no body.
    pub fn set_body(&mut self, body: Bytes) {
        if !matches!(self.fetched.outcome, Outcome::Failed(_) | Outcome::Refused(_)) {
            self.fetched.body = body;
        }
    }

    /// Declares that the answer is a refusal, as if its status were 429: for a challenge or a captcha instead of a
    /// page. The host is held for `wait`, for the answer's own `Retry-After`, or as long as its recent refusals
    /// require. The URL is tried again. If the URL fails for good, its reason is `http_4xx`, `http_5xx` or, with
    /// another status, `refused`. The answer is not used as a page and not stored in the cache. If the answer is a
    /// refusal already, only its wait can grow; a failure stays a failure.
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

/// All middleware of a crawl, in the order in which the user added them.
#[derive(Clone, Default)]
pub(crate) struct Stack(Arc<[Arc<dyn Middleware>]>);

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|one| one.name())).finish()
    }
}

/// The error of a middleware that panicked; contains its name.
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
                    Some(format!("{url}: the middleware {name} declared the answer {status} a refusal"));
            }
        }
        Ok(())
    }
}

/// The facts about a request that the middleware needs when the answer arrives.
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
