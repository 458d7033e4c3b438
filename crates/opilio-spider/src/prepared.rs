//! A record as its lease is fetched: its URL parsed and its data decoded, once for all who carry it.
//!
//! Hosts and fetchers carry a [`PreparedRequest`] from the first start of a lease to the spider runner. They read
//! how it is sent, and nothing of what it means to the spider.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use opilio_core::{Proxy, Record};
use url::Url;

use crate::admission::fingerprint_of;
use crate::data::{Reads, RequestData, RequestDataError, RequestOptions};
use crate::scope::Scope;
use crate::session::is_credential;

/// A record whose URL is parsed and whose data is decoded.
#[derive(Debug)]
pub struct PreparedRequest {
    pub(crate) url: Url,
    pub(crate) data: RequestData,
}

/// What becomes of reading a record. An error travels as the request would, since the spider's side reports it.
pub type Prepared = Result<Box<PreparedRequest>, RequestDataError>;

/// A request as it is sent, without what host, session and crawl add.
#[derive(Debug)]
pub struct SentRequest {
    /// GET, unless the spider asked for another one.
    pub method: Method,
    /// Header fields of this request alone, and those that ask whether a known page has changed.
    pub headers: HeaderMap,
    /// A body to send.
    pub body: Option<Bytes>,
    /// The session that it belongs to; `None` is the crawl's own.
    pub session: Option<Arc<str>>,
    /// The proxy that it goes through, instead of the crawl's.
    pub proxy: Option<Proxy>,
    /// A chain of redirects has come back to this URL.
    pub came_back: bool,
    /// It may be sent twice although the first one may have reached the server.
    pub repeatable: bool,
}

impl PreparedRequest {
    /// Reads a record. The one place where a lease's `extra` is decoded and its URL is parsed.
    ///
    /// # Errors
    /// When this version did not write the record.
    pub fn read(record: &Record) -> Prepared {
        let url = Url::parse(&record.url).map_err(RequestDataError::Url)?;
        Ok(Box::new(Self { url, data: RequestData::of(record)? }))
    }

    /// The URL of the record.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How its answer is read.
    pub fn reads(&self) -> Reads {
        self.data.reads
    }

    /// Retries instead of the policy's.
    pub fn retries(&self) -> Option<u16> {
        self.data.options.as_ref()?.retries
    }

    /// The request that is sent for it; `None` if HTTP does not allow it, as no version of Opilio writes one.
    pub fn sent(&self, record: &Record, scope: &Scope) -> Option<SentRequest> {
        let mut sent = SentRequest {
            method: Method::GET,
            headers: HeaderMap::new(),
            body: None,
            session: None,
            proxy: None,
            came_back: false,
            repeatable: true,
        };
        if let Some(validators) = &record.validators {
            validators.ask(&mut sent.headers);
        }
        if let Some(options) = &self.data.options {
            self.apply(options, scope, &mut sent)?;
        }
        Some(sent)
    }

    fn apply(&self, options: &RequestOptions, scope: &Scope, sent: &mut SentRequest) -> Option<()> {
        if let Some(method) = &options.method {
            sent.method = Method::from_bytes(method.as_bytes()).ok()?;
        }
        for (name, value) in &options.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let mut value = HeaderValue::from_bytes(value).ok()?;
            value.set_sensitive(is_credential(&name));
            sent.headers.append(name, value);
        }
        let own = fingerprint_of(scope, &self.url, Some(options), self.data.reads);
        sent.came_back = options.origin.as_ref().is_some_and(|chain| chain.has(own));
        sent.proxy = options.proxy.as_deref().map(str::parse).transpose().ok()?;
        sent.session = options.session.as_deref().map(Into::into);
        sent.body = options.body.clone().map(Into::into);
        sent.repeatable = options.repeatable || sent.method.is_idempotent();
        Some(())
    }
}
