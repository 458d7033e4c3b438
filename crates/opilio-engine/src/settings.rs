//! The settings that each shard of a crawl gets at its start: policies of hosts, limits of the whole crawl, and the
//! crawler's identity.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::host::{HostLimits, RulesMode};
use opilio_core::{Host, HostPolicy, Rate, RetryPolicy};
use opilio_fetch::{Accept, Cookies, FetchRequest};
use opilio_spider::naming::Naming;
use opilio_spider::{HostTable, Logins, Scope, Session, log_in};

/// The settings that all shards share. They never change during a run.
pub(crate) struct Settings {
    pub(crate) hosts: HostTable,
    pub(crate) retry: RetryPolicy,
    pub(crate) scope: Scope,
    pub(crate) rules: RulesMode,
    pub(crate) fetch_timeout: Duration,
    pub(crate) body_bytes_max: usize,
    pub(crate) user_agent: Arc<str>,
    pub(crate) redirects_max: u16,
    pub(crate) seed: u64,
    /// Whether each page is stored together with the values that a later conditional request needs (such as the
    /// ETag).
    pub(crate) keep_history: bool,
    pub(crate) sessions: HashMap<String, Session>,
    /// The cookies of the crawl, or `None` if the crawl keeps no cookies.
    pub(crate) cookies: Option<Arc<Cookies>>,
    /// The logins that the seeds' URLs contain (`user:password@`).
    pub(crate) logins: Logins,
    /// The values of a page by which duplicate pages are recognised (such as its canonical URL).
    pub(crate) merge: Naming,
    pub(crate) order: opilio_core::Order,
    /// The rate that all hosts of a group share. Only tests set it so far.
    pub(crate) group_rate: Option<Rate>,
}

impl Settings {
    /// Returns the retry policy of a host.
    pub(crate) fn retry_of(&self, host: &Host) -> &RetryPolicy {
        self.hosts.of(host).retry.as_ref().unwrap_or(&self.retry)
    }

    /// Returns the content types that the crawl fetches.
    pub(crate) fn accept(&self) -> Accept {
        if self.scope.is_text_only() { Accept::Text } else { Accept::Any }
    }

    /// Completes a request. Sets the statuses that have a special meaning on this host, and adds the headers that
    /// the request lacks: first those of its session, then the login of its origin, then those of its host's
    /// settings.
    pub(crate) fn dress(&self, host: &Host, order: &mut FetchRequest) {
        order.slow_down = self.hosts.of(host).policy.slow_down_statuses().clone();
        order.retried = self.retry_of(host).named_statuses().clone();
        let session = order.session.as_deref().and_then(|name| self.sessions.get(name));
        if let Some(session) = session {
            session.dress(&order.url, &mut order.headers);
        }
        log_in(&self.logins, &order.url, &mut order.headers);
        for (name, value) in &self.hosts.of(host).headers {
            order.headers.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// Returns the limits of a host. A host may hold several times as many leases as it may have in flight, so that
    /// it never waits for the store between two starts.
    pub(crate) fn limits_of(&self, policy: &HostPolicy) -> HostLimits {
        HostLimits {
            fetch_timeout: self.fetch_timeout,
            credit: policy.in_flight_max().saturating_mul(8).clamp(16, 512),
            retry_stays: Duration::from_secs(60),
            order: self.order,
        }
    }
}
