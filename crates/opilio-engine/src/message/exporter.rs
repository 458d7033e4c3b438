//! What the exporter hears from the scheduler, and what it answers.

use opilio_core::SinkPosition;
use tokio::sync::oneshot;

use super::PartSnapshot;

/// What the exporter hears.
pub(crate) enum ToExporter {
    /// Rows to write.
    Rows(Rows),
    /// The question where the sinks stand. An exporter that a sink blocks answers late.
    Ask(oneshot::Sender<PartSnapshot>),
}

/// Rows of all pages of one batch, a buffer a sink.
pub(crate) struct Rows {
    pub(crate) sequence: u64,
    pub(crate) rows: Vec<Vec<u8>>,
    /// Whether a power cut may not take them either once they are written.
    pub(crate) sync: bool,
}

/// All rows up to this number are safe: with the operating system, or the database.
pub(crate) struct Written {
    pub(crate) sequence: u64,
    pub(crate) positions: Vec<SinkPosition>,
    /// They are on disk, too.
    pub(crate) synced: bool,
}
