//! The request of one attempt.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use opilio_core::{Proxy, Statuses};
use url::Url;

use crate::head::Accept;
use crate::transport::Connection;

/// A request for one attempt.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// The URL, which must be absolute. Its fragment and user info are not sent.
    pub url: Url,
    /// The method of HTTP, such as GET.
    pub method: Method,
    /// The request's own header fields, which take precedence over those of the fetcher. Header fields about framing
    /// and the connection are removed.
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<Bytes>,
    /// Whether the request may be sent twice without harm. If not, it gets a new connection, since the server may
    /// close an idle connection just while it is used.
    pub repeatable: bool,
    /// Whether the request may use an idle connection, and whether its connection is kept open afterwards.
    pub connection: Connection,
    /// The kinds of content that are wanted.
    pub accept: Accept,
    /// The most decoded bytes of the body that are read: a longer body is cut off there, without a failure. `None`
    /// reads the whole body, within the limits.
    pub enough: Option<usize>,
    /// Statuses that mean "slow down", as 429 and 503 do: such an answer is
    /// [`Outcome::Refused`](opilio_core::Outcome::Refused).
    pub slow_down: Statuses,
    /// Statuses that are worth a retry: an answer with such a status is not stored in the cache. A status outside
    /// 100–599 that is named here is accepted as an answer.
    pub retried: Statuses,
    /// The purpose of the request: a page or robots.txt.
    pub purpose: Purpose,
    /// The name of the session that the request belongs to; `None` for the crawl's own session.
    pub session: Option<Arc<str>>,
    /// The proxy for this request, instead of the crawl's proxies.
    pub proxy: Option<Proxy>,
    /// Whether a chain of redirects has led back to this URL. Then the cached answer is the redirect that led
    /// away from it, so the cache is not read.
    pub came_back: bool,
}

/// The purpose of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Purpose {
    /// A page, or another document that the crawl asked for.
    #[default]
    Page,
    /// The robots.txt file of an origin.
    Robots,
}

impl FetchRequest {
    /// Returns a GET request without headers or body.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Returns a request. It is `repeatable` if its method is idempotent (RFC 9110 §9.2.2).
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        let repeatable = method.is_idempotent();
        let headers = HeaderMap::new();
        Self {
            url,
            method,
            headers,
            body: None,
            repeatable,
            connection: Connection::Keep,
            accept: Accept::Any,
            slow_down: Statuses::default(),
            retried: Statuses::default(),
            purpose: Purpose::Page,
            session: None,
            proxy: None,
            came_back: false,
            enough: None,
        }
    }
}
