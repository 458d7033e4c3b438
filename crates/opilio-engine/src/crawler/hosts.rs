//! The settings of how hosts are treated: the rate, patience and retries of each host, robots.txt, caps.

#[cfg(test)]
use opilio_core::Rate;
use opilio_core::host::RulesMode;
use opilio_core::{Host, HostPolicy, RetryPolicy};
use opilio_frontier::Caps;
use opilio_spider::{BadHostPattern, HostSettings, HostTable, Spider};

use super::Crawler;

/// The settings of hosts. If settings were given for a pattern that is not a valid host pattern, the error is stored
/// here until the crawl starts.
#[derive(Clone)]
pub(super) struct HostChoices {
    pub(super) table: HostTable,
    bad_pattern: Option<BadHostPattern>,
    pub(super) retry: RetryPolicy,
    pub(super) rules: RulesMode,
    pub(super) caps: Caps,
    /// The common rate of all hosts of a group. Only tests set it so far.
    pub(super) group_rate: Option<opilio_core::Rate>,
}

impl Default for HostChoices {
    fn default() -> Self {
        Self {
            table: HostTable::default(),
            bad_pattern: None,
            retry: RetryPolicy::default(),
            rules: RulesMode::Fetch,
            caps: Caps::default(),
            group_rate: None,
        }
    }
}

impl HostChoices {
    fn set(&mut self, pattern: &str, settings: HostSettings) {
        if let Err(error) = self.table.set(pattern, settings) {
            self.bad_pattern.get_or_insert(error);
        }
    }

    /// Checks that all patterns of hosts are valid.
    ///
    /// # Errors
    /// When settings were given for a pattern that is not a valid host pattern: the first such pattern.
    pub(super) fn check(&mut self) -> Result<(), BadHostPattern> {
        self.bad_pattern.take().map_or(Ok(()), Err)
    }
}

/// Settings of how hosts are treated.
impl<S: Spider> Crawler<S> {
    /// Sets the rate, in-flight limit and patience of every host that has no settings of its own. With
    /// [`HostSettings`] instead of a policy, it also sets header fields for the requests to these hosts.
    #[must_use]
    pub fn host(mut self, settings: impl Into<HostSettings>) -> Self {
        self.choices.hosts.table.default = settings.into();
        self
    }

    /// Sets the settings of one host (`host` or `host:port`) or of all hosts below a domain (`*.example.com`). If
    /// several patterns match a host, the most exact pattern applies. An invalid pattern is an error when the crawl
    /// starts.
    #[must_use]
    pub fn host_named(mut self, pattern: &str, settings: impl Into<HostSettings>) -> Self {
        self.choices.hosts.set(pattern, settings.into());
        self
    }

    /// Returns the policy that applies to a host with the settings made so far.
    #[must_use]
    pub fn policy_of(&self, host: &Host) -> &HostPolicy {
        &self.choices.hosts.table.of(host).policy
    }

    /// Sets when a failed attempt is repeated, and how long the crawl waits before that.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.choices.hosts.retry = policy;
        self
    }

    /// Turns robots.txt off: no robots.txt is fetched, and no rules are obeyed. Use this only for your own
    /// servers.
    #[must_use]
    pub fn no_robots(mut self) -> Self {
        self.choices.hosts.rules = RulesMode::Off;
        self
    }

    /// Limits what is fetched from one host: [`HostCaps`](opilio_frontier::HostCaps) apply to all hosts, [`Caps`] can
    /// have other limits for some hosts. A URL that is not fetched because of a cap is counted as filtered
    /// (`host_pages`, `host_bytes`, `max_depth`).
    #[must_use]
    pub fn host_caps(mut self, caps: impl Into<Caps>) -> Self {
        self.choices.hosts.caps = caps.into();
        self
    }

    /// Sets a common rate for all hosts of each registrable domain.
    #[cfg(test)]
    pub(crate) fn group_rate(mut self, rate: Rate) -> Self {
        self.choices.hosts.group_rate = Some(rate);
        self
    }
}
