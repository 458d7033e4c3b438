//! The messages between the scheduler and the exporter.

use opilio_core::SinkPosition;
use tokio::sync::oneshot;

use super::PartSnapshot;

/// The messages to the exporter.
pub(crate) enum ToExporter {
    /// Rows to write.
    Rows(Rows),
    /// Asks where the sinks stand. An exporter that a sink blocks answers late.
    Ask(oneshot::Sender<PartSnapshot>),
}

/// The rows of all pages of one batch, a buffer for each sink.
pub(crate) struct Rows {
    pub(crate) sequence: u64,
    pub(crate) rows: Vec<Vec<u8>>,
    /// Whether the rows have to be synced, so that a power cut cannot take them once they count as written.
    pub(crate) sync: bool,
}

/// All rows up to this batch are safe from a kill: the operating system or the database has them.
pub(crate) struct Written {
    pub(crate) sequence: u64,
    pub(crate) positions: Vec<SinkPosition>,
    /// The rows are on disk too.
    pub(crate) synced: bool,
}
