//! How far an exporter's sink has got: what the store and the exporters tell each other.

use std::sync::Arc;

/// Up to where everything that a sink was given has been written.
///
/// Bytes of a file, the last id of a database table: a number that only grows, and to which the
/// sink can be cut back.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SinkPosition {
    /// Which sink, in words that stay the same from run to run.
    pub sink: Arc<str>,
    /// How far.
    pub position: u64,
}
