//! JSON Lines: one JSON value a line.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::error::ExportError;
use crate::export::{Encoder, Export, Sink};
use crate::file::FileSink;
use crate::stream::StreamSink;

/// Exports each item as one line of JSON.
///
/// Lines are valid JSON whatever the items hold, and safe to look at: every control character is
/// escaped, also those that JSON itself would let stand (U+007F to U+009F), since a terminal may obey
/// them.
///
/// ```
/// # use opilio_export::{ExportError, JsonLines};
/// # fn main() -> Result<(), ExportError> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("products.jsonl");
/// let export = JsonLines::create(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JsonLines(To);

#[derive(Debug)]
enum To {
    File(FileSink),
    Stream(StreamSink),
}

impl JsonLines {
    /// Into a file, which is made or opened now. What is in it already stays until the crawl begins:
    /// a new crawl starts it anew, a resumed one goes on in it.
    ///
    /// A path that is no regular file (`/dev/stdout`, a named pipe) is written as a stream.
    ///
    /// # Errors
    /// When it cannot be written to; the error names the path and holds the operating system's reason.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, ExportError> {
        let path = path.as_ref();
        let open = |source| ExportError::Open { path: path.to_owned(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(open)?;
        if file.metadata().map_err(open)?.is_file() {
            return Ok(Self(To::File(FileSink::over(path, file))));
        }
        Ok(Self(To::Stream(StreamSink::new(&path.to_string_lossy(), file))))
    }

    /// To the standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self(To::Stream(StreamSink::new("stdout", io::stdout())))
    }

    /// Into any writer.
    #[must_use]
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        Self(To::Stream(StreamSink::new("writer", writer)))
    }
}

impl<T: Serialize + ?Sized> Export<T> for JsonLines {
    fn encoder(&self) -> Box<dyn Encoder<T>> {
        Box::new(JsonEncoder)
    }

    fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError> {
        Ok(match self.0 {
            To::File(file) => Box::new(file),
            To::Stream(stream) => Box::new(stream),
        })
    }
}

/// The [`Encoder`] of JSON Lines.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonEncoder;

impl<T: Serialize + ?Sized> Encoder<T> for JsonEncoder {
    fn encode(&mut self, item: &T, out: &mut Vec<u8>) -> Result<(), ExportError> {
        line(item, out)
    }

    fn encode_alias(&mut self, url: &str, final_url: &str, out: &mut Vec<u8>) -> Result<(), ExportError> {
        line(&Alias { url, alias: true, final_url }, out)
    }
}

/// The line of a URL that is another name of one that the crawl reports by itself.
#[derive(Serialize)]
struct Alias<'a> {
    url: &'a str,
    alias: bool,
    final_url: &'a str,
}

fn line<T: Serialize + ?Sized>(item: &T, out: &mut Vec<u8>) -> Result<(), ExportError> {
    let start = out.len();
    if let Err(source) = item.serialize(&mut Serializer::with_formatter(&mut *out, OneLine)) {
        out.truncate(start);
        return Err(ExportError::Encode { exporter: "JSON Lines", source: source.into() });
    }
    out.push(b'\n');
    Ok(())
}

/// Compact JSON in which no control character stands by itself.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        // U+0080 to U+009F are C2 80 to C2 9F in UTF-8; few texts hold a C2 or a DEL at all.
        if !text.bytes().any(|byte| byte == 0x7f || byte == 0xc2) {
            return writer.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some(at) = rest.find(|c| matches!(c, '\u{7f}'..='\u{9f}')) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut chars = from.chars();
            if let Some(control) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(control))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    /// Raw JSON may hold line breaks between its tokens (in its strings they are escaped).
    fn write_raw_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, json: &str) -> io::Result<()> {
        for (i, part) in json.split(['\n', '\r']).enumerate() {
            if i > 0 {
                writer.write_all(b" ")?;
            }
            self.write_string_fragment(writer, part)?;
        }
        Ok(())
    }
}
