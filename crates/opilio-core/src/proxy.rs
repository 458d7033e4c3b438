//! The URL of a proxy. If there are several proxies, the transport decides which of them carries a request.

use std::fmt;
use std::sync::Arc;

use url::Url;

/// A forward proxy, given by its URL: `http://`, `https://` or `socks5://`, with user info if it requires a
/// login.
///
/// ```
/// # mod opilio { pub use opilio_core as fetch; }
/// use opilio::fetch::Proxy;
///
/// let proxy: Proxy = "http://me:secret@proxy.example:3128".parse()?;
/// assert_eq!(proxy.to_string(), "http://proxy.example:3128/");
/// assert!("proxy.example:3128".parse::<Proxy>().is_err());
/// # Ok::<(), opilio::fetch::BadProxy>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy(Arc<Url>);

impl std::str::FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let mut url = Url::parse(text.trim()).map_err(|_| BadProxy(()))?;
        let usable = url.host_str().is_some_and(|host| !host.is_empty())
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        match url.scheme() {
            "http" | "https" if usable => {}
            // Both schemes become `socks5h`, so that the proxy resolves host names: an address that we
            // resolved might not be valid in the proxy's network.
            "socks5" | "socks5h" if usable => url.set_scheme("socks5h").map_err(|()| BadProxy(()))?,
            _ => return Err(BadProxy(())),
        }
        Ok(Self(Arc::new(url)))
    }
}

impl Proxy {
    /// Whether the proxy's URL contains a login.
    #[must_use]
    pub fn has_login(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    /// Returns the proxy's URL with its login, for connecting to the proxy. No other function shows the
    /// login.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = (*self.0).clone();
        // Both calls fail only for URLs that cannot have user info.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        fmt::Display::fmt(&url, f)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error for a text that is not the address of a proxy. It does not show the text, which may contain a
/// password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is not a proxy address: write http://host:port, https://host:port or socks5://host:port")]
pub struct BadProxy(());

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_proxy_is_a_url_of_its_own_kind_and_its_login_is_not_shown() {
        for text in [
            "",
            "proxy:3128",
            "ftp://p/",
            "http://",
            "http://p/path",
            "http://p/?q",
            "socks4://p",
            "http://me:s3cret@/",
        ] {
            let error = text.parse::<Proxy>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{text}");
        }
        let proxy: Proxy = " socks5://me:s3cret@p:1080 ".parse().unwrap();
        assert_eq!(format!("{proxy} {proxy:?}"), "socks5h://p:1080 socks5h://p:1080");
        assert!(proxy.expose().contains("s3cret"));
    }
}
