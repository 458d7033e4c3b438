//! What is kept of a host while its actor is away.

use serde::{Deserialize, Serialize};

/// What a passivated host remembers: under 120 bytes. All times are [`Timestamp`]s of the run that
/// wrote it.
///
/// [`Timestamp`]: crate::Timestamp
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct HostMemo {}
