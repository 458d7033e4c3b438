//! The three names of a web server (`Origin`, `Host`, `Group`), and for which rules each of them is used.
//!
//! | word | is | decides |
//! | --- | --- | --- |
//! | [`Origin`] | scheme, name, port | robots.txt, cookies, credentials |
//! | [`Host`] | name and port, 80 and 443 as one | budget, hold, in-flight limit |
//! | [`Group`] | registrable domain | the shard, the partition of a distributed crawl |

use std::fmt;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

/// The scheme http or https: Opilio requests no others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scheme {
    /// `http:`
    Http,
    /// `https:`
    Https,
}

impl Scheme {
    /// Both schemes, http first.
    pub const BOTH: [Self; 2] = [Self::Http, Self::Https];

    /// Returns the scheme of a URL; `None` if it is neither http nor https.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    /// Returns `http` or `https`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A value for each scheme, since a host has one origin of each. Serialized as an array, http first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerScheme<T>([T; 2]);

impl<T> PerScheme<T> {
    /// Creates a value for each scheme by calling the function.
    pub fn from_fn(value: impl FnMut(Scheme) -> T) -> Self {
        Self(Scheme::BOTH.map(value))
    }
}

impl<T> Index<Scheme> for PerScheme<T> {
    type Output = T;

    fn index(&self, scheme: Scheme) -> &T {
        &self.0[scheme as usize]
    }
}

impl<T> IndexMut<Scheme> for PerScheme<T> {
    fn index_mut(&mut self, scheme: Scheme) -> &mut T {
        &mut self.0[scheme as usize]
    }
}

/// Removes the user info from a text that may be a URL, so that it can be shown to people. The text need not
/// parse.
///
/// ```
/// # mod opilio { pub use opilio_core as core; }
/// use opilio::core::redacted;
///
/// assert_eq!(redacted("htp://me:secret@x/a@b"), "htp://…@x/a@b");
/// assert_eq!(redacted("http://x/a@b"), "http://x/a@b");
/// ```
#[must_use]
pub fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("//") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}//…{}", &rest[at..]),
        None => text.to_owned(),
    }
}

/// The reason why a URL does not name a web server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The scheme is neither http nor https.
    #[error("scheme {0:?} is neither http nor https")]
    Scheme(String),
    /// The URL begins with a name and a port, so the text before the colon is not a scheme.
    #[error("the URL has no scheme: write http:// or https:// in front")]
    NoScheme,
    /// The URL has no host.
    #[error("the URL has no host")]
    NoHost,
    /// The host has two dots in a row, or begins with a dot. The URL standard allows this, but no DNS name
    /// has an empty label, and resolvers disagree on the meaning.
    #[error("the host {0:?} has an empty label")]
    EmptyLabel(String),
}

/// The unit that has a budget: the lower-case IDNA name without trailing dot (or the canonical IP address),
/// and the port, where 80 and 443 count as the same.
///
/// All spellings of one server (case, default port, trailing dot, user info, http or https) give the same
/// `Host`, hence one budget.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

impl Host {
    /// Returns the host that serves a URL.
    ///
    /// # Errors
    /// When the scheme is neither http nor https, or the URL has no host that could have an address.
    pub fn of(url: &Url) -> Result<Self, NameError> {
        if Scheme::of(url).is_none() {
            if url.cannot_be_a_base() && begins_with_port(url.path()) {
                return Err(NameError::NoScheme);
            }
            return Err(NameError::Scheme(url.scheme().to_owned()));
        }
        let name = url.host_str().ok_or(NameError::NoHost)?;
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() {
            return Err(NameError::NoHost);
        }
        if name.split('.').any(str::is_empty) {
            return Err(NameError::EmptyLabel(name.to_owned()));
        }
        Ok(match url.port() {
            None | Some(80 | 443) => Self(name.into()),
            Some(port) => Self(format!("{name}:{port}").into()),
        })
    }

    /// Returns the host with this name and port, as [`as_str`](Self::as_str) returned them.
    pub(crate) fn of_canonical(host: &str) -> Self {
        Self(host.into())
    }

    /// Returns `name`, or `name:port` if the port is neither 80 nor 443.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name without the port. An IPv6 address keeps its brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => &self.0,
        }
    }

    /// Whether the name is an IP address.
    #[must_use]
    pub fn is_address(&self) -> bool {
        let name = self.name();
        name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok()
    }

    /// Returns the group that this host belongs to.
    #[must_use]
    pub fn group(&self) -> Group {
        if self.is_address() {
            return Group(self.0.clone());
        }
        let name = self.name();
        // A name that is itself a public suffix, or has none, forms a group of its own.
        let domain = registrable_domain(name).unwrap_or(name);
        Group(domain.into())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the registrable domain of a name in lower case: its public suffix and one label more. `None` for a name
/// that is itself a public suffix (<https://publicsuffix.org>).
#[must_use]
pub fn registrable_domain(name: &str) -> Option<&str> {
    psl2::lookup(name)?.registrable_domain()
}

/// The registrable domain of a name (public suffix list), or the host itself for an address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Group(Arc<str>);

impl Group {
    /// Returns the registrable domain, or the address with its port.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the number of the shard for this group, out of `shards`. It depends only on the name and on
    /// `shards`.
    ///
    /// # Panics
    /// Never; zero shards count as one.
    #[must_use]
    pub fn shard(&self, shards: usize) -> usize {
        let hash = xxhash_rust::xxh3::xxh3_64(self.0.as_bytes());
        (hash % shards.max(1) as u64) as usize
    }
}

/// Scheme, name and port: the unit of robots.txt, cookies and credentials (RFC 6454).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    /// The scheme: http or https.
    pub scheme: Scheme,
    /// The name and the port; the ports 80 and 443 are left out.
    pub host: Host,
}

impl Origin {
    /// Returns the origin of a URL.
    ///
    /// # Errors
    /// When the scheme is neither http nor https, or the URL has no host.
    pub fn of(url: &Url) -> Result<Self, NameError> {
        let host = Host::of(url)?;
        let scheme = Scheme::of(url).ok_or_else(|| NameError::Scheme(url.scheme().to_owned()))?;
        Ok(Self { scheme, host })
    }
}

/// Returns whether a text of the form `name:rest` has a port number at the start of `rest`.
fn begins_with_port(text: &str) -> bool {
    text.split('/').next().is_some_and(|port| !port.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn host(url: &str) -> Host {
        Host::of(&Url::parse(url).unwrap()).unwrap()
    }

    #[test]
    fn one_server_written_in_many_ways_is_one_host() {
        for url in [
            "http://example.com/",
            "https://example.com/a",
            "http://EXAMPLE.com:80",
            "https://example.com:443/",
            "http://user:secret@example.com./",
        ] {
            assert_eq!(host(url).as_str(), "example.com", "{url}");
        }
        assert_eq!(host("http://bücher.example/"), host("http://xn--bcher-kva.example/"));
        assert_eq!(host("http://127.1:8080/"), host("http://0x7f.0.0.1:8080/"));
    }

    #[test]
    fn another_port_is_another_host() {
        assert_ne!(host("http://example.com:8080/"), host("http://example.com/"));
        assert_eq!(host("http://[::1]:8080/").name(), "[::1]");
        assert_eq!(host("http://[::1]/").name(), "[::1]");
    }

    #[test]
    fn a_group_is_the_registrable_domain_or_the_address() {
        assert_eq!(host("http://a.b.example.co.uk/").group().as_str(), "example.co.uk");
        assert_eq!(host("http://127.0.0.1:81/").group().as_str(), "127.0.0.1:81");
        assert_eq!(host("http://localhost:81/").group().as_str(), "localhost");
    }

    #[test]
    fn a_name_with_an_empty_label_is_no_second_host_of_its_server() {
        for url in ["http://example.com../", "http://a..example/", "http://.example/", "http://0x7f..:80/"] {
            let error = Host::of(&Url::parse(url).unwrap()).unwrap_err();
            assert!(matches!(error, NameError::EmptyLabel(_)), "{url}: {error}");
        }
        assert!(matches!(Host::of(&Url::parse("http://./").unwrap()), Err(NameError::NoHost)));
    }

    #[test]
    fn other_schemes_are_refused_by_name() {
        let url = Url::parse("ftp://example.com/").unwrap();
        assert_eq!(Host::of(&url), Err(NameError::Scheme("ftp".into())));
    }
}
