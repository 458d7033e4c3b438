//! The position of a sink, which the store and the exporters exchange.

use std::sync::Arc;

/// The position up to which a sink has written everything that it was given.
///
/// It is a number that only grows, such as the bytes of a file or the last id of a database table. A sink can
/// remove everything that it wrote after this position.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SinkPosition {
    /// The name of the sink, which stays the same from run to run.
    pub sink: Arc<str>,
    /// The position, in the unit of the sink.
    pub position: u64,
}
