//! The settings of hosts, and the rule that finds the settings of a given host.

use http::HeaderMap;
use opilio_core::{BadHostPattern, Host, HostPattern, HostPolicy, RetryPolicy};

use crate::header::BadHeader;
use crate::session::Login;

/// The settings of one host, or of all hosts that match a pattern.
#[derive(Clone, Debug, Default)]
pub struct HostSettings {
    /// The rate limit, the in-flight limit, and the longest wait that the host may ask for.
    pub policy: HostPolicy,
    /// The retry policy of the host; `None` means the crawl's retry policy.
    pub retry: Option<RetryPolicy>,
    /// Header fields that are sent with every request to the host.
    pub headers: HeaderMap,
}

impl From<HostPolicy> for HostSettings {
    fn from(policy: HostPolicy) -> Self {
        Self { policy, ..Self::default() }
    }
}

impl HostSettings {
    /// Sets a retry policy for this host, instead of the crawl's policy.
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
    /// use opilio::{HostPolicy, RetryPolicy};
    /// use opilio::HostSettings;
    ///
    /// let jobs = HostSettings::from(HostPolicy::new().slow_down([999]))
    ///     .retry(RetryPolicy::default().retries(8).retry_statuses([404]));
    /// # let _ = jobs;
    /// ```
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Sends a user name and a password (RFC 7617) with every request to the host, over https and over http. Over
    /// http others on the network can read the password.
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
    /// use opilio::{HostPolicy, per_minute};
    /// use opilio::HostSettings;
    ///
    /// let staging = HostSettings::from(HostPolicy::new().rate(per_minute(300))).basic("me", "secret")?;
    /// # let _ = staging;
    /// # Ok::<(), opilio_spider::BadHeader>(())
    /// ```
    ///
    /// # Errors
    /// When the user name holds a colon.
    pub fn basic(self, user: &str, password: &str) -> Result<Self, BadHeader> {
        Ok(self.log_in(&Login::basic(user, password)?))
    }

    /// Sends a token (RFC 6750) with every request to the host.
    ///
    /// # Errors
    /// When the token is empty, holds white space, or holds a character that a header field cannot hold.
    pub fn bearer(self, token: &str) -> Result<Self, BadHeader> {
        Ok(self.log_in(&Login::bearer(token)?))
    }

    fn log_in(mut self, login: &Login) -> Self {
        self.headers.insert(http::header::AUTHORIZATION, login.value());
        self
    }
}

/// The settings of all hosts, by pattern. If several patterns match a host, the most specific one is used.
#[derive(Clone, Debug, Default)]
pub struct HostTable {
    /// The settings of hosts that no pattern matches.
    pub default: HostSettings,
    /// The patterns and their settings, the most specific pattern first.
    patterns: Vec<(HostPattern, HostSettings)>,
}

impl HostTable {
    /// Adds the settings of all hosts that a pattern matches.
    ///
    /// # Errors
    /// When the pattern can match no host.
    pub fn set(&mut self, pattern: &str, settings: HostSettings) -> Result<(), BadHostPattern> {
        self.patterns.push((pattern.parse()?, settings));
        self.patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.exactness()));
        Ok(())
    }

    /// Adds header fields to the settings of every host. A field that the settings of a host have already is kept.
    pub fn send_to_all(&mut self, headers: &HeaderMap) {
        let all = self.patterns.iter_mut().map(|(_, settings)| settings).chain([&mut self.default]);
        for settings in all {
            for name in headers
                .keys()
                .filter(|name| !settings.headers.contains_key(*name))
                .cloned()
                .collect::<Vec<_>>()
            {
                for value in headers.get_all(&name) {
                    settings.headers.append(&name, value.clone());
                }
            }
        }
    }

    /// Returns the settings of a host.
    #[must_use]
    pub fn of(&self, host: &Host) -> &HostSettings {
        self.patterns
            .iter()
            .find(|(pattern, _)| pattern.matches(host))
            .map_or(&self.default, |(_, settings)| settings)
    }
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
        table.set("*.example.com", with(10)).unwrap();
        table.set("*.shop.example.com", with(20)).unwrap();
        table.set("www.shop.example.com", with(30)).unwrap();
        table.set("127.0.0.2:8080", with(40)).unwrap();
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
