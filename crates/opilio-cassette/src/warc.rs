//! WARC files (ISO 28500, version 1.1; 1.0 is read too): records with named fields and a block of bytes.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// One record of a WARC file: its named fields and its block of bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WarcRecord {
    /// The named fields in their order, without `Content-Length`.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) block: Bytes,
}

/// The place at which a file breaks the WARC format, and how.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("byte {at}: {why}")]
pub(crate) struct WarcError {
    at: usize,
    why: &'static str,
}

impl WarcRecord {
    pub(crate) fn new(kind: &str) -> Self {
        Self::default().with("WARC-Type", kind)
    }

    /// Returns the record with one more field. Line breaks in the value would end the field, so spaces
    /// replace them.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into().replace(['\r', '\n'], " ");
        self.fields.push((name.to_owned(), value));
        self
    }

    pub(crate) fn block(mut self, block: impl Into<Bytes>) -> Self {
        self.block = block.into();
        self
    }

    /// Returns the value of the first field with this name, whatever its case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"WARC/1.1\r\n");
        for (name, value) in &self.fields {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.block.len()).as_bytes());
        out.extend_from_slice(&self.block);
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// Reads all records of a file, which may be compressed with gzip.
///
/// # Errors
/// When the file breaks the format. The error names the first such place.
pub(crate) fn read(file: &[u8]) -> Result<Vec<WarcRecord>, WarcError> {
    let mut plain = Vec::new();
    let file = if file.starts_with(&GZIP) {
        let unpacked = MultiGzDecoder::new(file).read_to_end(&mut plain);
        unpacked.map_err(|_| WarcError { at: 0, why: "the gzip stream is broken" })?;
        Bytes::from(plain)
    } else {
        Bytes::copy_from_slice(file)
    };
    let mut records = Vec::new();
    let mut at = 0;
    loop {
        at += file[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if at == file.len() {
            return Ok(records);
        }
        let broken = |why| WarcError { at, why };
        if !file[at..].starts_with(b"WARC/1.") {
            return Err(broken("a record begins with WARC/1.0 or WARC/1.1"));
        }
        let (fields, head) =
            read_fields(&file[at..]).ok_or_else(|| broken("the head of a record has no end"))?;
        let mut record = WarcRecord { fields, block: Bytes::new() };
        let length = record.field("content-length").and_then(|length| length.trim().parse::<usize>().ok());
        let length = length.ok_or_else(|| broken("a record says its Content-Length"))?;
        let end = (at + head).checked_add(length).filter(|end| *end <= file.len());
        let end =
            end.ok_or_else(|| broken("a record is cut: the file has fewer bytes than its Content-Length"))?;
        record.block = file.slice(at + head..end);
        record.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        records.push(record);
        at = end;
    }
}

/// Reads the fields after the first line of a record. Returns them with the position after the empty line
/// that ends them. Lines may end with LF alone.
fn read_fields(text: &[u8]) -> Option<(Vec<(String, String)>, usize)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut at = text.iter().position(|byte| *byte == b'\n')? + 1;
    loop {
        let length = text[at..].iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8_lossy(&text[at..at + length]);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        at += length + 1;
        if line.is_empty() {
            return Some((fields, at));
        }
        match (line.strip_prefix([' ', '\t']), line.split_once(':')) {
            // A folded line (one that begins with white space) continues the field before it.
            (Some(more), _) => {
                let (_, value) = fields.last_mut()?;
                value.push(' ');
                value.push_str(more.trim());
            }
            (None, Some((name, value))) => fields.push((name.trim().to_owned(), value.trim().to_owned())),
            (None, None) => {}
        }
    }
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::io::Write;

    fn two() -> Vec<WarcRecord> {
        let first = WarcRecord::new("warcinfo").block("a\r\n\r\nWARC/1.1\r\n");
        vec![first, WarcRecord::new("response").with("X-Note", "b").block(vec![0, 255, 10])]
    }

    fn written(records: &[WarcRecord]) -> Vec<u8> {
        let mut file = Vec::new();
        records.iter().for_each(|record| record.write(&mut file));
        file
    }

    #[test]
    fn what_was_written_is_read_back() {
        let file = written(&two());
        assert!(file.starts_with(b"WARC/1.1\r\nWARC-Type: warcinfo\r\nContent-Length: 15\r\n\r\na\r\n"));
        assert_eq!(read(&file).unwrap(), two());
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn gzipped_members_old_versions_bare_line_ends_and_folded_fields_are_read() {
        let mut packed = Vec::new();
        for record in two() {
            let mut gzip = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast());
            gzip.write_all(&written(&[record])).unwrap();
            gzip.finish().unwrap();
        }
        assert_eq!(read(&packed).unwrap(), two());
        let old = b"WARC/1.0\nwarc-type: resource\nX: a\n  b\ncontent-length: 2\n\nhi\n\n";
        let record = &read(old).unwrap()[0];
        assert_eq!((record.field("WARC-Type"), record.field("x")), (Some("resource"), Some("a b")));
        assert_eq!(record.block, "hi");
    }

    #[test]
    fn a_file_that_breaks_the_format_is_refused_with_the_place() {
        for (file, words) in [
            (&b"<html>"[..], "byte 0: a record begins with WARC/1.0 or WARC/1.1"),
            (b"WARC/1.1\r\nA: b\r\n", "byte 0: the head of a record has no end"),
            (b"\r\nWARC/1.1\r\nA: b\r\n\r\n", "byte 2: a record says its Content-Length"),
            (
                b"WARC/1.1\r\nContent-Length: 9\r\n\r\nab",
                "byte 0: a record is cut: the file has fewer bytes than its Content-Length",
            ),
            (b"\x1f\x8b\x08broken", "byte 0: the gzip stream is broken"),
        ] {
            assert_eq!(read(file).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn no_value_ends_its_field() {
        let record = WarcRecord::new("metadata").with("Detail", "a\r\nEvil: b");
        assert_eq!(read(&written(&[record])).unwrap()[0].field("detail"), Some("a  Evil: b"));
    }
}
