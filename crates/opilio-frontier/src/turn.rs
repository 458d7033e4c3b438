//! Whether the store or its caller tracks a host's due work.

/// The state of a host between the calls [`hosts_ready`](crate::Frontier::hosts_ready) and
/// [`lease`](crate::Frontier::lease).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HostTurn {
    /// The host is neither in the line nor with the caller: no due work is known.
    Idle,
    /// The host stands in the line.
    InLine,
    /// The caller has the host and leases its work until a lease comes back short.
    Told,
}
