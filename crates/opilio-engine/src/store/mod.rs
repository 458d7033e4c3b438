//! The store thread: the one place that talks to the frontier, and the sequence that makes output
//! exactly-once (admit, write, settle).

mod cookies;
mod desk;
mod event_loop;
mod known;
mod names;
mod port;

pub(crate) use cookies::{KeptCookies, recall};
pub(crate) use desk::{Desk, DeskSetup, QueuedScope, StoreOutcome};
pub(crate) use event_loop::{StoreLoop, StorePorts};
pub(crate) use opilio_core::scheduling::Syncing;
pub(crate) use port::{StoreDoor, StorePort};
