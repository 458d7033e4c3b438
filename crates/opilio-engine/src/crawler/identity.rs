//! Who the crawler says it is: user agent, header fields, cookies, sessions.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use opilio_fetch::{Cookies, KeptCookies, USER_AGENT};
use opilio_spider::{BadHeader, CrawlError, Session, Spider, header, is_credential};

use super::Crawler;
use crate::clock::Clock;

/// What requests say of the crawler. A header field that cannot be sent is kept as an error until the crawl starts.
pub(super) struct CrawlerIdentity {
    pub(super) user_agent: String,
    headers: Result<HeaderMap, BadHeader>,
    pub(super) cookies: bool,
    pub(super) sessions: HashMap<String, Session>,
}

impl Default for CrawlerIdentity {
    fn default() -> Self {
        Self {
            user_agent: USER_AGENT.to_owned(),
            headers: Ok(HeaderMap::new()),
            cookies: true,
            sessions: HashMap::new(),
        }
    }
}

impl CrawlerIdentity {
    fn add(&mut self, name: &str, value: &str) {
        let Ok(headers) = &mut self.headers else { return };
        match header(name, value) {
            Ok((name, mut value)) => {
                // A value that every host is told is no secret.
                value.set_sensitive(false);
                headers.append(name, value);
            }
            Err(error) => self.headers = Err(error),
        }
    }

    /// The header fields of every request.
    ///
    /// # Errors
    /// When one of them cannot be sent, or is a secret.
    pub(super) fn take_headers(&mut self) -> Result<HeaderMap, CrawlError> {
        let headers = std::mem::replace(&mut self.headers, Ok(HeaderMap::new()))?;
        match headers.keys().find(|name| is_credential(name)) {
            Some(name) => Err(CrawlError::SecretForAll { name: name.to_string() }),
            None => Ok(headers),
        }
    }

    /// The value of the header field `User-Agent`.
    ///
    /// # Errors
    /// When the text cannot stand in a header.
    pub(super) fn user_agent_value(&self) -> Result<HeaderValue, CrawlError> {
        HeaderValue::from_str(&self.user_agent)
            .map_err(|source| CrawlError::UserAgent { user_agent: self.user_agent.clone(), source })
    }

    /// The cookies of the crawl, with those of earlier runs; `None` if it keeps none.
    pub(super) fn cookies(&self, clock: Clock, file: Option<&Path>, resumed: bool) -> Option<Arc<Cookies>> {
        let cookies = self.cookies.then(|| Arc::new(Cookies::new(move || clock.unix_millis() / 1_000)))?;
        if let Some(file) = file {
            KeptCookies::recall(&cookies, file, resumed);
        }
        Some(cookies)
    }
}

/// Who the crawler says it is.
impl<S: Spider> Crawler<S> {
    /// The user agent in requests, which is also the name that robots.txt rules are read for. It should name a contact.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.identity.user_agent = user_agent.into();
        self
    }

    /// A header field of every request, whatever its host. Fields of the host's settings, of a session or of the request
    /// itself take precedence. Secrets belong to one host: see [`HostSettings::basic`](crate::HostSettings::basic)
    /// and [`Session`]. A name or value that no header field can have is an error when the crawl starts.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.identity.add(name, value);
        self
    }

    /// Neither keeps nor sends cookies. By default cookies are kept for as long as the crawl runs, as
    /// browsers and most crawlers do: many sites show a client without cookies nothing but their consent or login
    /// page. See [`opilio_fetch::Cookies`] for what is kept, and which requests get it.
    ///
    /// A crawl with a [`state`](Self::state) keeps them there, in a file that only its owner may read, and goes
    /// on with them; one that is resumed without cookies leaves that file as it is.
    #[must_use]
    pub fn no_cookies(mut self) -> Self {
        self.identity.cookies = false;
        self
    }

    /// Settings of a named session, for all its requests: see [`Request::session`](crate::Request::session).
    /// A session without settings has cookies of its own and nothing else.
    #[must_use]
    pub fn session(mut self, name: impl Into<String>, session: Session) -> Self {
        self.identity.sessions.insert(name.into(), session);
        self
    }
}
