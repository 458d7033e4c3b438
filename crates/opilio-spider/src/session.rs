//! Sessions and credentials, and the rules that say to which origins credentials are sent.
//!
//! A login belongs to one origin (scheme, name and port; RFC 6454). It is never sent to another origin, not even
//! after a redirect. Secrets are left out of `Debug` output, errors and logs.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::header::{BadHeader, header as field};

/// A login, as the value of the header field `Authorization`.
#[derive(Clone, PartialEq, Eq)]
pub struct Login(HeaderValue);

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

impl Login {
    /// Makes a login from a user name and a password (RFC 7617). Fails if the user name holds a colon, since the
    /// server takes the first colon for the end of the user name.
    pub fn basic(user: &str, password: &str) -> Result<Self, BadHeader> {
        if user.contains(':') {
            return Err(BadHeader::of("authorization"));
        }
        Self::read(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
    }

    /// Makes a login from a token (RFC 6750).
    pub fn bearer(token: &str) -> Result<Self, BadHeader> {
        let token = token.trim();
        if token.is_empty() || token.contains(char::is_whitespace) {
            return Err(BadHeader::of("authorization"));
        }
        Self::read(&format!("Bearer {token}"))
    }

    /// Makes a login from the user name and the password in a URL. Returns `None` if the URL has neither.
    pub fn of_url(url: &Url) -> Option<Self> {
        if url.username().is_empty() && url.password().is_none() {
            return None;
        }
        let text = |escaped| percent_decode_str(escaped).decode_utf8_lossy().into_owned();
        Self::basic(&text(url.username()), &text(url.password().unwrap_or_default())).ok()
    }

    /// Returns the value of the header field `Authorization`.
    pub fn value(&self) -> HeaderValue {
        self.0.clone()
    }

    fn read(value: &str) -> Result<Self, BadHeader> {
        // `field` marks the value as sensitive, so that `Debug` does not print it.
        field("authorization", value).map(|(_, value)| Self(value))
    }
}

/// The logins of the crawl, by origin.
#[derive(Clone, Debug, Default)]
pub struct Logins(HashMap<String, Login>);

impl Logins {
    /// Adds a login for the origin of a URL.
    pub fn add(&mut self, url: &Url, login: Login) {
        self.0.insert(url.origin().ascii_serialization(), login);
    }

    fn of(&self, url: &Url) -> Option<&Login> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&url.origin().ascii_serialization())
    }
}

/// The settings that all requests of a named session share. Each session has cookies of its own, even without
/// any settings.
///
/// ```
/// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
/// use opilio::Session;
///
/// let alice = Session::new()
///     .header("accept-language", "de")?
///     .basic("https://shop.example", "alice", "secret")?;
/// # let _ = alice;
/// # Ok::<(), opilio_spider::BadSession>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Session {
    headers: HeaderMap,
    logins: Logins,
}

impl Session {
    /// Makes a session that has cookies of its own and no other settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header field to each request of the session, whatever its host.
    ///
    /// # Errors
    /// When HTTP does not allow the field, or the field is a credential. Credentials are sent to one origin only: see
    /// [`Session::basic`] and [`Session::bearer`].
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, BadSession> {
        let (name, value) = field(name, value)?;
        if is_credential(&name) {
            return Err(BadSession::Everywhere { name: name.as_str().to_owned() });
        }
        self.headers.append(name, value);
        Ok(self)
    }

    /// Sends a user name and a password (RFC 7617) to one origin, such as `https://shop.example`.
    ///
    /// # Errors
    /// When the text is not an origin, or the user name holds a colon.
    pub fn basic(self, origin: &str, user: &str, password: &str) -> Result<Self, BadSession> {
        self.log_in(origin, Login::basic(user, password)?)
    }

    /// Sends a token (RFC 6750) to one origin.
    ///
    /// # Errors
    /// When the text is not an origin, or the token is empty or holds white space.
    pub fn bearer(self, origin: &str, token: &str) -> Result<Self, BadSession> {
        self.log_in(origin, Login::bearer(token)?)
    }

    fn log_in(mut self, origin: &str, login: Login) -> Result<Self, BadSession> {
        let refuse = || BadSession::Origin { origin: origin.to_owned() };
        let url = Url::parse(origin).map_err(|_| refuse())?;
        if !matches!(url.scheme(), "http" | "https") || !matches!(url.path(), "" | "/") {
            return Err(refuse());
        }
        self.logins.add(&url, login);
        Ok(self)
    }

    /// Adds the header fields and the login of the session to those of a request. Fields that the request already has
    /// are not changed.
    pub fn dress(&self, url: &Url, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        log_in(&self.logins, url, headers);
    }
}

/// The reason why a setting of a session cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSession {
    /// HTTP does not allow the header field.
    #[error(transparent)]
    Header(#[from] BadHeader),
    /// The header field is a credential, and would be sent to every host.
    #[error("{name} would be sent to every host: use Session::basic or Session::bearer instead")]
    Everywhere {
        /// The name of the header field.
        name: String,
    },
    /// The text is not an origin.
    #[error("{origin:?} is not an origin: write https://shop.example, with a port if it needs one")]
    Origin {
        /// The text that was given.
        origin: String,
    },
}

/// Adds the login for the URL's origin to the header fields of a request, unless the request already has a login.
pub fn log_in(logins: &Logins, url: &Url, headers: &mut HeaderMap) {
    if let Some(login) = logins.of(url) {
        headers.entry(header::AUTHORIZATION).or_insert_with(|| login.value());
    }
}

/// Returns whether a header field may hold a credential. Such a field must not be sent to other origins and must not
/// appear in logs.
pub fn is_credential(name: &HeaderName) -> bool {
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION].contains(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn user_info_is_decoded_and_kept_to_its_origin() {
        let mut logins = Logins::default();
        let seed = url("https://alice:p%40ss%3Aword@shop.example/a");
        logins.add(&seed, Login::of_url(&seed).unwrap());
        let sent = |at: &str| {
            let mut headers = HeaderMap::new();
            log_in(&logins, &url(at), &mut headers);
            headers.get(header::AUTHORIZATION).cloned()
        };
        // The user name and the password, decoded: alice and p@ss:word.
        let value = sent("https://shop.example:443/b").unwrap();
        assert_eq!(value, "Basic YWxpY2U6cEBzczp3b3Jk");
        assert!(value.is_sensitive());
        for other in [
            "http://shop.example/",
            "https://shop.example:8443/",
            "https://www.shop.example/",
            "https://evil.example/",
        ] {
            assert_eq!(sent(other), None, "{other}");
        }
        assert!(!format!("{logins:?}").contains("YWxp"));
        assert_eq!(Login::of_url(&url("https://shop.example/")), None);
    }

    #[test]
    fn a_session_tells_no_secret_to_every_host() {
        for name in ["authorization", "Cookie", "Proxy-Authorization"] {
            let error = Session::new().header(name, "secret").unwrap_err();
            assert!(matches!(error, BadSession::Everywhere { .. }) && !error.to_string().contains("secret"));
        }
        for origin in ["shop.example", "ftp://shop.example", "https://shop.example/login", ""] {
            assert!(Session::new().bearer(origin, "t").is_err(), "{origin}");
        }
        for token in ["", "a b", "a\nb"] {
            assert!(Session::new().bearer("https://shop.example", token).is_err(), "{token:?}");
        }
        assert!(Login::basic("a:b", "c").is_err());
    }

    #[test]
    fn what_a_request_has_of_its_own_stays() {
        let session =
            Session::new().header("x-a", "session").unwrap().bearer("http://a.example", "t").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-a", HeaderValue::from_static("own"));
        session.dress(&url("http://a.example/x"), &mut headers);
        assert_eq!(
            (headers["x-a"].to_str().unwrap(), headers["authorization"].to_str().unwrap()),
            ("own", "Bearer t")
        );
    }
}
