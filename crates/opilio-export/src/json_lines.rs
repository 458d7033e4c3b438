//! JSON Lines: one JSON value per line.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::error::ExportError;
use crate::export::{Encoder, Export, Sink};
use crate::file::{self, FileSink};
use crate::stream::StreamSink;

/// Exports each item as one line of JSON.
///
/// Each line is valid JSON, whatever the item, and safe to print: every control character is escaped,
/// including those that JSON allows unescaped (U+007F to U+009F), since a terminal may obey them.
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
    /// Writes into a file, which is created or opened now. The old content stays until the crawl begins: a
    /// new crawl replaces it, and a resumed crawl appends to it.
    ///
    /// Any other path than a regular file (`/dev/stdout`, a named pipe) is written as a stream.
    ///
    /// # Errors
    /// When the path cannot be written to; the error names the path and holds the operating system's reason.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, ExportError> {
        let path = path.as_ref();
        let file = file::open(path)?;
        let kind = file.metadata().map_err(|source| ExportError::Open { path: path.to_owned(), source })?;
        if kind.is_file() {
            return Ok(Self(To::File(FileSink::over(path, file))));
        }
        Ok(Self(To::Stream(StreamSink::new(&path.to_string_lossy(), file))))
    }

    /// Writes to the standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self(To::Stream(StreamSink::new("stdout", io::stdout())))
    }

    /// Writes into any writer.
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

/// The [`Encoder`] of JSON Lines: writes each item as one line.
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

/// The line for a URL that is another name of a page. The crawl reports the page itself in a line of its own.
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

/// A JSON formatter that writes compact JSON on one line, with all control characters escaped.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        // In UTF-8, U+0080 to U+009F begin with the byte C2. Few texts contain that byte or a DEL (7F), so
        // most are passed on unchanged.
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

    /// Replaces line breaks between the tokens of raw JSON by spaces. Within strings, JSON has line breaks
    /// only in escaped form.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::fs;

    fn encode<T: Serialize + ?Sized>(item: &T) -> String {
        let mut out = Vec::new();
        JsonEncoder.encode(item, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[derive(Serialize)]
    struct Product {
        name: &'static str,
        price: f64,
    }

    fn sink(export: JsonLines) -> Box<dyn Sink> {
        Export::<Product>::into_sink(Box::new(export)).unwrap()
    }

    #[test]
    fn an_item_is_one_line() {
        let line = encode(&Product { name: "a \"cable\"\n", price: 9.5 });
        assert_eq!(line, "{\"name\":\"a \\\"cable\\\"\\n\",\"price\":9.5}\n");
    }

    #[test]
    fn control_characters_reach_no_terminal() {
        let line = encode("\u{0}\u{1b}[2J\u{7f}é\u{85}\u{9b}31m\u{a0}");
        assert_eq!(line, "\"\\u0000\\u001b[2J\\u007fé\\u0085\\u009b31m\u{a0}\"\n");
    }

    #[test]
    fn an_alias_names_both_urls() {
        let mut out = Vec::new();
        Encoder::<Product>::encode_alias(&mut JsonEncoder, "http://a/1", "http://a/2", &mut out).unwrap();
        assert_eq!(out, b"{\"url\":\"http://a/1\",\"alias\":true,\"final_url\":\"http://a/2\"}\n");
    }

    #[test]
    fn an_item_without_json_is_an_error_and_no_half_line() {
        let item = BTreeMap::from([((1, 2), "keys are no strings")]);
        let mut out = b"before\n".to_vec();
        let error = JsonEncoder.encode(&item, &mut out).unwrap_err();
        assert_eq!(error.to_string(), "cannot encode an item as JSON Lines");
        assert_eq!(out, b"before\n");
    }

    #[test]
    fn a_file_holds_the_lines_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("products.jsonl");
        let export = JsonLines::create(&path).unwrap();
        let mut encoder = Export::<Product>::encoder(&export);
        let mut sink = sink(export);
        sink.begin(0).unwrap();
        for price in [1.0, 2.0] {
            let mut rows = Vec::new();
            encoder.encode(&Product { name: "x", price }, &mut rows).unwrap();
            sink.append(&rows).unwrap();
        }
        let end = sink.flush().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"name\":\"x\",\"price\":1.0}\n{\"name\":\"x\",\"price\":2.0}\n");
        assert_eq!(end, text.len() as u64);
        assert_eq!(&*sink.name(), path.to_str().unwrap());
    }

    #[test]
    fn an_unwritable_path_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("no/such/dir.jsonl"), dir.path().to_owned()] {
            let error = JsonLines::create(&path).unwrap_err();
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            assert!(matches!(error, ExportError::Open { .. }));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_error_that_names_it() {
        let mut sink = sink(JsonLines::create("/dev/full").unwrap());
        sink.begin(0).unwrap();
        sink.append(b"{}\n").unwrap();
        let ExportError::Write { sink, source } = sink.flush().unwrap_err() else { panic!("another error") };
        assert_eq!((&*sink, source.kind()), ("/dev/full", io::ErrorKind::StorageFull));
    }

    proptest! {
        #[test]
        fn whatever_a_text_holds_its_line_is_valid_and_gives_it_back(
            text in prop::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter)
        ) {
            let line = encode(&text);
            let body = line.strip_suffix('\n').unwrap();
            prop_assert!(!body.chars().any(char::is_control), "{:?}", body);
            prop_assert_eq!(serde_json::from_str::<String>(body).unwrap(), text);
        }
    }
}
