//! The parameters that the simulations of all hosts share.

use std::sync::Arc;
use std::time::Duration;

use opilio_core::{Backoff, Host, HostPolicy, RetryPolicy, per_minute, per_second};

/// The parameters that the simulations of all hosts share.
pub(super) struct Common {
    pub(super) policies: Vec<Arc<HostPolicy>>,
    pub(super) retry: RetryPolicy,
    pub(super) host: Host,
    pub(super) url: Arc<str>,
    #[cfg(feature = "mutants")]
    pub(super) bug: Option<opilio_core::host::Bug>,
}

impl Common {
    pub(super) fn new() -> anyhow::Result<Self> {
        let fast = Backoff { min: Duration::from_millis(500), max: Duration::from_secs(30) };
        let policies = [
            HostPolicy::new(),
            HostPolicy::new().rate(per_minute(300)).in_flight(4),
            HostPolicy::new().rate(per_second(20)).in_flight(8).backoff(fast),
            HostPolicy::new().rate(per_minute(40)).in_flight(2).adapt(false),
            HostPolicy::new().unlimited_rate().in_flight(3).max_hold(Duration::from_secs(100)),
        ];
        let url = "http://host.test/";
        Ok(Self {
            policies: policies.map(Arc::new).into(),
            retry: RetryPolicy::default(),
            host: Host::of(&url.parse()?)?,
            url: url.into(),
            #[cfg(feature = "mutants")]
            bug: None,
        })
    }
}
