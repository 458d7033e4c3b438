//! The store thread: the one place that talks to the frontier, and the sequence that makes output
//! exactly-once (admit, write, settle).

mod cookies;
mod desk;
mod known;
mod names;
mod port;

pub(crate) use cookies::{KeptCookies, recall};
pub(crate) use desk::{Desk, DeskSetup, QueuedScope, StoreOutcome, Syncing};
pub(crate) use port::{StoreDoor, StorePort};
