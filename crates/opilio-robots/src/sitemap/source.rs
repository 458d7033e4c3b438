//! Turns the bytes of a file into bounded UTF-8 text: gzip, byte counts, encodings.
//!
//! The layers, from the file up: counting input, inflating, counting output, transcoding, and a buffer that
//! refuses a single XML event of more than a MiB.

use std::io::{self, BufRead, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use flate2::read::MultiGzDecoder;

use super::{Bounds, SitemapError};

type Reader<'a> = Box<dyn Read + Send + 'a>;

/// A byte order mark in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

const GZIP_MAGIC: &[u8] = &[0x1F, 0x8B];

/// Some servers compress a `.gz` file once more; a third layer is no accident.
const GZIP_LAYERS_MAX: usize = 2;

/// Under this many bytes a high ratio is harmless.
const RATIO_BYTES_MIN: u64 = 1024 * 1024;

/// The most that one XML event (a text, a tag, a comment) may take.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

const BUFFER_BYTES: usize = 16 * 1024;

/// How much of the file is looked at to find its encoding.
const HEAD_BYTES: usize = 1024;

/// A bound was hit inside a reader; it travels up as the inside of an [`io::Error`].
#[derive(Debug, Clone, thiserror::Error)]
enum Hit {
    #[error("too many bytes")]
    Bytes { bytes_max: u64 },
    #[error("decompression bomb")]
    Ratio { ratio_max: u64 },
    #[error("an event of more than {EVENT_BYTES_MAX} bytes")]
    Event,
}

impl From<Hit> for io::Error {
    fn from(hit: Hit) -> Self {
        Self::other(hit)
    }
}

/// The sitemap error behind an I/O error of these readers.
pub(super) fn explain(error: io::Error, at: u64) -> SitemapError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Hit>()) {
        Some(&Hit::Bytes { bytes_max }) => SitemapError::TooManyBytes { bytes_max },
        Some(&Hit::Ratio { ratio_max }) => SitemapError::DecompressionBomb { ratio_max },
        Some(hit @ Hit::Event) => SitemapError::Xml { at, reason: hit.to_string() },
        None => SitemapError::Io(error),
    }
}

/// The text of a sitemap as UTF-8, bounded; malformed sequences become U+FFFD.
pub(super) struct Source<'a> {
    text: Transcoded<'a>,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes handed out since [`Source::mark`].
    since_mark: usize,
}

impl<'a> Source<'a> {
    pub(super) fn open(reader: Reader<'a>, bounds: &Bounds) -> Self {
        let text = transcoded(reader, bounds);
        Self { text, buffer: Vec::with_capacity(BUFFER_BYTES), at: 0, since_mark: 0 }
    }

    /// Skips white space and returns the next byte without taking it.
    pub(super) fn first_octet(&mut self) -> Result<Option<u8>, SitemapError> {
        loop {
            let buffer = self.fill_buf().map_err(|error| explain(error, 0))?;
            if buffer.is_empty() {
                return Ok(None);
            }
            // A byte order mark that was put in front of another one is a character of the text.
            let spaces = buffer
                .strip_prefix(MARK)
                .map(|_| MARK.len())
                .unwrap_or_else(|| buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count());
            let first = buffer.get(spaces).copied().filter(|_| spaces == 0);
            self.consume(spaces);
            self.mark();
            if first.is_some() {
                return Ok(first);
            }
        }
    }

    /// Skips text before the XML, if XML follows the first text of the file; returns whether it does.
    pub(super) fn skip_to_xml(&mut self) -> bool {
        let Ok(buffer) = self.fill_buf() else { return false };
        // Markup without a declaration is looked for behind words only: a page may show a sitemap's.
        let roots: &[&[u8]] = &[b"<?xml", b"<urlset", b"<sitemapindex"];
        let roots = if buffer.starts_with(b"<") { &roots[..1] } else { roots };
        let found = roots.iter().filter_map(|root| memchr::memmem::find(buffer, root)).min();
        if let Some(at) = found {
            self.consume(at);
            self.mark();
        }
        found.is_some()
    }

    /// Begins a new event.
    pub(super) fn mark(&mut self) {
        self.since_mark = 0;
    }
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.since_mark > EVENT_BYTES_MAX {
            return Err(Hit::Event.into());
        }
        if self.at >= self.buffer.len() {
            self.at = 0;
            self.buffer.clear();
            self.text.fill(&mut self.buffer)?;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
        self.since_mark += count;
    }
}

/// Decodes to UTF-8.
struct Transcoded<'a> {
    reader: Reader<'a>,
    decoder: Decoder,
    raw: Box<[u8]>,
    /// The part of `raw` not decoded yet.
    pending: std::ops::Range<usize>,
    ended: bool,
    finished: bool,
}

impl Transcoded<'_> {
    /// Appends the next text, at most [`BUFFER_BYTES`]; nothing at the end.
    fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        out.resize(BUFFER_BYTES, 0);
        let mut written = 0;
        while written == 0 && !self.finished {
            if self.pending.is_empty() && !self.ended {
                let count = read_some(&mut self.reader, &mut self.raw)?;
                self.pending = 0..count;
                self.ended = count == 0;
            }
            let raw = &self.raw[self.pending.clone()];
            let (result, read, count, _) = self.decoder.decode_to_utf8(raw, out, self.ended);
            self.pending.start += read;
            self.finished = self.ended && result == CoderResult::InputEmpty;
            written = count;
        }
        out.truncate(written);
        Ok(())
    }
}

fn transcoded<'a>(reader: Reader<'a>, bounds: &Bounds) -> Transcoded<'a> {
    let (head, reader) = peek(inflated(reader, bounds), HEAD_BYTES);
    Transcoded {
        reader,
        // The decoder gives precedence to a byte order mark, and removes it.
        decoder: encoding_of(&head).new_decoder(),
        raw: vec![0; BUFFER_BYTES].into_boxed_slice(),
        pending: 0..0,
        ended: false,
        finished: false,
    }
}

/// The encoding without a byte order mark: UTF-16 by its zero bytes, else the one in the XML declaration,
/// else UTF-8 (XML 1.0 appendix F).
fn encoding_of(head: &[u8]) -> &'static Encoding {
    match head {
        [b'<', 0, ..] => return UTF_16LE,
        [0, b'<', ..] => return UTF_16BE,
        _ => {}
    }
    let declared = || {
        let start = head.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let declaration = head[start..].strip_prefix(b"<?xml")?;
        let declaration = &declaration[..memchr::memmem::find(declaration, b"?>")?];
        let at = memchr::memmem::find(declaration, b"encoding")? + b"encoding".len();
        let label = declaration[at..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
        let (quote, label) = label.split_first()?;
        let encoding = Encoding::for_label(&label[..memchr::memchr(*quote, label)?])?;
        // The declaration was readable as ASCII, so it cannot be UTF-16.
        (encoding != UTF_16LE && encoding != UTF_16BE).then_some(encoding)
    };
    declared().unwrap_or(UTF_8)
}

fn inflated<'a>(mut reader: Reader<'a>, bounds: &Bounds) -> Reader<'a> {
    let compressed = Arc::new(AtomicU64::new(0));
    let mut ratio_max = u64::MAX;
    for layer in 0..=GZIP_LAYERS_MAX {
        let (head, whole) = peek(reader, GZIP_MAGIC.len());
        reader = whole;
        if head != GZIP_MAGIC || layer == GZIP_LAYERS_MAX {
            break;
        }
        if layer == 0 {
            reader = Box::new(Counted { reader, bytes: Arc::clone(&compressed) });
            ratio_max = bounds.ratio_max;
        }
        reader = Box::new(MultiGzDecoder::new(reader));
    }
    Box::new(Bounded { reader, compressed, bytes: 0, bytes_max: bounds.bytes_max, ratio_max })
}

/// Reads the first bytes; returns them and a reader of everything. An error is kept until the reader reaches
/// it, so that the bytes before it are read.
fn peek<'a>(mut reader: Reader<'a>, bytes: usize) -> (Vec<u8>, Reader<'a>) {
    let mut head = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        match read_some(&mut reader, &mut head[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) => {
                reader = Box::new(Failing(Some(error)));
                break;
            }
        }
    }
    head.truncate(filled);
    (head.clone(), Box::new(Cursor::new(head).chain(reader)))
}

/// Fails once.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

fn read_some(reader: &mut Reader<'_>, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(out) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Counts the input of the decompressor.
struct Counted<'a> {
    reader: Reader<'a>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(out)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Counts the output and stops at the bounds.
struct Bounded<'a> {
    reader: Reader<'a>,
    compressed: Arc<AtomicU64>,
    bytes: u64,
    bytes_max: u64,
    /// Out of the question if nothing is compressed: then it is the largest number.
    ratio_max: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Reads one byte beyond the limit to tell whether the file is too long.
        let room = self.bytes_max.saturating_sub(self.bytes).max(1);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(out.len());
        let count = self.reader.read(&mut out[..room])?;
        self.bytes += count as u64;
        if self.bytes > self.bytes_max {
            return Err(Hit::Bytes { bytes_max: self.bytes_max }.into());
        }
        let compressed = self.compressed.load(Ordering::Relaxed);
        if self.bytes > RATIO_BYTES_MIN && self.bytes / self.ratio_max > compressed {
            return Err(Hit::Ratio { ratio_max: self.ratio_max }.into());
        }
        Ok(count)
    }
}
