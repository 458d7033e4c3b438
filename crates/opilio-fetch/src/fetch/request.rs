//! The request of one attempt.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use opilio_core::{Proxy, Statuses};
use url::Url;

use crate::head::Accept;
use crate::transport::Connection;

/// One attempt to make.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// An absolute URL. Fragment and user info are not sent.
    pub url: Url,
    /// The method.
    pub method: Method,
    /// The request's own headers; they go before the fetcher's. Framing and connection are not
    /// theirs to set.
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<Bytes>,
    /// Sending it twice does no harm. If not, it goes over a connection of its own.
    pub repeatable: bool,
    /// Which connection to use, and whether to keep it.
    pub connection: Connection,
    /// Which kinds of content are wanted.
    pub accept: Accept,
    /// This many decoded bytes of the body are enough, whatever the limits: a longer body is cut there
    /// without a failure, and its rest is not read. `None` reads all of it, within the limits.
    pub enough: Option<usize>,
    /// Answers with these statuses are [`Outcome::Refused`]: they mean "slow down", as 429 and 503 do.
    pub slow_down: Statuses,
    /// Answers with these statuses are worth a retry: none is kept in the cache, and one outside 100–599 is
    /// an answer all the same.
    pub retried: Statuses,
    /// The purpose of the request.
    pub purpose: Purpose,
    /// The session that it belongs to; none for the crawl's own.
    pub session: Option<Arc<str>>,
    /// The proxy to go through, instead of the crawl's.
    pub proxy: Option<Proxy>,
    /// A chain of redirects has led back to this URL. The cached answer is the redirect that led away, so it
    /// must not be used.
    pub came_back: bool,
}

/// The purpose of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Purpose {
    /// A page of the crawl.
    #[default]
    Page,
    /// The robots.txt of an origin.
    Robots,
}

impl FetchRequest {
    /// A plain GET.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A request; repeatable if its method is idempotent (RFC 9110 §9.2.2).
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
