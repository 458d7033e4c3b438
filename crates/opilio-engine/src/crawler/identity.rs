//! The settings of how the crawler identifies itself: user agent, header fields, cookies, sessions.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use opilio_fetch::{Cookies, KeptCookies, USER_AGENT};
use opilio_spider::{BadHeader, CrawlError, Session, Spider, header, is_credential};

use super::Crawler;
use crate::clock::Clock;

/// The values by which requests identify the crawler. An error in a header field is stored here until the
/// crawl starts.
#[derive(Clone)]
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
                // A value that is sent to every host is not a secret.
                value.set_sensitive(false);
                headers.append(name, value);
            }
            Err(error) => self.headers = Err(error),
        }
    }

    /// Removes from the settings, and returns, the header fields that every request gets.
    ///
    /// # Errors
    /// When one of the fields cannot be sent, or holds a secret.
    pub(super) fn take_headers(&mut self) -> Result<HeaderMap, CrawlError> {
        let headers = std::mem::replace(&mut self.headers, Ok(HeaderMap::new()))?;
        match headers.keys().find(|name| is_credential(name)) {
            Some(name) => Err(CrawlError::SecretForAll { name: name.to_string() }),
            None => Ok(headers),
        }
    }

    /// Returns the value of the header field `User-Agent`.
    ///
    /// # Errors
    /// When the text contains characters that a header field cannot have.
    pub(super) fn user_agent_value(&self) -> Result<HeaderValue, CrawlError> {
        HeaderValue::from_str(&self.user_agent)
            .map_err(|source| CrawlError::UserAgent { user_agent: self.user_agent.clone(), source })
    }

    /// Makes the store of cookies, with the cookies that earlier runs kept in `file`. Returns `None` if the crawl
    /// keeps no cookies.
    pub(super) fn cookies(&self, clock: Clock, file: Option<&Path>, resumed: bool) -> Option<Arc<Cookies>> {
        let cookies = self.cookies.then(|| Arc::new(Cookies::new(move || clock.unix_millis() / 1_000)))?;
        if let Some(file) = file {
            KeptCookies::recall(&cookies, file, resumed);
        }
        Some(cookies)
    }
}

/// Settings of how the crawler identifies itself.
impl<S: Spider> Crawler<S> {
    /// Sets the user agent that requests send. The same name selects the rules of robots.txt that apply to the
    /// crawler. It should contain a contact address.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.choices.identity.user_agent = user_agent.into();
        self
    }

    /// Adds a header field to every request, whatever its host. A field from the settings of the host, from a session
    /// or from the request itself takes precedence. Secrets have to be set for one host only: see
    /// [`HostSettings::basic`](crate::HostSettings::basic) and [`Session`]. A name or value that no header field can
    /// have is an error when the crawl starts.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.choices.identity.add(name, value);
        self
    }

    /// Turns cookies off: the crawl neither keeps nor sends cookies. By default cookies are kept for as long
    /// as the crawl runs, as browsers and most crawlers do: to a client without cookies, many sites show only
    /// their consent or login page. See [`opilio_fetch::Cookies`] for which cookies are kept, and which
    /// requests get them.
    ///
    /// A crawl with a [`state`](Self::state) directory keeps its cookies there, in a file that only its owner may
    /// read, and a resumed crawl uses them again. If a crawl is resumed without cookies, that file stays as it is.
    #[must_use]
    pub fn no_cookies(mut self) -> Self {
        self.choices.identity.cookies = false;
        self
    }

    /// Sets the settings of a named session, which apply to all its requests: see
    /// [`Request::session`](crate::Request::session). A session without settings differs from others only by its own
    /// cookies.
    #[must_use]
    pub fn session(mut self, name: impl Into<String>, session: Session) -> Self {
        self.choices.identity.sessions.insert(name.into(), session);
        self
    }
}
