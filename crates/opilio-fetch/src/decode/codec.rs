//! One interface for the decoders of the content codings.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

/// Decodes one stream of one coding.
pub(super) trait Codec {
    /// Decodes until the input is used up, the output is full, or the stream ends. The input may be empty; then the
    /// decoder writes output that did not fit into the call before.
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodedPart, CorruptStream>;

    /// Prepares the decoder for another stream.
    fn reset(&mut self) -> Result<(), CorruptStream>;
}

/// What a decoder did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodedPart {
    /// The number of bytes of input that were read.
    pub(crate) used: usize,
    /// The number of bytes of output that were written.
    pub(crate) written: usize,
    pub(crate) stream: StreamState,
}

/// How far a decoder has come in its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StreamState {
    /// If no more input follows, the stream is cut off.
    Incomplete,
    /// The content is complete. If more input follows, it belongs to the trailer.
    Complete,
    /// The stream has ended. If more input follows, it does not belong to the stream.
    Ended,
}

/// The input is not what the coding says, or the decoder could not be prepared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CorruptStream;

/// A deflate stream without header and trailer (RFC 1951).
pub(crate) struct RawDeflate(Decompress);

impl RawDeflate {
    pub(crate) fn new() -> Self {
        Self(Decompress::new(false))
    }
}

impl Codec for RawDeflate {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodedPart, CorruptStream> {
        let (read, written) = (self.0.total_in(), self.0.total_out());
        let status = self.0.decompress(input, output, FlushDecompress::None).map_err(|_| CorruptStream)?;
        let stream = if status == Status::StreamEnd { StreamState::Ended } else { StreamState::Incomplete };
        // The numbers fit, because input and output are slices.
        let (used, written) = (self.0.total_in() - read, self.0.total_out() - written);
        Ok(DecodedPart { used: used as usize, written: written as usize, stream })
    }

    fn reset(&mut self) -> Result<(), CorruptStream> {
        self.0.reset(false);
        Ok(())
    }
}

/// RFC 7932. The state is large, some 3 kB.
pub(super) struct Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>);

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self(Box::new(BrotliState::new(alloc(), alloc(), alloc())))
    }
}

impl Codec for Brotli {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodedPart, CorruptStream> {
        let (mut used, mut written) = (0, 0);
        let result = BrotliDecompressStream(
            &mut input.len(),
            &mut used,
            input,
            &mut output.len(),
            &mut written,
            output,
            &mut 0,
            &mut self.0,
        );
        let stream = match result {
            BrotliResult::ResultFailure => return Err(CorruptStream),
            BrotliResult::ResultSuccess => StreamState::Ended,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => StreamState::Incomplete,
        };
        Ok(DecodedPart { used, written, stream })
    }

    fn reset(&mut self) -> Result<(), CorruptStream> {
        *self = Self::new();
        Ok(())
    }
}

/// RFC 8878.
pub(super) struct Zstd(DCtx<'static>);

impl Zstd {
    pub(super) fn new() -> Result<Self, CorruptStream> {
        let mut context = DCtx::try_create().ok_or(CorruptStream)?;
        context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|_| CorruptStream)?;
        Ok(Self(context))
    }
}

impl Codec for Zstd {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodedPart, CorruptStream> {
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(output);
        let missing = self.0.decompress_stream(&mut output, &mut input).map_err(|_| CorruptStream)?;
        let stream = if missing == 0 { StreamState::Ended } else { StreamState::Incomplete };
        Ok(DecodedPart { used: input.pos(), written: output.pos(), stream })
    }

    fn reset(&mut self) -> Result<(), CorruptStream> {
        self.0.reset(ResetDirective::SessionOnly).map(|_| ()).map_err(|_| CorruptStream)
    }
}

/// RFC 9659 limits the window to 8 MiB. With larger windows, a few bytes of input could make the decoder allocate
/// 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
