//! States of a host that tell whether the store or its caller decides when the host's due records are leased next.

/// The state of a host between the calls [`hosts_ready`](crate::Frontier::hosts_ready) and
/// [`lease`](crate::Frontier::lease).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HostTurn {
    /// The host is not in the line of ready hosts, and the caller is not leasing its records: the store knows of no
    /// due record of the host.
    Idle,
    /// The host is in the line of ready hosts.
    InLine,
    /// `hosts_ready` has returned the host. The caller leases its records until a call of `lease` returns fewer than
    /// wanted.
    Told,
}
