//! What a host may do next: the gate that owns a host's budget.

mod message;

pub use message::{
    Delivery, HoldReason, HostEvent, Input, Output, ParkReason, RulesAnswer, Start, WakeReason,
};
