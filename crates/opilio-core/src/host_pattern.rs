//! Patterns that name hosts in settings: one host, or a domain with all names below it.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::name::Host;

/// A pattern for hosts: `host[:port]` for one host, or `*.example.com` for a domain and all names below it.
///
/// It is printed with the name as [`Host`] writes it: lower-case IDNA, without the ports 80 and 443.
///
/// ```
/// use opilio_core::{Host, HostPattern};
///
/// let below: HostPattern = "*.Example.com".parse()?;
/// assert_eq!(below.to_string(), "*.example.com");
/// assert!(below.matches(&Host::of(&"https://www.example.com/".parse()?)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    host: Host,
    /// Whether the pattern also matches the names below the domain.
    below: bool,
}

/// The error for a text that is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} does not name a host: write host, host:port or *.example.com")]
pub struct BadHostPattern {
    pattern: String,
}

impl HostPattern {
    /// Returns whether the pattern matches this host.
    ///
    /// `*.example.com` matches any port, `*.example.com:81` only port 81.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        *host == self.host
            || self.below && {
                let domain = self.host.as_str();
                host.name() == domain || is_below(host.as_str(), domain) || is_below(host.name(), domain)
            }
    }

    /// Returns a key that sorts patterns by how exact they are: one host is more exact than a domain, and a longer
    /// name is more exact than a shorter one.
    #[must_use]
    pub fn exactness(&self) -> (bool, usize) {
        (!self.below, self.host.as_str().len())
    }
}

impl FromStr for HostPattern {
    type Err = BadHostPattern;

    /// Reads a pattern. Case, IDNA and default ports are treated as in URLs.
    fn from_str(text: &str) -> Result<Self, BadHostPattern> {
        let refuse = || BadHostPattern { pattern: text.to_owned() };
        let text = text.trim();
        let name = text.strip_prefix("*.").unwrap_or(text);
        if name.is_empty() || name.contains(|c: char| "/@?#*\\".contains(c) || c.is_whitespace()) {
            return Err(refuse());
        }
        let url = Url::parse(&format!("http://{name}/")).map_err(|_| refuse())?;
        let host = Host::of(&url).map_err(|_| refuse())?;
        Ok(Self { host, below: name.len() < text.len() })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.host)
    }
}

/// Returns whether a name is below a domain. The domain is not below itself.
#[must_use]
pub fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_pattern_is_spelt_as_hosts_are() {
        let spelt = |text: &str| text.parse::<HostPattern>().unwrap().to_string();
        for (text, is) in [
            ("*.A.example", "*.a.example"),
            (" A.example:443 ", "a.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("127.1:8080", "127.0.0.1:8080"),
        ] {
            assert_eq!(spelt(text), is, "{text}");
        }
        for text in
            ["", "*", "*.", "*.*.a", "http://a.example", "a.example/x", "user@a.example", "a b", "a\\b"]
        {
            assert!(text.parse::<HostPattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_domain_matches_itself_and_all_below_it_on_its_ports() {
        let matches = |pattern: &str, url: &str| {
            let host = Host::of(&Url::parse(url).unwrap()).unwrap();
            pattern.parse::<HostPattern>().unwrap().matches(&host)
        };
        for url in
            ["http://a.example/", "http://b.a.example/", "http://c.b.a.example:81/", "http://a.example:81/"]
        {
            assert!(matches("*.a.example", url), "{url}");
        }
        assert!(!matches("*.a.example", "http://ba.example/"));
        assert!(matches("*.a.example:81", "http://b.a.example:81/"));
        assert!(!matches("*.a.example:81", "http://b.a.example/"));
        assert!(matches("a.example", "https://a.example/"));
        assert!(!matches("a.example", "https://a.example:81/"));
        assert!(!matches("a.example", "http://b.a.example/"));
    }
}
