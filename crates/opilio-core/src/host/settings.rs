//! What a host is told once: the shell's limits, and whether robots.txt is asked for.

use std::time::Duration;

use crate::order::Order;

/// Whether a host fetches its origins' robots.txt before anything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RulesMode {
    /// Nothing is asked for: every lease may start.
    Off,
    /// An origin whose rules are unknown or expired is asked for them first.
    #[default]
    Fetch,
}

/// The bounds that the shell sets for every host alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostLimits {
    /// A whole attempt takes no longer; the lease expires [`HostLimits::GRACE`] after that.
    pub fetch_timeout: Duration,
    /// Leases held at once, in all places together; 0 counts as 1.
    pub credit: u32,
    /// A retry that is due within this time stays with its lease; a later one goes to the store.
    pub retry_stays: Duration,
    /// Which of the leases that are ready goes first: the order in which the store hands them out.
    pub order: Order,
}

impl HostLimits {
    /// What a report may take on its way before its lease counts as lost.
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
