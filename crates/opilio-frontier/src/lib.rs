//! The frontier of a crawl: which URLs are still to be fetched, in which order, and how the finished URLs
//! ended.
//!
//! | module | holds |
//! | --- | --- |
//! | [`frontier`] | the [`Frontier`] trait: the calls that every store implements, and their order |
//! | [`batch`] | the arguments and results of the calls |
//! | [`chain`] | how a URL ends that is redirected to a known URL |
//! | `settle` | how a lease (a URL handed out to be fetched) ends: one algorithm for all stores |
//! | [`caps`] | the limits for one host: pages, bytes and depth |
//! | [`levels`] | how depths are kept exact when the crawl has a limit of depth |
//! | [`stats`] | the counters of a crawl ("the books"), kept up to date so that no scan is needed |
//! | [`memory`] | [`MemoryFrontier`], the store of a crawl without a state directory |
//! | `disk` | `DiskFrontier`, the store of a crawl with a state directory (feature `disk`) |
//! | `conformance` | tests of the rules that every store must keep (feature `conformance`) |
//!
//! A store uses no async runtime and no clock: one thread owns the store, makes every call, and passes the time as an
//! argument.

pub mod batch;
pub mod caps;
pub mod chain;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "disk")]
pub mod disk;
mod encode;
pub mod error;
pub mod frontier;
pub mod levels;
pub mod memory;
pub mod permit;
mod settle;
pub mod stats;
mod turn;

pub use batch::{Admission, AdmittedCounts, Fetched, Filtered, SettledCounts, Settlement, Want};
pub use caps::{Caps, HostCaps};
pub use chain::{Again, Decided, Known, Redirect};
#[cfg(feature = "disk")]
pub use disk::{DiskFrontier, DiskOptions, Durability, StoreOwner};
pub use error::FrontierError;
pub use frontier::{Frontier, MayRetry};
pub use memory::{MemoryFrontier, MemoryOptions};
pub use opilio_core::Order;
pub use permit::{Fence, Permit};
pub use stats::{Cause, Failure, FrontierStats};
