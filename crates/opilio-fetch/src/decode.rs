//! Decodes content codings: gzip, deflate (zlib and raw), br and zstd. A body may have at most two of them.
//!
//! The decoder gets its input chunk by chunk and counts every byte: it stops when the memory reserved for the body
//! is full, and fails when a limit is exceeded. Between two chained codings only one block is kept in memory, so a
//! decompression bomb inside another bomb costs no more memory than a single bomb.

use bytes::{Bytes, BytesMut};
use encoding_rs::Encoding;
use http::{HeaderMap, header};
use opilio_core::Fault;

use self::codec::{Brotli, Codec, CorruptStream, RawDeflate, StreamState, Zstd};
use self::inflate::Inflate;
use crate::limits::Limits;

mod codec;
mod inflate;

/// The value of the `Accept-Encoding` header. All these codings can be decoded.
pub(crate) const ACCEPT_ENCODING: &str = "gzip, br, zstd, deflate";

/// One content coding of HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Returns the codings of a body in the order in which they must be decoded.
///
/// # Errors
/// `Undecodable` when a coding is unknown or there are more than two.
pub(crate) fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Fault> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for word in value.as_bytes().split(|byte| *byte == b',') {
            codings.extend(coding(word.trim_ascii())?);
            if codings.len() > CODINGS_MAX {
                return Err(Fault::Undecodable);
            }
        }
    }
    codings.reverse();
    Ok(codings)
}

/// Returns the coding with this name; `None` for a name that means no coding. Some servers write other words than
/// `identity` for "no coding", or a charset or a media type; browsers do not decode such a body.
///
/// # Errors
/// `Undecodable` for every other name, since it may be a coding.
pub(crate) fn coding(word: &[u8]) -> Result<Option<Coding>, Fault> {
    let end = word.iter().position(|byte| *byte == b';').unwrap_or(word.len());
    let word = word[..end].trim_ascii();
    let word = word.strip_prefix(b"\"").and_then(|word| word.strip_suffix(b"\"")).unwrap_or(word);
    let known = [
        ("gzip", Coding::Gzip),
        ("x-gzip", Coding::Gzip),
        ("br", Coding::Brotli),
        ("zstd", Coding::Zstd),
        ("deflate", Coding::Deflate),
    ];
    let is = |name: &str| name.as_bytes().eq_ignore_ascii_case(word);
    if let Some((_, coding)) = known.into_iter().find(|(name, _)| is(name)) {
        return Ok(Some(coding));
    }
    let is_type =
        word.contains(&b'/') || word.get(..8).is_some_and(|of| of.eq_ignore_ascii_case(b"charset="));
    let nothing = NOTHING.into_iter().any(is) || is_type || Encoding::for_label(word).is_some();
    if nothing { Ok(None) } else { Err(Fault::Undecodable) }
}

/// Whether a call of `Decoder::push` used up its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pushed {
    /// The whole input is used up. If it was the last input, the whole output was written, too.
    Hungry,
    /// The reserved memory is full. The caller must reserve more and push the rest of the input.
    Full,
}

/// Decodes the body of one answer.
pub(crate) struct Decoder {
    /// The decoding stages in their order: one per coding, so one or two.
    stages: Vec<Stage>,
    bounds: DecodeBounds,
}

/// The output, and how much of it may be written for now.
pub(crate) struct DecodedOutput {
    pub(crate) bytes: BytesMut,
    /// The number of bytes of output at which the decoder stops. The output may exceed this by one block.
    pub(crate) room: usize,
}

struct DecodeBounds {
    bytes_max: u64,
    ratio_max: u64,
    wire: u64,
}

impl Decoder {
    pub(crate) fn new(codings: &[Coding], limits: &Limits) -> Self {
        let bounds =
            DecodeBounds { bytes_max: limits.body_bytes_max as u64, ratio_max: limits.ratio_max, wire: 0 };
        Self { stages: codings.iter().map(|coding| Stage::new(*coding)).collect(), bounds }
    }

    /// Counts the bytes of a chunk that is about to be pushed, for the limits of size and ratio.
    pub(crate) fn count(&mut self, chunk: usize) {
        self.bounds.wire += chunk as u64;
    }

    /// Decodes `input` into the sink until the sink is full. `last` means that no more input follows.
    ///
    /// # Errors
    /// `Undecodable` for broken or incomplete data, `DecompressionBomb` when a limit is exceeded.
    pub(crate) fn push(
        &mut self,
        input: &mut Bytes,
        last: bool,
        sink: &mut DecodedOutput,
    ) -> Result<Pushed, Fault> {
        while sink.bytes.len() < sink.room {
            if !self.step(input, last, sink)? {
                return Ok(Pushed::Hungry);
            }
        }
        Ok(Pushed::Full)
    }

    /// Moves bytes through one stage. Returns false if no stage can continue without more input.
    fn step(&mut self, input: &mut Bytes, last: bool, sink: &mut DecodedOutput) -> Result<bool, Fault> {
        // The stages run from the last to the first, so that a stage decodes only when the next stage has taken its
        // previous block.
        for at in (0..self.stages.len()).rev() {
            let (before, rest) = self.stages.split_at_mut(at);
            let Some((stage, _)) = rest.split_first_mut() else { continue };
            let moved = match before.last_mut() {
                None => {
                    let (used, moved) = stage.run(input, last)?;
                    // This split is cheap: no bytes are copied.
                    drop(input.split_to(used));
                    moved
                }
                Some(upstream) => {
                    let ended = upstream.ended;
                    let (used, moved) = stage.run(&upstream.block[upstream.taken..upstream.filled], ended)?;
                    upstream.taken += used;
                    moved
                }
            };
            if moved {
                self.bounds.check(stage.total)?;
                if at + 1 == self.stages.len() {
                    sink.bytes.extend_from_slice(self.stages[at].take_block());
                }
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl DecodeBounds {
    fn check(&self, decoded: u64) -> Result<(), Fault> {
        let bomb = decoded > self.bytes_max
            || (decoded > RATIO_FROM && decoded > self.wire.saturating_mul(self.ratio_max));
        if bomb { Err(Fault::DecompressionBomb) } else { Ok(()) }
    }
}

/// Decodes one coding, one block of output at a time.
struct Stage {
    coding: Coding,
    /// The decoder of this coding; `None` until the first byte, which for deflate decides between zlib and raw.
    codec: Option<Box<dyn Codec + Send>>,
    block: Box<[u8]>,
    filled: usize,
    taken: usize,
    /// The number of bytes decoded so far.
    total: u64,
    /// Whether the codec reached the end of its stream. More input may begin another stream.
    stream_done: bool,
    /// Whether this stage will write no more output.
    ended: bool,
}

impl Stage {
    fn new(coding: Coding) -> Self {
        Self {
            coding,
            codec: None,
            block: vec![0; BLOCK_BYTES].into_boxed_slice(),
            filled: 0,
            taken: 0,
            total: 0,
            stream_done: false,
            ended: false,
        }
    }

    fn take_block(&mut self) -> &[u8] {
        self.taken = self.filled;
        &self.block[..self.filled]
    }

    /// Decodes at most one block. Returns the number of input bytes used, and whether anything changed.
    fn run(&mut self, input: &[u8], last: bool) -> Result<(usize, bool), Fault> {
        if self.taken < self.filled || self.ended {
            return Ok((0, false));
        }
        if input.is_empty() {
            return if last { self.end().map(|()| (0, true)) } else { Ok((0, false)) };
        }
        let codec = match &mut self.codec {
            Some(codec) => codec,
            none => none.insert(codec_of(self.coding, input[0])?),
        };
        if self.stream_done {
            if !starts_again(self.coding, input[0]) {
                // Bytes after a complete stream are padding and are ignored, as in browsers.
                self.fill(0);
                return Ok((input.len(), true));
            }
            codec.reset()?;
        }
        let decoded = codec.decode(input, &mut self.block)?;
        self.stream_done = decoded.stream == StreamState::Ended;
        self.fill(decoded.written);
        if decoded.used == 0 && decoded.written == 0 && !self.stream_done {
            return Err(Fault::Undecodable);
        }
        Ok((decoded.used, true))
    }

    /// Writes the remaining output, one block per call, and checks that the stream is complete.
    fn end(&mut self) -> Result<(), Fault> {
        // If there was no input at all, the body is empty, in any coding.
        let Some(codec) = self.codec.as_mut().filter(|_| !self.stream_done) else {
            self.ended = true;
            self.fill(0);
            return Ok(());
        };
        let decoded = codec.decode(&[], &mut self.block)?;
        self.stream_done = decoded.stream == StreamState::Ended;
        if decoded.written == 0 {
            if decoded.stream == StreamState::Incomplete {
                return Err(Fault::Undecodable);
            }
            self.ended = true;
        }
        self.fill(decoded.written);
        Ok(())
    }

    fn fill(&mut self, filled: usize) {
        self.filled = filled;
        self.taken = 0;
        self.total += filled as u64;
    }
}

fn codec_of(coding: Coding, first: u8) -> Result<Box<dyn Codec + Send>, CorruptStream> {
    Ok(match coding {
        Coding::Gzip => Box::new(Inflate::gzip()),
        // By RFC 9110 §8.4.1.2, "deflate" means zlib, but some servers send a raw deflate stream. A zlib header
        // names method 8 and a window of at most 32 KiB; no raw stream begins like this.
        Coding::Deflate if first & 0x0f == 8 && first >> 4 <= 7 => Box::new(Inflate::zlib()),
        Coding::Deflate => Box::new(RawDeflate::new()),
        Coding::Brotli => Box::new(Brotli::new()),
        Coding::Zstd => Box::new(Zstd::new()?),
    })
}

impl From<CorruptStream> for Fault {
    fn from(_: CorruptStream) -> Self {
        Self::Undecodable
    }
}

/// Returns whether this byte begins another member of gzip (RFC 1952 §2.2) or frame of zstd (RFC 8878 §3.1).
fn starts_again(coding: Coding, first: u8) -> bool {
    match coding {
        Coding::Gzip => first == 0x1f,
        Coding::Zstd => first == 0x28 || first & 0xf0 == 0x50,
        Coding::Deflate | Coding::Brotli => false,
    }
}

/// Words that servers send for "no coding". Only "identity" is correct (RFC 9110 §12.5.3).
const NOTHING: [&str; 20] = [
    "", "identity", "none", "null", "nil", "no", "off", "false", "0", "*", "-", "auto", "default", "plain",
    "text", "html", "binary", "7bit", "8bit", "utf8",
];
/// The most codings of one body. Three or more are used only by attackers.
const CODINGS_MAX: usize = 2;
const BLOCK_BYTES: usize = 16 << 10;
/// The bytes of output from which on the ratio of output to input is checked: 1 MiB. With less output, a high ratio
/// is harmless.
const RATIO_FROM: u64 = 1 << 20;

#[cfg(test)]
pub(crate) mod tests;
