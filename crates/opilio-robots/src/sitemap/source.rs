//! Converts the bytes of a file to UTF-8 text of limited size.
//!
//! The readers, each reading from the reader before it: one counts the input, one decompresses, one counts
//! the output, one decodes to UTF-8, and the last one is a buffer that refuses a single XML event (a tag, a
//! text or a comment) of more than one MiB.

use std::io::{self, BufRead, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use flate2::read::MultiGzDecoder;

use super::{Bounds, SitemapError};

type ByteReader<'a> = Box<dyn Read + Send + 'a>;

/// A byte order mark, as UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

const GZIP_MAGIC: &[u8] = &[0x1F, 0x8B];

/// The most gzip layers that are removed. Some servers compress a `.gz` file once more by mistake; a third
/// layer is hardly a mistake.
const GZIP_LAYERS_MAX: usize = 2;

/// The size of the output, in bytes, from which on the compression ratio is checked. Below this size a high
/// ratio is harmless.
const RATIO_BYTES_MIN: u64 = 1024 * 1024;

/// The most bytes of one XML event (a text, a tag or a comment).
const EVENT_BYTES_MAX: usize = 1024 * 1024;

const BUFFER_BYTES: usize = 16 * 1024;

/// The number of bytes at the start of the file that are searched for its encoding.
const HEAD_BYTES: usize = 1024;

/// The limit that a reader of this module has reached. A `Hit` is returned inside an [`io::Error`], see
/// [`explain`].
#[derive(Debug, Clone, thiserror::Error)]
enum Hit {
    #[error("too many bytes")]
    Bytes { bytes_max: u64 },
    #[error("decompression bomb")]
    Ratio { ratio_max: u64 },
    #[error("a tag, text or comment of more than {EVENT_BYTES_MAX} bytes")]
    Event,
}

impl From<Hit> for io::Error {
    fn from(hit: Hit) -> Self {
        Self::other(hit)
    }
}

/// Converts an I/O error of these readers to a sitemap error, for instance to the limit that was reached.
pub(super) fn explain(error: io::Error, at: u64) -> SitemapError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Hit>()) {
        Some(&Hit::Bytes { bytes_max }) => SitemapError::TooManyBytes { bytes_max },
        Some(&Hit::Ratio { ratio_max }) => SitemapError::DecompressionBomb { ratio_max },
        Some(hit @ Hit::Event) => SitemapError::Xml { at, reason: hit.to_string() },
        None => SitemapError::Io(error),
    }
}

/// The text of a sitemap as UTF-8, read within the limits. Malformed sequences become U+FFFD.
pub(super) struct Source<'a> {
    text: Transcoded<'a>,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes returned since [`Source::mark`] was called.
    since_mark: usize,
}

impl<'a> Source<'a> {
    pub(super) fn open(reader: ByteReader<'a>, bounds: &Bounds) -> Self {
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
            // A file may start with several byte order marks. The decoder removes only the first mark, so the
            // others are skipped here.
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

    /// Skips text before the XML, if XML is found in the first buffer of the file. Returns whether XML was
    /// found.
    pub(super) fn skip_to_xml(&mut self) -> bool {
        let Ok(buffer) = self.fill_buf() else { return false };
        // If the file starts with markup, only `<?xml` is searched for: an HTML page may show the source of a
        // sitemap.
        let roots: &[&[u8]] = &[b"<?xml", b"<urlset", b"<sitemapindex"];
        let roots = if buffer.starts_with(b"<") { &roots[..1] } else { roots };
        let found = roots.iter().filter_map(|root| memchr::memmem::find(buffer, root)).min();
        if let Some(at) = found {
            self.consume(at);
            self.mark();
        }
        found.is_some()
    }

    /// Begins a new XML event: the bytes returned from now on count towards the limit `EVENT_BYTES_MAX`.
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

/// Decodes the bytes of a file to UTF-8.
struct Transcoded<'a> {
    reader: ByteReader<'a>,
    decoder: Decoder,
    raw: Box<[u8]>,
    /// The part of `raw` that is not decoded yet.
    pending: std::ops::Range<usize>,
    ended: bool,
    finished: bool,
}

impl Transcoded<'_> {
    /// Writes the next decoded text to `out`, at most [`BUFFER_BYTES`]. At the end of the file, `out` is
    /// empty afterwards.
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

fn transcoded<'a>(reader: ByteReader<'a>, bounds: &Bounds) -> Transcoded<'a> {
    let (head, reader) = peek(inflated(reader, bounds), HEAD_BYTES);
    Transcoded {
        reader,
        // If the file starts with a byte order mark, the decoder removes that mark, and uses its encoding
        // instead of this one.
        decoder: encoding_of(&head).new_decoder(),
        raw: vec![0; BUFFER_BYTES].into_boxed_slice(),
        pending: 0..0,
        ended: false,
        finished: false,
    }
}

/// Returns the encoding of a file without a byte order mark: UTF-16 if there are zero bytes beside the first
/// `<`, else the encoding of the XML declaration, else UTF-8 (XML 1.0 appendix F).
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

fn inflated<'a>(mut reader: ByteReader<'a>, bounds: &Bounds) -> ByteReader<'a> {
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

/// Reads the first bytes. Returns these bytes, and a reader of the whole file. An error is returned by that
/// reader in its place, so that the bytes before the error are read.
fn peek<'a>(mut reader: ByteReader<'a>, bytes: usize) -> (Vec<u8>, ByteReader<'a>) {
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

/// A reader that returns its error at the first read, and the end of the file afterwards.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

fn read_some(reader: &mut ByteReader<'_>, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(out) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Counts the bytes that the decompressor reads.
struct Counted<'a> {
    reader: ByteReader<'a>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(out)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Counts the bytes of the output after decompression, and fails when a limit is reached.
struct Bounded<'a> {
    reader: ByteReader<'a>,
    compressed: Arc<AtomicU64>,
    bytes: u64,
    bytes_max: u64,
    /// The most bytes of output per byte of input; `u64::MAX` if the file is not compressed.
    ratio_max: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // At the limit, one more byte is read to tell whether the file is too long.
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
