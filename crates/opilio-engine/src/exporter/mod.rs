//! The exporter: sinks on a thread of their own, told in numbered batches what to write.

use opilio_core::SinkPosition;
use opilio_export::{ExportError, Sink};
use tokio::sync::mpsc;

/// Rows of all pages of one batch, a buffer a sink.
pub(crate) struct Rows {
    pub(crate) sequence: u64,
    pub(crate) rows: Vec<Vec<u8>>,
    /// Whether a power cut may not take them either once they are written.
    pub(crate) sync: bool,
}

/// All rows up to this number are with the operating system.
pub(crate) struct Written {
    pub(crate) sequence: u64,
    pub(crate) positions: Vec<SinkPosition>,
    /// They are on disk, too.
    pub(crate) synced: bool,
}

/// Writes until the store hangs up; then syncs.
///
/// # Errors
/// When a sink fails. The store sees its channel close and stops the crawl.
pub(crate) async fn run(
    mut sinks: Vec<Box<dyn Sink>>,
    mut inbox: mpsc::Receiver<Rows>,
    written: mpsc::Sender<Written>,
) -> Result<(), ExportError> {
    let mut batches = Vec::new();
    while inbox.recv_many(&mut batches, BATCHES_MAX).await > 0 {
        let mut sequence = 0;
        let mut synced = false;
        for batch in batches.drain(..) {
            synced |= batch.sync;
            for (sink, rows) in sinks.iter_mut().zip(batch.rows) {
                if !rows.is_empty() {
                    sink.append(&rows)?;
                }
            }
            sequence = batch.sequence;
        }
        let mut positions = Vec::with_capacity(sinks.len());
        for sink in &mut sinks {
            let position = if synced { sink.sync()? } else { sink.flush()? };
            positions.push(SinkPosition { position, sink: sink.name() });
        }
        if written.send(Written { sequence, positions, synced }).await.is_err() {
            break;
        }
    }
    for sink in &mut sinks {
        sink.sync()?;
    }
    Ok(())
}

/// Batches that are flushed together at the most; also the capacity of the channel.
pub(crate) const BATCHES_MAX: usize = 16;
