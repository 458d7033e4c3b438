//! The settings that a host gets once: the limits for all hosts of the crawl, and whether robots.txt is
//! fetched.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::order::Order;
use crate::policy::HostPolicy;

/// The settings of a host that never change: the policy that the user chose for it, and the limits.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) policy: Arc<HostPolicy>,
    pub(super) limits: HostLimits,
}

/// Whether a host fetches the robots.txt of its origins before anything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum RulesMode {
    /// robots.txt is not fetched: every lease may start.
    Off,
    /// Unknown or expired rules are fetched before anything else of their origin.
    #[default]
    Fetch,
}

/// The limits that are the same for all hosts of a crawl.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostLimits {
    /// The longest time for a whole attempt. The lease counts as lost [`HostLimits::GRACE`] after the end of
    /// that time.
    pub fetch_timeout: Duration,
    /// The most leases that a host holds at a time: ready, waiting, in flight and parsed together. 0 counts
    /// as 1.
    pub credit: u32,
    /// A lease whose retry is due within this time stays with the host; a lease with a later retry goes back
    /// to the store.
    pub retry_stays: Duration,
    /// The order in which ready leases start; the store leases URLs in the same order.
    pub order: Order,
}

impl HostLimits {
    /// The time that a report may need to arrive before its lease counts as lost.
    pub const GRACE: Duration = Duration::from_secs(5);
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            fetch_timeout: Duration::from_secs(30),
            credit: 64,
            retry_stays: Duration::from_secs(60),
            order: Order::default(),
        }
    }
}
