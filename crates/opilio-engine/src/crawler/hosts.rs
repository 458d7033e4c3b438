//! How hosts are asked: rate, patience and retries of each, robots.txt, caps.

#[cfg(test)]
use opilio_core::Rate;
use opilio_core::host::RulesMode;
use opilio_core::{Host, HostPolicy, RetryPolicy};
use opilio_frontier::Caps;
use opilio_spider::{BadHostPattern, HostSettings, HostTable, Spider};

use super::Crawler;

/// The settings of hosts. One that holds for a pattern that names no host is kept as an error until the crawl starts.
pub(super) struct HostChoices {
    pub(super) table: HostTable,
    bad_pattern: Option<BadHostPattern>,
    pub(super) retry: RetryPolicy,
    pub(super) rules: RulesMode,
    pub(super) caps: Caps,
    /// The common rate of the hosts of a group. Only tests set it yet.
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

    /// # Errors
    /// When settings were given for a pattern that names no host: the first such pattern.
    pub(super) fn check(&mut self) -> Result<(), BadHostPattern> {
        self.bad_pattern.take().map_or(Ok(()), Err)
    }
}

/// How hosts are asked.
impl<S: Spider> Crawler<S> {
    /// Rate, in-flight limit and patience of every host that has no settings of its own; with
    /// [`HostSettings`] instead of a policy, header fields for each of their requests too.
    #[must_use]
    pub fn host(mut self, settings: impl Into<HostSettings>) -> Self {
        self.hosts.table.default = settings.into();
        self
    }

    /// Settings of one host (`host` or `host:port`) or of all below a domain (`*.example.com`); the
    /// most exact pattern wins. A pattern that names no host is an error when the crawl starts.
    #[must_use]
    pub fn host_named(mut self, pattern: &str, settings: impl Into<HostSettings>) -> Self {
        self.hosts.set(pattern, settings.into());
        self
    }

    /// The policy that holds for a host, by what was set so far.
    #[must_use]
    pub fn policy_of(&self, host: &Host) -> &HostPolicy {
        &self.hosts.table.of(host).policy
    }

    /// When a failed attempt is repeated, and how long it waits.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.hosts.retry = policy;
        self
    }

    /// Does not ask for robots.txt. For servers of your own.
    #[must_use]
    pub fn no_robots(mut self) -> Self {
        self.hosts.rules = RulesMode::Off;
        self
    }

    /// Limits what is fetched of one host: by [`HostCaps`](opilio_frontier::HostCaps) for all hosts, or by
    /// [`Caps`] with others for some hosts. A URL that a cap keeps out is counted as filtered (`host_pages`,
    /// `host_bytes`, `max_depth`).
    #[must_use]
    pub fn host_caps(mut self, caps: impl Into<Caps>) -> Self {
        self.hosts.caps = caps.into();
        self
    }

    /// A common rate for the hosts of each registrable domain.
    #[cfg(test)]
    pub(crate) fn group_rate(mut self, rate: Rate) -> Self {
        self.hosts.group_rate = Some(rate);
        self
    }
}
