//! A record that is ready to be fetched. Its URL is parsed once, and its data is decoded once.
//!
//! A [`PreparedRequest`] is made when a lease is first started. The host passes it to the fetcher, and the fetcher
//! passes it to the spider runner. Hosts and fetchers read how the request is sent; the rest is for the spider.

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

/// The result of reading a record. An error is passed on in the same way as a request, since the spider
/// runner reports it.
pub type Prepared = Result<Box<PreparedRequest>, RequestDataError>;

/// A request as the spider asked for it. The header fields from the settings of host, session and crawl are
/// added later.
#[derive(Debug)]
pub struct SentRequest {
    /// The method: GET, unless the spider chose another one.
    pub method: Method,
    /// The header fields of this request alone, with the validators (such as an entity tag) of a page that was
    /// fetched before.
    pub headers: HeaderMap,
    /// The body to send.
    pub body: Option<Bytes>,
    /// The name of the session; `None` means the crawl's own session.
    pub session: Option<Arc<str>>,
    /// The proxy for this request; `None` means the crawl's proxy.
    pub proxy: Option<Proxy>,
    /// Whether this URL occurs twice in its chain of redirects.
    pub came_back: bool,
    /// Whether the request may be sent again although the server may have received it.
    pub repeatable: bool,
}

impl PreparedRequest {
    /// Reads a record. This is the only function that parses the URL of a lease and decodes `Record::extra`.
    ///
    /// # Errors
    /// When this version of Opilio cannot read the record.
    pub fn read(record: &Record) -> Prepared {
        let url = Url::parse(&record.url).map_err(RequestDataError::Url)?;
        Ok(Box::new(Self { url, data: RequestData::of(record)? }))
    }

    /// Returns the URL of the record.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns how the answer is read.
    pub fn reads(&self) -> Reads {
        self.data.reads
    }

    /// Returns the number of retries of this request; `None` means the number of the retry policy.
    pub fn retries(&self) -> Option<u16> {
        self.data.options.as_ref()?.retries
    }

    /// Returns the request to send. Returns `None` if HTTP does not allow such a request; no version of Opilio writes
    /// such a record.
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
        sent.came_back = options.chain.as_ref().is_some_and(|chain| chain.has(own));
        sent.proxy = options.proxy.as_deref().map(str::parse).transpose().ok()?;
        sent.session = options.session.as_deref().map(Into::into);
        sent.body = options.body.clone().map(Into::into);
        sent.repeatable = options.repeatable || sent.method.is_idempotent();
        Some(())
    }
}
