//! The messages between the scheduler and the exporter.

use opilio_export::RowBatch;
use tokio::sync::oneshot;

use super::PartSnapshot;

/// The messages to the exporter.
pub(crate) enum ToExporter {
    /// Rows to write.
    Rows(RowBatch),
    /// Asks where the sinks stand. An exporter that a sink blocks answers late.
    Ask(oneshot::Sender<PartSnapshot>),
}
