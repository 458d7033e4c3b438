//! What the shards of a crawl are told once: policies of hosts, limits of the whole, identity.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::host::{HostLimits, RulesMode};
use opilio_core::{Host, HostPolicy, Rate, RetryPolicy};
use opilio_fetch::{Accept, Cookies, FetchRequest};
use opilio_spider::naming::Naming;
use opilio_spider::{HostTable, Logins, Scope, Session, log_in};

/// All that shards need to know, shared and never changed.
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
    /// Pages are kept with what a later fetch asks with.
    pub(crate) keep_history: bool,
    pub(crate) sessions: HashMap<String, Session>,
    /// None if none are kept.
    pub(crate) cookies: Option<Arc<Cookies>>,
    /// Logins from the user info of seeds.
    pub(crate) logins: Logins,
    /// The names by which pages are merged.
    pub(crate) merge: Naming,
    pub(crate) order: opilio_core::Order,
    /// The common rate of the hosts of a group. Only tests set it yet.
    pub(crate) group_rate: Option<Rate>,
}

impl Settings {
    /// The retry policy of a host.
    pub(crate) fn retry_of(&self, host: &Host) -> &RetryPolicy {
        self.hosts.of(host).retry.as_ref().unwrap_or(&self.retry)
    }

    /// Which kinds of content are fetched.
    pub(crate) fn accept(&self) -> Accept {
        if self.scope.is_text_only() { Accept::Text } else { Accept::Any }
    }

    /// Adds what a request does not have of its own: which statuses its host uses in another way; and from its session, from its origin's login, from its
    /// host's settings, in this order.
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

    /// The bounds of a host: it holds a few times what it can have in flight, so that it never
    /// waits for the store between two starts.
    pub(crate) fn limits_of(&self, policy: &HostPolicy) -> HostLimits {
        HostLimits {
            fetch_timeout: self.fetch_timeout,
            credit: policy.in_flight_max().saturating_mul(8).clamp(16, 512),
            retry_stays: Duration::from_secs(60),
            order: self.order,
        }
    }
}
