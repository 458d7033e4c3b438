//! Reads the body of an answer within its limits, its deadline and the crawl's memory, with at most one copy of the
//! bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use opilio_core::Fault;
use tokio::time::{Instant, timeout_at};

use crate::budget::{BodyBudget, BodyPermit};
use crate::decode::{Coding, DecodedOutput, Decoder, Pushed};
use crate::limits::Limits;
use crate::transport::{BodyStream, Phase, Progress, StopReason, TransportError};

/// A body that was read to its end, or up to the requested length.
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    pub(crate) permit: BodyPermit,
    /// Whether the body was longer than requested, so that its rest was not read.
    pub(crate) cut: bool,
}

/// Reads the body of one answer.
pub(crate) struct BodyReader<'a> {
    stream: &'a mut BodyStream,
    progress: &'a Progress,
    limits: &'a Limits,
    budget: &'a BodyBudget,
    permit: BodyPermit,
    deadline: Instant,
    /// The length of the body that the head of the answer states, in bytes; `None` if the head states no length.
    length: Option<u64>,
    /// The number of bytes, as sent, after which reading ends, even if the stream continues. `None` means no such
    /// end.
    ends_at: Option<u64>,
    /// The number of decoded bytes after which reading ends. `None` means that the whole body is read.
    enough: Option<usize>,
    cut: bool,
    /// The number of bytes read so far, as sent (before decoding).
    pub(crate) wire: u64,
}

impl<'a> BodyReader<'a> {
    pub(crate) fn new(
        (stream, progress): (&'a mut BodyStream, &'a Progress),
        length: Option<u64>,
        deadline: Instant,
        limits: &'a Limits,
        budget: &'a BodyBudget,
    ) -> Self {
        let permit = BodyPermit::none();
        let (ends_at, enough) = (None, None);
        Self {
            stream,
            progress,
            limits,
            budget,
            permit,
            deadline,
            length,
            ends_at,
            enough,
            cut: false,
            wire: 0,
        }
    }

    /// Sets how many bytes as sent are read. Later bytes do not belong to the body.
    pub(crate) fn ends_at(mut self, bytes: Option<u64>) -> Self {
        self.ends_at = bytes;
        self
    }

    /// Sets how many decoded bytes are read: a longer body is cut off there, without a failure.
    pub(crate) fn enough(mut self, bytes: Option<usize>) -> Self {
        self.enough = bytes;
        self
    }

    /// Reads the body to its end and decodes it by these content codings.
    ///
    /// # Errors
    /// When the body breaks off, exceeds a limit, is not complete by the deadline, or cannot be decoded.
    pub(crate) async fn read(&mut self, codings: &[Coding]) -> Result<Body, TransportError> {
        if self.enough.is_none() && self.length.is_some_and(|length| length > self.wire_max(codings)) {
            return Err(too_large(Fault::BodyTooLarge));
        }
        let waiting = Instant::now();
        self.permit = match self.budget.try_reserve() {
            Some(permit) => permit,
            None => self.budget.reserve().await,
        };
        self.deadline += waiting.elapsed();
        let bytes = if codings.is_empty() { self.plain().await? } else { self.decoded(codings).await? };
        if !self.cut && self.length.is_some_and(|length| length != self.wire) {
            return Err(TransportError::new(Phase::Body, Fault::Reset, "the body is shorter than stated"));
        }
        self.permit.shrink(bytes.len());
        let permit = std::mem::replace(&mut self.permit, BodyPermit::none());
        Ok(Body { bytes, permit, cut: self.cut })
    }

    /// Reads a body that has no content coding. A body of one chunk is returned without a copy; several chunks are
    /// joined in one buffer of the body's size.
    async fn plain(&mut self) -> Result<Bytes, TransportError> {
        let max = self.wire_max(&[]);
        let Some(first) = self.chunk(max).await? else { return Ok(Bytes::new()) };
        if let Some(enough) = self.cut_at(first.len()) {
            return Ok(first.slice(..enough));
        }
        let Some(second) = self.chunk(max).await? else { return Ok(first) };
        let mut bytes = BytesMut::new();
        self.take(&mut bytes, &first).await;
        drop(first);
        self.take(&mut bytes, &second).await;
        drop(second);
        loop {
            if let Some(enough) = self.cut_at(bytes.len()) {
                bytes.truncate(enough);
                break;
            }
            let Some(chunk) = self.chunk(max).await? else { break };
            self.take(&mut bytes, &chunk).await;
        }
        Ok(bytes.freeze())
    }

    /// Returns the requested length if the body has more than that many bytes; the rest of the body is then not
    /// read.
    fn cut_at(&mut self, bytes: usize) -> Option<usize> {
        let enough = self.enough.filter(|enough| bytes > *enough)?;
        self.cut = true;
        Some(enough)
    }

    async fn take(&mut self, bytes: &mut BytesMut, chunk: &[u8]) {
        let total = bytes.len() + chunk.len();
        if total > self.permit.bytes() {
            self.grow().await;
        }
        if total > bytes.capacity() {
            // Reserves the stated length, but at most as much as the permit allows.
            let stated = self.length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
            let wanted = stated.min(self.permit.bytes()).max(total);
            bytes.reserve(wanted - bytes.len());
        }
        bytes.extend_from_slice(chunk);
    }

    async fn decoded(&mut self, codings: &[Coding]) -> Result<Bytes, TransportError> {
        let max = self.wire_max(codings);
        let mut decoder = match self.enough {
            None => Decoder::new(codings, self.limits),
            // A body of which only a certain length was requested is limited by this length, which is enforced
            // below.
            Some(_) => Decoder::new(codings, &Limits { body_bytes_max: usize::MAX, ..self.limits.clone() }),
        };
        // One byte more than requested is read, to see whether the body is longer.
        let room_max = self.enough.map_or(usize::MAX, |enough| enough.saturating_add(1));
        let mut sink = DecodedOutput { bytes: BytesMut::new(), room: self.permit.bytes().min(room_max) };
        loop {
            let next = self.chunk(max).await?;
            let last = next.is_none();
            let mut chunk = next.unwrap_or_default();
            decoder.count(chunk.len());
            while decoder.push(&mut chunk, last, &mut sink).map_err(too_large)? == Pushed::Full {
                if let Some(enough) = self.cut_at(sink.bytes.len()) {
                    sink.bytes.truncate(enough);
                    return Ok(sink.bytes.freeze());
                }
                self.grow().await;
                // All the memory that the body may need is reserved now, so only the decoder's own limit counts from
                // here on.
                sink.room = room_max;
            }
            if last {
                return Ok(sink.bytes.freeze());
            }
        }
    }

    /// Returns the next chunk that is not empty, or `None` at the end of the body.
    async fn chunk(&mut self, max: u64) -> Result<Option<Bytes>, TransportError> {
        loop {
            let left = self.ends_at.map_or(u64::MAX, |end| end.saturating_sub(self.wire));
            if left == 0 {
                return Ok(None);
            }
            let next = timeout_at(self.deadline, self.stream.next()).await;
            let Ok(next) = next else {
                self.progress.stop(StopReason::Deadline);
                return Err(deadline_passed());
            };
            let Some(chunk) = next else { return Ok(None) };
            let mut chunk = chunk?;
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            self.wire += chunk.len() as u64;
            if self.wire > max {
                return Err(too_large(Fault::BodyTooLarge));
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }

    /// Waits for all the memory that this body may still need. The time of waiting does not count against the
    /// deadline.
    async fn grow(&mut self) {
        let waiting = Instant::now();
        let bytes = self.enough.map_or(self.limits.body_bytes_max, |enough| enough + BLOCK_SLACK);
        self.budget.grow(&mut self.permit, bytes).await;
        self.deadline += waiting.elapsed();
    }

    fn wire_max(&self, codings: &[Coding]) -> u64 {
        match self.enough {
            // Without a coding, reading ends at the requested length, so `chunk` need not enforce a limit.
            Some(_) if codings.is_empty() => u64::MAX,
            Some(enough) => self.limits.wire_bytes_max.max(enough as u64),
            None if codings.is_empty() => self.limits.wire_bytes_max.min(self.limits.body_bytes_max as u64),
            None => self.limits.wire_bytes_max,
        }
    }
}

/// Reads and discards a short body that is not needed, so that its connection can be used again. Gives up
/// after [`DRAIN_FOR`] or [`DRAIN_BYTES`].
pub(crate) async fn drain(stream: &mut BodyStream) {
    let until = Instant::now() + DRAIN_FOR;
    let mut left = DRAIN_BYTES;
    while let Ok(Some(Ok(chunk))) = timeout_at(until, stream.next()).await {
        if chunk.len() > left {
            return;
        }
        left -= chunk.len();
    }
}

fn too_large(fault: Fault) -> TransportError {
    let detail = match fault {
        Fault::DecompressionBomb => "the body decompresses to more than allowed",
        Fault::Undecodable => "the body cannot be decoded: its content coding is damaged",
        _ => "the body is larger than allowed",
    };
    TransportError::new(Phase::Body, fault, detail)
}

fn deadline_passed() -> TransportError {
    TransportError::new(Phase::Body, Fault::Timeout, "the deadline of the attempt passed")
}

/// The most bytes that a decoder or a chunk may return beyond the requested length before the body is cut
/// off.
const BLOCK_SLACK: usize = 64 << 10;
const DRAIN_FOR: Duration = Duration::from_secs(1);
const DRAIN_BYTES: usize = 64 << 10;
