//! The requests of a crawl that are more than a GET of a URL, by the pages that they led to.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;
use opilio_engine::Request;
use serde::Serialize;
use url::Url;

/// The requests that are more than a GET of a URL. Any other page is fetched again by its URL.
pub(crate) struct Requested<Step>(Mutex<RequestsByPage<Step>>);

type RequestsByPage<Step> = HashMap<RequestName, Vec<Request<Step>>>;

/// The facts by which the request of a page is found: those that a page has.
#[derive(PartialEq, Eq, Hash)]
struct RequestName {
    url: Url,
    /// The step as JSON.
    step: String,
    session: Option<String>,
}

impl RequestName {
    fn of<Step: Serialize>(url: &Url, step: &Step, session: Option<&str>) -> Option<Self> {
        let mut url = url.clone();
        url.set_fragment(None);
        // The two calls fail only for URLs that cannot have a login.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let session = session.filter(|name| !name.is_empty()).map(str::to_owned);
        Some(Self { url, step: serde_json::to_string(step).ok()?, session })
    }
}

impl<Step: Clone + Serialize> Requested<Step> {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Notes the requests of a page. `session` is the session of the page, and `resolve` makes a URL of a target.
    pub(crate) fn note(
        &self,
        session: Option<&str>,
        requests: &[Request<Step>],
        resolve: impl Fn(&str) -> Option<Url>,
    ) {
        for request in requests.iter().filter(|request| !request.is_bare()) {
            let session = request.session_name().or(session);
            let url = resolve(request.target());
            if let Some(name) = url.and_then(|url| RequestName::of(&url, request.step(), session)) {
                self.lock().entry(name).or_default().push(request.clone());
            }
        }
    }

    /// Returns the request that led to a page; `None` if it was a GET of the URL and nothing more.
    ///
    /// # Errors
    /// When the page may be the answer to a request that must not be sent again, since its method is not safe
    /// (RFC 9110 §9.2.1). The error is the method.
    pub(crate) fn of(
        &self,
        url: &Url,
        step: &Step,
        session: Option<&str>,
    ) -> Result<Option<Request<Step>>, String> {
        let all = self.lock();
        let Some(requests) = RequestName::of(url, step, session).and_then(|name| all.get(&name)) else {
            return Ok(None);
        };
        let is_safe =
            |method: &str| Method::from_bytes(method.as_bytes()).is_ok_and(|method| method.is_safe());
        match requests.iter().map(Request::method_name).find(|method| !is_safe(method)) {
            Some(method) => Err(method.to_owned()),
            None => Ok(requests.first().cloned()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RequestsByPage<Step>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
