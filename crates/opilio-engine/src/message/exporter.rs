//! The messages between the scheduler and the exporter.

use opilio_export::RowBatch;
use tokio::sync::oneshot;

use super::PartSnapshot;

/// The messages to the exporter.
pub(crate) enum ToExporter {
    /// Rows to write.
    Rows(RowBatch),
    /// Asks for the positions of the sinks. While a sink blocks the exporter, the answer is late.
    Ask(oneshot::Sender<PartSnapshot>),
}
