//! What a host may do next: the gate that owns a host's budget.

mod invariants;
mod memo;
mod message;
mod settings;
mod snapshot;
mod state;

pub use invariants::{Invariant, Violation};
pub use memo::HostMemo;
pub use message::{
    Delivery, HoldReason, HostEvent, Input, Output, ParkReason, RulesAnswer, Start, WakeReason,
};
pub use settings::{HostLimits, RulesMode};
pub use snapshot::HostSnapshot;
pub use state::HostState;
