//! The position of a sink, which the store and the exporters exchange.

use std::sync::Arc;

/// The position up to which a sink has written everything that it was given.
///
/// Bytes of a file, or the last id of a database table: a number that only grows, and to which the sink can
/// be cut back.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SinkPosition {
    /// A name of the sink that stays the same from run to run.
    pub sink: Arc<str>,
    /// The position, in the sink's own unit.
    pub position: u64,
}
