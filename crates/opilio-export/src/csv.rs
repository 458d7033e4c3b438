//! CSV (RFC 4180): a header, then one row per item.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::ExportError;
use crate::export::{Encoder, Export, Sink};
use crate::file::{self, FileSink};
use crate::stream::StreamSink;

/// Exports each item as one row of CSV, for spreadsheets and data frames.
///
/// The first line is the header with the names of the columns: the fields of the first item, or the names
/// given to [`columns`](Self::columns). An item with another field is an error, and its page ends as
/// `parse_error`. A missing field counts as `null`. An item that is neither struct nor map (a text, a number)
/// has one column `value`. A crawl without items writes a header only if `columns` was called.
///
/// `null` is written as an empty cell, an empty text as `""`. (In a row of one cell both are `""`, since
/// readers skip empty lines.) Lists and nested values are written as JSON. Lines end in CR LF. Control
/// characters are not allowed in CSV and become U+FFFD, except tabs and line breaks.
///
/// Texts from the web are untrusted, and a spreadsheet would execute a text such as `=HYPERLINK(…)`. So a
/// text that begins like a formula (with `=`, `+`, `-` or `@`, also after white space) is written with an
/// apostrophe before it, unless it is a plain number. [`keep_formulas`](Self::keep_formulas) turns this off.
///
/// ```
/// # use opilio_export::{Csv, ExportError};
/// # fn main() -> Result<(), ExportError> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("products.csv");
/// let export = Csv::create(path)?.columns(["name", "price"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Csv {
    to: CsvTarget,
    shape: Arc<Columns>,
}

#[derive(Debug)]
enum CsvTarget {
    File(FileSink, PathBuf),
    Stream(StreamSink),
}

/// The state that encoders and sink share.
#[derive(Clone, Debug, Default)]
struct Columns {
    columns: OnceLock<Vec<String>>,
    /// The name of the output whose file already had these columns when the run began. It is empty if no file
    /// had them.
    kept_in: OnceLock<Arc<str>>,
    formulas: Formulas,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Formulas {
    #[default]
    Defused,
    Kept,
}

impl Csv {
    /// Writes into a file, which is created or opened now. The old content stays until the crawl begins: a
    /// new crawl replaces it, and a resumed crawl appends to it, if the columns are the same.
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
            return Ok(Self::to(CsvTarget::File(FileSink::over(path, file), path.to_owned())));
        }
        Ok(Self::to(CsvTarget::Stream(StreamSink::new(&path.to_string_lossy(), file))))
    }

    /// Writes to the standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::to(CsvTarget::Stream(StreamSink::new("stdout", io::stdout())))
    }

    /// Writes into any writer.
    #[must_use]
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        Self::to(CsvTarget::Stream(StreamSink::new("writer", writer)))
    }

    /// Sets the columns and their order. If they are set, the header is written even if the crawl has no
    /// items, and items may lack some of the columns. If they are not set, the fields of the first item
    /// become the columns.
    #[must_use]
    pub fn columns(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let columns = OnceLock::from(columns.into_iter().map(Into::into).collect::<Vec<_>>());
        self.shape = Arc::new(Columns { columns, formulas: self.shape.formulas, ..Columns::default() });
        self
    }

    /// Writes texts that begin like a formula unchanged: for programs that read CSV, not for spreadsheets.
    #[must_use]
    pub fn keep_formulas(mut self) -> Self {
        let columns = self.shape.columns.clone();
        self.shape = Arc::new(Columns { formulas: Formulas::Kept, columns, ..Columns::default() });
        self
    }

    fn to(to: CsvTarget) -> Self {
        Self { to, shape: Arc::default() }
    }
}

impl<T: Serialize + ?Sized> Export<T> for Csv {
    fn encoder(&self) -> Box<dyn Encoder<T>> {
        Box::new(CsvEncoder { shape: self.shape.clone(), json: Vec::new() })
    }

    fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError> {
        let (inner, path): (Box<dyn Sink>, _) = match self.to {
            CsvTarget::File(file, path) => (Box::new(file), Some(path)),
            CsvTarget::Stream(stream) => (Box::new(stream), None),
        };
        Ok(Box::new(CsvSink { inner, path, shape: self.shape, is_headed: false }))
    }
}

/// The [`Encoder`] of CSV: writes each item as one row.
#[derive(Debug)]
struct CsvEncoder {
    shape: Arc<Columns>,
    json: Vec<u8>,
}

impl<T: Serialize + ?Sized> Encoder<T> for CsvEncoder {
    fn encode(&mut self, item: &T, out: &mut Vec<u8>) -> Result<(), ExportError> {
        // Converts the item to JSON first, so that a cell holds the same value as in JSON Lines, with the
        // same errors.
        self.json.clear();
        serde_json::to_writer(&mut self.json, item).map_err(wrong)?;
        let Cells(cells) = serde_json::from_slice(&self.json).map_err(wrong)?;
        if cells.is_empty() && self.shape.columns.get().is_none() {
            return Err(wrong(RowError::Empty));
        }
        let columns = self.shape.columns.get_or_init(|| cells.iter().map(|(name, _)| name.clone()).collect());
        let unknown = cells.iter().find(|(name, _)| !columns.contains(name)).map(|(name, _)| name.clone());
        if let Some(name) = unknown {
            return Err(self.shape.unknown(name, &cells, columns));
        }
        let mut row = vec![None; columns.len()];
        for (at, (name, value)) in cells.into_iter().enumerate() {
            // The fields usually come in the order of the columns, so the column at the same index is tried
            // first.
            let place = match columns.get(at) {
                Some(column) if *column == name => Some(at),
                _ => columns.iter().position(|column| *column == name),
            };
            match place.and_then(|at| row.get_mut(at)) {
                Some(cell @ None) => *cell = Some(value.get()),
                Some(Some(_)) => return Err(wrong(RowError::Twice { name })),
                None => return Err(wrong(RowError::Column { name, columns: columns.join(", ") })),
            }
        }
        let start = out.len();
        let written = self.shape.row(row.into_iter(), out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// Writes a URL that is another name of a page (an alias) as a row, if the columns are those of pages:
    /// `url`, `final_url` and `alias`.
    fn encode_alias(&mut self, url: &str, final_url: &str, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let Some(columns) = self.shape.columns.get() else { return Ok(()) };
        if !["url", "final_url", "alias"].iter().all(|name| columns.iter().any(|column| column == name)) {
            return Ok(());
        }
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match column.as_str() {
                "url" => self.shape.text(url, out),
                "final_url" => self.shape.text(final_url, out),
                "alias" => out.extend_from_slice(b"true"),
                _ => {}
            }
        }
        out.extend_from_slice(LINE_END);
        Ok(())
    }
}

impl Columns {
    /// Returns the error for an item with a field that is not a column. If the output file already had its
    /// columns before this run, it holds items of another kind, so no item of this run fits: the error is
    /// then about the output and not about the item.
    fn unknown(&self, name: String, cells: &[(String, &RawValue)], columns: &[String]) -> ExportError {
        let found = columns.join(", ");
        let Some(sink) = self.kept_in.get() else { return wrong(RowError::Column { name, columns: found }) };
        let wanted = cells.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        ExportError::OtherColumns { sink: sink.clone(), found, wanted }
    }

    /// Appends a row of JSON values. A value of `None` means that the item lacks the field.
    fn row<'a>(
        &self,
        cells: impl ExactSizeIterator<Item = Option<&'a str>>,
        out: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        let is_single = cells.len() == 1;
        for (at, cell) in cells.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match cell {
                None | Some("null") if is_single => out.extend_from_slice(b"\"\""),
                None | Some("null") => {}
                Some(json) if json.starts_with('"') => {
                    let text: String = serde_json::from_str(json).map_err(wrong)?;
                    self.text(&text, out);
                }
                // This value is a list, a map, a number or a boolean. None of these is a formula, not even a
                // negative number.
                Some(json) => push(json, out),
            }
        }
        out.extend_from_slice(LINE_END);
        Ok(())
    }

    fn header(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for (at, column) in self.columns.get()?.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.text(column, &mut out);
        }
        out.extend_from_slice(LINE_END);
        Some(out)
    }

    fn text(&self, text: &str, out: &mut Vec<u8>) {
        if self.formulas == Formulas::Defused && is_formula(text) {
            return push(&format!("'{text}"), out);
        }
        push(text, out);
    }
}

/// Writes a cell, in quotes if the text needs them. An empty text needs quotes, since a cell without them is
/// `null`.
fn push(text: &str, out: &mut Vec<u8>) {
    let mark = |c: char| matches!(c, '"' | ',' | '\r' | '\n');
    let is_bare = !text.is_empty() && !text.contains(mark) && text.trim() == text;
    if is_bare && !text.contains(is_unfit) {
        return out.extend_from_slice(text.as_bytes());
    }
    let mut buffer = [0; 4];
    out.push(b'"');
    for c in text.chars() {
        if c == '"' {
            out.push(b'"');
        }
        let c = if is_unfit(c) { char::REPLACEMENT_CHARACTER } else { c };
        out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }
    out.push(b'"');
}

/// Returns whether CSV must not contain this control character: a terminal may obey such a character, and
/// some readers take it for the end of the text.
fn is_unfit(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\r' | '\n')
}

/// Returns whether a spreadsheet may execute the text as a formula. The full-width forms of the signs count,
/// too, since some programs accept them.
fn is_formula(text: &str) -> bool {
    let begins = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let sign =
        |c: char| matches!(c, '=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}');
    begins.starts_with(sign) && !is_number(begins.trim_end())
}

/// Returns whether the text is a number, written with digits, sign, point and exponent. `inf` and `nan` are
/// not.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) && text.parse::<f64>().is_ok()
}

/// Reads the columns from the first line of a file.
fn columns_in(path: &Path, formulas: Formulas) -> io::Result<Vec<String>> {
    use std::io::Read;
    let head = std::fs::File::open(path)?.take(HEADER_BYTES_MAX);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(head);
    let first = reader.records().next().transpose()?.unwrap_or_default();
    let names = first.iter().map(|name| match name.strip_prefix('\'') {
        Some(name) if formulas == Formulas::Defused && is_formula(name) => name.to_owned(),
        _ => name.to_owned(),
    });
    Ok(names.collect())
}

/// Writes the header before the first rows, and passes all rows on to another sink.
struct CsvSink {
    inner: Box<dyn Sink>,
    /// The path of the output, if it is a regular file.
    path: Option<PathBuf>,
    shape: Arc<Columns>,
    is_headed: bool,
}

impl CsvSink {
    /// Compares the columns of this run with those that the output file has already. If this run has no
    /// columns yet, it uses those of the file.
    fn agree(&self, position: u64) -> Result<(), ExportError> {
        let Some(path) = &self.path else { return Ok(()) };
        if path.metadata().is_ok_and(|file| file.len() < position) {
            // The file is shorter than the committed position. This error is the more serious one, and the
            // inner sink reports it next.
            return Ok(());
        }
        let found = columns_in(path, self.shape.formulas)
            .map_err(|source| ExportError::Open { path: path.clone(), source })?;
        let wanted = self.shape.columns.get_or_init(|| found.clone());
        if *wanted == found {
            let _ = self.shape.kept_in.set(self.inner.name());
            return Ok(());
        }
        let (found, wanted) = (found.join(", "), wanted.join(", "));
        Err(ExportError::OtherColumns { sink: self.inner.name(), found, wanted })
    }
}

impl Sink for CsvSink {
    fn name(&self) -> Arc<str> {
        self.inner.name()
    }

    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        if position > 0 && self.inner.goes_back() {
            // The columns are compared first, so that no rows are cut off if they differ.
            self.agree(position)?;
        }
        self.inner.begin(position)?;
        self.is_headed = position > 0;
        self.append(b"").map(drop)
    }

    /// Ignores a file that has only a header: if the file is replaced, nothing is lost.
    fn has_rows(&self) -> bool {
        let length = self.path.as_ref().and_then(|path| Some(path.metadata().ok()?.len()));
        let header = self.shape.header().map_or(0, |header| header.len() as u64);
        self.inner.has_rows() && length != Some(header)
    }

    fn goes_back(&self) -> bool {
        self.inner.goes_back()
    }

    /// Continues a stream without repeating the header, since the earlier run has written it already.
    fn go_on(&mut self, position: u64) -> Result<(), ExportError> {
        self.inner.go_on(position)?;
        self.is_headed = position > 0;
        self.append(b"").map(drop)
    }

    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError> {
        // The encoders set the columns before the first row arrives.
        let header = self.shape.header().filter(|_| !self.is_headed);
        let Some(mut whole) = header else { return self.inner.append(rows) };
        whole.extend_from_slice(rows);
        let position = self.inner.append(&whole)?;
        self.is_headed = true;
        Ok(position)
    }

    fn flush(&mut self) -> Result<u64, ExportError> {
        self.inner.flush()
    }

    fn sync(&mut self) -> Result<u64, ExportError> {
        self.inner.sync()
    }
}

/// The fields of an item with their values as JSON, in the order of the item.
struct Cells<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Cells<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = <&'a RawValue>::deserialize(deserializer)?;
        let cells = match whole.get().as_bytes().first() {
            Some(b'{') => serde_json::Deserializer::from_str(whole.get()).deserialize_map(CellVisitor),
            Some(b'[') => Err(serde::de::Error::custom("a list has no names for columns: use a struct")),
            _ => Ok(vec![("value".to_owned(), whole)]),
        };
        cells.map(Self).map_err(serde::de::Error::custom)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("named fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut cells = Vec::new();
        while let Some(cell) = map.next_entry()? {
            cells.push(cell);
        }
        Ok(cells)
    }
}

/// The reason why an item cannot be written as a row.
#[derive(Debug, thiserror::Error)]
enum RowError {
    #[error("the field {name:?} is not among the columns {columns}; set them all with Csv::columns")]
    Column { name: String, columns: String },
    #[error("the item has no fields that could name the columns; set the columns with Csv::columns")]
    Empty,
    #[error("the item has two fields named {name:?}")]
    Twice { name: String },
}

fn wrong(source: impl std::error::Error + Send + Sync + 'static) -> ExportError {
    ExportError::Encode { exporter: "CSV", source: Box::new(source) }
}

const LINE_END: &[u8] = b"\r\n";
/// The most bytes of an existing file that are read to find its header: 1 MiB.
const HEADER_BYTES_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
