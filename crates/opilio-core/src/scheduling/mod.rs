//! The rules of the scheduler: which host gets leases next, which pages may be settled, which host is granted
//! a slot.
//!
//! Each set of rules is a state machine without I/O, as the gate of a host is: it gets inputs and returns
//! decisions, and the time is an argument. The engine, which has a store, channels and a clock, carries out
//! the decisions.
//!
//! | machine | decides | invariants |
//! | --- | --- | --- |
//! | [`Dispatch`] | which hosts get an actor, which wants are served, how many leases each host gets | S2, S3, S5 |
//! | [`Ledger`] | which pages may be settled, and which passive hosts are told that their memo is kept | S1, S4, S6 |
//! | [`Slots`] | which host is granted a slot, in a shard and between shards | S7, S8 |
//! | [`GroupBudgets`] | whether the common budget of a group affords a start | G1, for a whole group |
//!
//! The invariants, in short: S1 (a lease is settled only after its rows are safe), S2 (page limit), S3 (each host is
//! in one state), S4 (memos are kept before this is told), S5 (wants are served in order), S6 (batches are settled in
//! order), S7 (no slot is created or lost), S8 (slots are granted in order), and, of a host, G1 (starts keep the
//! spacing). See [`SchedulingInvariant`] and [`host::Invariant`](crate::host::Invariant).

mod dispatch;
mod groups;
mod invariants;
mod ledger;
mod sabotage;
mod slots;

pub use dispatch::{
    Dispatch, DispatchInput, DispatchLimits, DispatchWitness, StoreCounts, Waking, Want, WantAnswer,
};
pub use groups::GroupBudgets;
pub use invariants::{SchedulingInvariant, SchedulingViolation};
pub use ledger::{Batch, Ledger, LedgerInput, LedgerWitness, Numbered, Stamp, Syncing};
#[cfg(feature = "sabotage")]
pub use sabotage::SchedulingBug;
pub use slots::{Slots, SlotsInput, SlotsOutput, SlotsWitness, Standing, Surroundings};
