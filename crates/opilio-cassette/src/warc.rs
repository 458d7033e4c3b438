//! WARC files (ISO 28500, version 1.1; 1.0 is read too): records with named fields and a block of bytes.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::GzDecoder;

/// One record of a WARC file: its named fields and its block of bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WarcRecord {
    /// The named fields in their order, without `Content-Length`.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) block: Bytes,
}

/// The place at which a file breaks the WARC format, and how.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
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

/// The records of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct WarcRecords {
    pub(crate) records: Vec<WarcRecord>,
    /// The place after which nothing could be read; `None` if the file was read to its end.
    pub(crate) broken: Option<WarcError>,
}

/// Why no record of a file can be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum UnreadableWarc {
    #[error(transparent)]
    Format(#[from] WarcError),
    /// Unpacked, the file has more bytes than allowed.
    #[error("the file unpacks to more than the {max} bytes that are read")]
    TooLarge { max: usize },
}

/// Reads the records of a file, which may be compressed with gzip, up to the first place that breaks the format.
///
/// # Errors
/// When no record can be read before that place, or when the file unpacks to more than `max` bytes.
pub(crate) fn read(file: Vec<u8>, max: usize) -> Result<WarcRecords, UnreadableWarc> {
    let (file, broken) = if file.starts_with(&GZIP) { unpack(&file, max)? } else { (file, None) };
    let file = Bytes::from(file);
    let mut records = Vec::new();
    let mut at = 0;
    let broken = loop {
        at += file[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if at == file.len() {
            break broken;
        }
        match record(&file, at) {
            Ok((record, end)) => {
                records.push(record);
                at = end;
            }
            Err(why) => break Some(broken.unwrap_or(WarcError { at, why })),
        }
    };
    match broken {
        Some(broken) if records.is_empty() => Err(broken.into()),
        broken => Ok(WarcRecords { records, broken }),
    }
}

/// Unpacks the members of a gzip file one after another, up to a broken one.
fn unpack(file: &[u8], max: usize) -> Result<(Vec<u8>, Option<WarcError>), UnreadableWarc> {
    let mut plain = Vec::new();
    let mut rest = file;
    // Some writers fill the end of a file with zeros.
    while rest.iter().any(|byte| *byte != 0) {
        let at = file.len() - rest.len();
        let room = max.saturating_sub(plain.len());
        let mut member = GzDecoder::new(rest);
        let unpacked = (&mut member).take((room as u64).saturating_add(1)).read_to_end(&mut plain);
        if plain.len() > max {
            return Err(UnreadableWarc::TooLarge { max });
        }
        if unpacked.is_err() {
            return Ok((plain, Some(WarcError { at, why: "the gzip stream is broken" })));
        }
        rest = member.into_inner();
    }
    Ok((plain, None))
}

/// Reads the record that begins at a position. Returns it with the position of its end.
fn record(file: &Bytes, at: usize) -> Result<(WarcRecord, usize), &'static str> {
    if !file[at..].starts_with(b"WARC/1.") {
        return Err("a record begins with WARC/1.0 or WARC/1.1");
    }
    let (fields, head) = read_fields(&file[at..]).ok_or("the head of a record has no end")?;
    let mut record = WarcRecord { fields, block: Bytes::new() };
    let length = record.field("content-length").and_then(|length| length.trim().parse::<usize>().ok());
    let length = length.ok_or("a record says its Content-Length")?;
    let end = (at + head).checked_add(length).filter(|end| *end <= file.len());
    let end = end.ok_or("a record is cut: the file has fewer bytes than its Content-Length")?;
    record.block = file.slice(at + head..end);
    record.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    Ok((record, end))
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

    fn packed(records: &[WarcRecord]) -> Vec<u8> {
        let mut packed = Vec::new();
        for record in records {
            let mut gzip = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast());
            gzip.write_all(&written(std::slice::from_ref(record))).unwrap();
            gzip.finish().unwrap();
        }
        packed
    }

    fn whole(file: &[u8]) -> Vec<WarcRecord> {
        let WarcRecords { records, broken } = read(file.to_vec(), 1 << 20).unwrap();
        assert_eq!(broken, None);
        records
    }

    #[test]
    fn what_was_written_is_read_back() {
        let file = written(&two());
        assert!(file.starts_with(b"WARC/1.1\r\nWARC-Type: warcinfo\r\nContent-Length: 15\r\n\r\na\r\n"));
        assert_eq!(whole(&file), two());
        assert_eq!(whole(b""), []);
    }

    #[test]
    fn gzipped_members_old_versions_bare_line_ends_and_folded_fields_are_read() {
        assert_eq!(whole(&packed(&two())), two());
        assert_eq!(whole(&[packed(&two()), vec![0; 9]].concat()), two());
        let old = b"WARC/1.0\nwarc-type: resource\nX: a\n  b\ncontent-length: 2\n\nhi\n\n";
        let record = &whole(old)[0];
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
            assert_eq!(read(file.to_vec(), 1 << 20).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn a_file_that_is_cut_keeps_the_records_before_the_cut() {
        let (plain, packed) = (written(&two()), packed(&two()));
        for (file, at, why) in [
            (
                &plain[..plain.len() - 5],
                75,
                "a record is cut: the file has fewer bytes than its Content-Length",
            ),
            (&plain[..90], 75, "the head of a record has no end"),
            (&packed[..packed.len() - 20], packed.len() / 2, "the gzip stream is broken"),
        ] {
            let WarcRecords { records, broken } = read(file.to_vec(), 1 << 20).unwrap();
            let WarcError { at: broken_at, why: broken_why } = broken.unwrap();
            assert_eq!((&records[..1], records.len(), broken_why), (&two()[..1], 1, why));
            assert!(broken_at.abs_diff(at) < 20, "{broken_at}");
        }
    }

    #[test]
    fn a_file_that_unpacks_to_more_than_the_maximum_is_refused() {
        let bomb = packed(&[WarcRecord::new("response").block(vec![0; 1 << 20])]);
        assert!(bomb.len() < 1 << 13);
        let error = read(bomb, 1 << 16).unwrap_err();
        assert_eq!(error.to_string(), "the file unpacks to more than the 65536 bytes that are read");
    }

    #[test]
    fn no_value_ends_its_field() {
        let record = WarcRecord::new("metadata").with("Detail", "a\r\nEvil: b");
        assert_eq!(whole(&written(&[record]))[0].field("detail"), Some("a  Evil: b"));
    }
}
