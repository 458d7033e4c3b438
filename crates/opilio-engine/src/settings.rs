//! What a crawl is told once: policies per host, limits of the whole, identity.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use opilio_core::host::{HostLimits, RulesMode};
use opilio_core::{Host, HostPolicy, RetryPolicy};

use crate::scope::Scope;

/// The settings of one host, or of all that a pattern names.
#[derive(Clone, Debug, Default)]
pub struct HostSettings {
    /// Rate, in-flight limit, patience.
    pub policy: HostPolicy,
    /// Header fields for every request to it.
    pub headers: HeaderMap,
}

impl From<HostPolicy> for HostSettings {
    fn from(policy: HostPolicy) -> Self {
        Self { policy, headers: HeaderMap::new() }
    }
}

/// Settings by host: the most exact pattern wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostTable {
    pub(crate) default: HostSettings,
    /// Patterns and their settings, the most exact first.
    patterns: Vec<(HostPattern, HostSettings)>,
}

/// `host[:port]` exactly, or `*.example.com` for all names below a domain (and the domain itself).
#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    Exact(String),
    Below(String),
}

impl HostPattern {
    fn read(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        match text.strip_prefix("*.") {
            Some(domain) => Self::Below(domain.to_owned()),
            None => Self::Exact(
                text.strip_suffix(":80").or_else(|| text.strip_suffix(":443")).unwrap_or(&text).to_owned(),
            ),
        }
    }

    fn is_match(&self, host: &Host) -> bool {
        match self {
            Self::Exact(name) => host.as_str() == name,
            Self::Below(domain) => [host.as_str(), host.name()].iter().any(|name| {
                name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }),
        }
    }

    /// Longer is more exact, and a name more than a pattern.
    fn exactness(&self) -> (bool, usize) {
        match self {
            Self::Exact(name) => (true, name.len()),
            Self::Below(domain) => (false, domain.len()),
        }
    }
}

impl HostTable {
    pub(crate) fn set(&mut self, pattern: &str, settings: HostSettings) {
        self.patterns.push((HostPattern::read(pattern), settings));
        self.patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.exactness()));
    }

    pub(crate) fn of(&self, host: &Host) -> &HostSettings {
        self.patterns
            .iter()
            .find(|(pattern, _)| pattern.is_match(host))
            .map_or(&self.default, |(_, settings)| settings)
    }
}

/// All that shards need to know, shared and never changed.
pub(crate) struct Settings {
    pub(crate) hosts: HostTable,
    pub(crate) retry: RetryPolicy,
    pub(crate) scope: Scope,
    pub(crate) rules: RulesMode,
    pub(crate) fetch_timeout: Duration,
    pub(crate) user_agent: Arc<str>,
    pub(crate) redirects_max: u16,
    pub(crate) seed: u64,
    pub(crate) keep_referrer: bool,
}

impl Settings {
    /// The bounds of a host: it holds a few times what it can have in flight, so that it never
    /// waits for the store between two starts.
    pub(crate) fn limits_of(&self, policy: &HostPolicy) -> HostLimits {
        HostLimits {
            fetch_timeout: self.fetch_timeout,
            credit: policy.in_flight_max().saturating_mul(8).clamp(16, 512),
            retry_stays: Duration::from_secs(60),
        }
    }
}

/// Reads one header field of a setting.
///
/// # Errors
/// When name or value are none that HTTP allows.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), BadHeader> {
    let refuse = || BadHeader { name: name.to_owned() };
    let mut value = HeaderValue::from_str(value).map_err(|_| refuse())?;
    value.set_sensitive(true);
    Ok((HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?, value))
}

/// A header field that HTTP does not allow. The value is not shown: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} with this value is no header field")]
pub struct BadHeader {
    name: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use opilio_core::per_minute;
    use url::Url;

    #[test]
    fn the_most_exact_pattern_wins() {
        let with =
            |n| HostSettings { policy: HostPolicy::new().rate(per_minute(n)), ..HostSettings::default() };
        let mut table = HostTable { default: with(60), ..HostTable::default() };
        table.set("*.example.com", with(10));
        table.set("*.shop.example.com", with(20));
        table.set("www.shop.example.com", with(30));
        table.set("127.0.0.2:8080", with(40));
        let rate = |url: &str| {
            let host = Host::of(&Url::parse(url).unwrap()).unwrap();
            table.of(&host).policy.rate_max().unwrap().count()
        };
        assert_eq!(rate("http://example.org/"), 60);
        assert_eq!(rate("http://notexample.com/"), 60);
        assert_eq!(rate("http://example.com/"), 10);
        assert_eq!(rate("http://a.example.com:81/"), 10);
        assert_eq!(rate("http://a.shop.example.com/"), 20);
        assert_eq!(rate("https://www.shop.example.com/"), 30);
        assert_eq!(rate("http://127.0.0.2:8080/"), 40);
    }
}
