//! Whether the store or its caller decides when a host's due records are leased next.

/// The state of a host between the calls [`hosts_ready`](crate::Frontier::hosts_ready) and
/// [`lease`](crate::Frontier::lease).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HostTurn {
    /// The host is not in the line of ready hosts, and the caller does not have it: the store knows of no due
    /// record.
    Idle,
    /// The host is in the line of ready hosts.
    InLine,
    /// `hosts_ready` returned the host to the caller, which leases its records until a lease comes back short.
    Told,
}
