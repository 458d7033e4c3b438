//! The cookies of one session: decides which cookies are accepted, sent and evicted.

use std::collections::HashMap;
use std::net::IpAddr;

use http::HeaderValue;
use opilio_core::{is_below, registrable_domain};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::parse::{self, ParsedCookie};

/// The cookies of one session (RFC 6265bis §5.7), with a limited number and size.
///
/// ```
/// # mod opilio { pub use opilio_fetch as fetch; }
/// use opilio::fetch::Jar;
/// use url::Url;
///
/// let mut jar = Jar::default();
/// let shop = Url::parse("https://www.shop.example/login")?;
/// jar.set(&shop, b"sid=7; Domain=shop.example; Secure; Max-Age=60", 0)?;
/// jar.set(&shop, b"all=1; Domain=example", 0).unwrap_err(); // a public suffix
///
/// let cart = Url::parse("https://cart.shop.example/")?;
/// assert_eq!(jar.of(&cart, 59), Some(vec![("sid".into(), "7".into())]));
/// assert_eq!(jar.of(&cart, 60), None);
/// assert_eq!(jar.of(&Url::parse("http://cart.shop.example/")?, 59), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Jar {
    /// The cookies by registrable domain, or by host if the host has no registrable domain. A cookie is never sent
    /// to a host of another registrable domain.
    groups: HashMap<Box<str>, DomainCookies>,
    bytes: usize,
    /// A counter that gives the cookies their order of creation and of use.
    tick: u64,
}

#[derive(Debug, Default)]
struct DomainCookies {
    cookies: Vec<KeptCookie>,
    used: u64,
}

/// A cookie that was accepted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptCookie {
    #[serde(with = "octets")]
    name: Vec<u8>,
    #[serde(with = "octets")]
    value: Vec<u8>,
    domain: Box<str>,
    path: String,
    host_only: bool,
    secure: bool,
    expires: Option<i64>,
    created: u64,
    #[serde(skip)]
    used: u64,
}

/// The reason why a cookie was not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The cookie cannot be read, has no name, or contains control characters.
    #[error("the cookie is malformed")]
    Malformed,
    /// Name and value together have more than 4,096 bytes.
    #[error("the cookie is too large")]
    TooLarge,
    /// The cookie is for a domain that does not contain the host, or for a public suffix.
    #[error("the cookie is for a domain for which its host must not set cookies")]
    Domain,
    /// The cookie is marked as secure, or the prefix of its name requires that, but the connection is not secure.
    #[error("the cookie is secure, but the connection is not")]
    Secure,
}

impl Jar {
    /// Accepts a cookie from a `Set-Cookie` field of an answer from this URL; `now` is in Unix seconds. A cookie
    /// that has already expired removes the stored cookie of the same name, domain and path.
    ///
    /// # Errors
    /// When the field is not a cookie, or the host must not set this cookie.
    pub fn set(&mut self, url: &Url, line: &[u8], now: i64) -> Result<(), Refused> {
        let said = parse::read(line, now)?;
        let host = host_of(url).ok_or(Refused::Domain)?;
        let https = url.scheme() == "https";
        let (domain, host_only) = domain_of(&said, &host)?;
        check_secure(&said, https, host_only)?;
        let path = said.path.unwrap_or_else(|| default_path(url.path()).to_owned());
        self.tick += 1;
        let mut kept = KeptCookie {
            name: said.name,
            value: said.value,
            domain,
            path,
            host_only,
            secure: said.secure,
            expires: said.expires,
            created: self.tick,
            used: self.tick,
        };
        let key = group_of(&host);
        if let Some(group) = self.groups.get_mut(key) {
            if !https && group.cookies.iter().any(|old| old.is_overlaid_by(&kept)) {
                return Err(Refused::Secure);
            }
            if let Some(at) = group.cookies.iter().position(|old| old.is_same_as(&kept)) {
                let old = group.cookies.swap_remove(at);
                self.bytes -= old.bytes();
                kept.created = old.created;
            }
        }
        if kept.expires.is_none_or(|at| at > now) {
            self.keep(key, kept, now);
        }
        Ok(())
    }

    /// Returns the names and values of the cookies to send with a request to this URL, byte for byte as they were
    /// set, in the order of RFC 6265bis §5.8.3: longer paths first, then older cookies. `None` if there are no such
    /// cookies.
    pub fn of(&mut self, url: &Url, now: i64) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let host = host_of(url)?;
        let https = url.scheme() == "https";
        self.tick += 1;
        let group = self.groups.get_mut(group_of(&host))?;
        group.used = self.tick;
        let mut found: Vec<(usize, u64, Vec<u8>, Vec<u8>)> = Vec::new();
        for kept in &mut group.cookies {
            let for_host = *kept.domain == *host || (!kept.host_only && is_below(&host, &kept.domain));
            let alive = kept.expires.is_none_or(|at| at > now);
            if for_host && alive && (https || !kept.secure) && path_matches(url.path(), &kept.path) {
                kept.used = self.tick;
                found.push((kept.path.len(), kept.created, kept.name.clone(), kept.value.clone()));
            }
        }
        found.sort_by_key(|(path, created, ..)| (std::cmp::Reverse(*path), *created));
        let cookies: Vec<_> = found.into_iter().map(|(_, _, name, value)| (name, value)).collect();
        (!cookies.is_empty()).then_some(cookies)
    }

    /// Returns the number of cookies, including expired ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.values().map(|group| group.cookies.len()).sum()
    }

    /// Returns whether the jar is empty. Expired cookies count as cookies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the cookies that have not expired.
    pub(super) fn kept(&self, now: i64) -> impl Iterator<Item = &KeptCookie> {
        let all = self.groups.values().flat_map(|group| &group.cookies);
        all.filter(move |kept| kept.expires.is_none_or(|at| at > now))
    }

    /// Makes a jar of cookies that were saved. Cookies beyond the limits of a jar are left out.
    pub(super) fn of_kept(mut all: Vec<KeptCookie>, now: i64) -> Self {
        let mut jar = Self::default();
        all.sort_by_key(|kept| kept.created);
        let alive = |kept: &KeptCookie| kept.expires.is_none_or(|at| at > now);
        let sends = |kept: &KeptCookie| {
            [&kept.name, &kept.value].iter().all(|text| HeaderValue::from_bytes(text).is_ok())
        };
        for kept in all.into_iter().filter(|kept| alive(kept) && sends(kept)) {
            jar.tick += 1;
            let key = group_of(&kept.domain).to_owned();
            jar.keep(&key, KeptCookie { created: jar.tick, used: jar.tick, ..kept }, now);
        }
        jar
    }

    fn keep(&mut self, key: &str, kept: KeptCookie, now: i64) {
        let (tick, bytes) = (self.tick, &mut self.bytes);
        let group = self.groups.entry(key.into()).or_default();
        group.used = tick;
        *bytes -= group.make_room(&kept.domain, now);
        *bytes += kept.bytes();
        group.cookies.push(kept);
        if *bytes > JAR_BYTES_MAX {
            self.shed();
        }
    }

    /// Removes the registrable domains whose cookies were used least recently, until half of the space is free.
    /// Freeing so much keeps this pass over all domains rare.
    fn shed(&mut self) {
        let mut by_use: Vec<(u64, Box<str>)> =
            self.groups.iter().map(|(name, group)| (group.used, name.clone())).collect();
        by_use.sort_unstable();
        for (_, name) in by_use {
            if self.bytes <= JAR_BYTES_MAX / 2 {
                break;
            }
            if let Some(group) = self.groups.remove(&name) {
                self.bytes -= group.bytes();
            }
        }
    }
}

impl DomainCookies {
    /// Makes room for another cookie of this domain. Evicts expired cookies; if there are none, evicts insecure
    /// before secure cookies, and among these the least recently used first (RFC 6265bis §5.7). Returns the number
    /// of bytes freed.
    fn make_room(&mut self, domain: &str, now: i64) -> usize {
        let of_domain = |group: &Self| group.cookies.iter().filter(|kept| *kept.domain == *domain).count();
        if of_domain(self) < DOMAIN_COOKIES_MAX && self.cookies.len() < GROUP_COOKIES_MAX {
            return 0;
        }
        let before = self.bytes();
        self.cookies.retain(|kept| kept.expires.is_none_or(|at| at > now));
        if of_domain(self) >= DOMAIN_COOKIES_MAX {
            self.give_up(|kept| *kept.domain == *domain);
        }
        if self.cookies.len() >= GROUP_COOKIES_MAX {
            self.give_up(|_| true);
        }
        before - self.bytes()
    }

    fn give_up(&mut self, may_go: impl Fn(&KeptCookie) -> bool) {
        let candidates = self.cookies.iter().enumerate().filter(|(_, kept)| may_go(kept));
        if let Some((at, _)) = candidates.min_by_key(|(_, kept)| (kept.secure, kept.used)) {
            self.cookies.swap_remove(at);
        }
    }

    fn bytes(&self) -> usize {
        self.cookies.iter().map(KeptCookie::bytes).sum()
    }
}

impl KeptCookie {
    /// Returns the approximate memory that the cookie takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.value.len() + self.domain.len() + self.path.len() + size_of::<Self>()
    }

    /// Returns whether a new cookie replaces this cookie (RFC 6265bis §5.7 step 23).
    fn is_same_as(&self, new: &Self) -> bool {
        self.name == new.name
            && self.domain == new.domain
            && self.path == new.path
            && self.host_only == new.host_only
    }

    /// Returns whether a new cookie from an insecure origin would be sent in place of this secure cookie; such a new
    /// cookie is refused (RFC 6265bis §5.7 step 15).
    fn is_overlaid_by(&self, new: &Self) -> bool {
        let related = self.domain == new.domain
            || is_below(&self.domain, &new.domain)
            || is_below(&new.domain, &self.domain);
        self.secure && self.name == new.name && related && path_matches(&new.path, &self.path)
    }
}

/// Returns the host's name without a trailing dot and in lower case, as in URLs. Returns an IP address in its
/// canonical form.
fn host_of(url: &Url) -> Option<String> {
    let name = url.host_str()?;
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Returns the domain that a cookie is for, and whether the cookie is for that host only (RFC 6265bis §5.7 steps 7
/// to 10).
fn domain_of(said: &ParsedCookie, host: &str) -> Result<(Box<str>, bool), Refused> {
    let Some(domain) = &said.domain else { return Ok((host.into(), true)) };
    let domain = canonical(domain).ok_or(Refused::Domain)?;
    if domain == host {
        // A host that is an IP address, a public suffix or a name without a dot may set cookies only for itself.
        let alone = is_address(host) || is_public_suffix(host);
        return Ok((host.into(), alone));
    }
    if is_address(host) || !is_below(host, &domain) || is_public_suffix(&domain) {
        return Err(Refused::Domain);
    }
    Ok((domain.into(), false))
}

fn check_secure(said: &ParsedCookie, https: bool, host_only: bool) -> Result<(), Refused> {
    if said.secure && !https {
        return Err(Refused::Secure);
    }
    let has_prefix =
        |prefix: &[u8]| said.name.get(..prefix.len()).is_some_and(|name| name.eq_ignore_ascii_case(prefix));
    if has_prefix(b"__Secure-") && !said.secure {
        return Err(Refused::Secure);
    }
    // RFC 6265bis §4.1.3.2: a cookie with the name prefix `__Host-` must be for its host only, and for all paths of
    // it.
    let bound = said.secure && host_only && said.domain.is_none() && said.path.as_deref() == Some("/");
    if has_prefix(b"__Host-") && !bound {
        return Err(Refused::Domain);
    }
    Ok(())
}

/// Returns a domain as URLs spell it.
fn canonical(domain: &str) -> Option<String> {
    match Host::parse(domain).ok()? {
        Host::Domain(name) => Some(name.strip_suffix('.').unwrap_or(&name).to_owned()),
        address @ (Host::Ipv4(_) | Host::Ipv6(_)) => Some(address.to_string()),
    }
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<IpAddr>().is_ok()
}

/// Returns whether the name is a public suffix, either by a rule of the public suffix list or because it is an
/// unknown top-level domain.
fn is_public_suffix(name: &str) -> bool {
    registrable_domain(name).is_none()
}

/// Returns the registrable domain of a host, or the host itself if it has no registrable domain.
fn group_of(host: &str) -> &str {
    if is_address(host) { host } else { registrable_domain(host).unwrap_or(host) }
}

/// Returns the path up to its last slash, without that slash (RFC 6265bis §5.1.4).
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

/// Returns whether the path of a cookie covers the path of a request (RFC 6265bis §5.1.4).
fn path_matches(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

/// Serialises bytes as text if they are UTF-8, else as a list of numbers.
mod octets {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Octets {
        Text(String),
        Other(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(octets) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => octets.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(match Octets::deserialize(deserializer)? {
            Octets::Text(text) => text.into_bytes(),
            Octets::Other(octets) => octets,
        })
    }
}

/// The most cookies of one domain; RFC 6265bis §6.1 asks for at least 50.
const DOMAIN_COOKIES_MAX: usize = 50;
/// The most cookies of a registrable domain with all its subdomains: 1,000. The number is limited because each
/// request to one of the subdomains searches all these cookies.
const GROUP_COOKIES_MAX: usize = 1_000;
/// The most bytes of memory for the cookies of one session: 16 MiB.
const JAR_BYTES_MAX: usize = 16 << 20;
