//! The state machine of one host: it decides when each request to the host may start (the gate), and keeps
//! the budget of starts.

mod asleep;
mod blame;
mod budget;
mod contact;
mod demand;
mod errands;
mod gate;
mod handover;
mod hold;
mod idleness;
mod invariants;
mod leases;
mod limiter;
mod memo;
mod message;
mod pace;
mod pacing;
mod quota;
mod report;
mod rules;
#[cfg(feature = "sabotage")]
mod sabotage;
mod settings;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod witness;

pub(crate) use budget::{Budget, Spacing};
pub use errands::{Admitted, Errands};
pub use invariants::{Invariant, Violation};
pub use memo::HostMemo;
pub use message::{
    Delivery, HoldReason, HostEvent, Input, Output, ParkReason, RulesAnswer, Start, WakeReason,
};
#[cfg(feature = "sabotage")]
pub use sabotage::Bug;
pub use settings::{HostLimits, RulesMode};
pub use snapshot::{HostLoad, HostSnapshot};
pub use state::HostState;
pub use witness::Witness;
