//! How stores encode numbers, texts, and those fields of a record that are seldom set.

use std::sync::Arc;

use bytes::Bytes;
use opilio_core::{Record, Score, Validators};

use opilio_core::Order;

/// Appends a number as bytes with seven bits each, the low bits first. The top bit of a byte is 1 if another byte
/// follows.
pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the number of bytes as a varint, and then the bytes.
pub(crate) fn put_slice(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Reads the values that the functions above wrote. Its methods return `None` when the bytes are damaged.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn varint(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
        }
    }

    pub(crate) fn slice(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.slice()?).ok()
    }
}

/// The fields of a record that are seldom set and that do not follow from the record's place in the order.
///
/// ```text
/// flags:u8 · [depth:varint] · [score:u16] · [etag] · [last-modified] · [body hash:u64]
/// ```
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RecordRest {
    depth: Option<u16>,
    score: Option<Score>,
    pub(crate) validators: Option<Arc<Validators>>,
}

const DEPTH: u8 = 1;
const SCORE: u8 = 2;
const VALIDATORS: u8 = 4;
const ETAG: u8 = 8;
const LAST_MODIFIED: u8 = 16;
const BODY_HASH: u8 = 32;

impl RecordRest {
    /// Returns these fields of a record, or `None` when all of them have their default values.
    pub(crate) fn of(record: &Record, order: Order) -> Option<Self> {
        let place = order.place(record);
        let rest = Self {
            depth: order.depth(place).is_none().then_some(record.depth),
            score: match order.score(place) {
                None if record.score != Score::default() => Some(record.score),
                _ => None,
            },
            validators: record.validators.clone(),
        };
        (rest != Self::default()).then_some(rest)
    }

    /// Returns the depth and the score of a record at this place in the order.
    pub(crate) fn order(&self, order: Order, place: u16) -> (u16, Score) {
        let depth = order.depth(place).or(self.depth).unwrap_or_default();
        let score = order.score(place).or(self.score).unwrap_or_default();
        (depth, score)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let at = out.len();
        let mut flags = 0;
        out.push(0);
        if let Some(depth) = self.depth {
            flags |= DEPTH;
            put_varint(u64::from(depth), out);
        }
        if let Some(score) = self.score {
            flags |= SCORE;
            out.extend_from_slice(&score.sort_key().to_le_bytes());
        }
        if let Some(validators) = self.validators.as_deref() {
            flags |= VALIDATORS;
            for (flag, field) in [(ETAG, &validators.etag), (LAST_MODIFIED, &validators.last_modified)] {
                if let Some(field) = field {
                    flags |= flag;
                    put_slice(field, out);
                }
            }
            if let Some(hash) = validators.body_hash {
                flags |= BODY_HASH;
                out.extend_from_slice(&hash.to_le_bytes());
            }
        }
        out[at] = flags;
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let flags = from.byte()?;
        let has = |flag| flags & flag != 0;
        let depth = if has(DEPTH) { Some(u16::try_from(from.varint()?).ok()?) } else { None };
        let score =
            if has(SCORE) { Some(Score::from_sort_key(u16::from_le_bytes(from.array()?))) } else { None };
        let mut validators = Validators::default();
        if has(ETAG) {
            validators.etag = Some(Bytes::copy_from_slice(from.slice()?));
        }
        if has(LAST_MODIFIED) {
            validators.last_modified = Some(Bytes::copy_from_slice(from.slice()?));
        }
        if has(BODY_HASH) {
            validators.body_hash = Some(u64::from_le_bytes(from.array()?));
        }
        Some(Self { depth, score, validators: has(VALIDATORS).then(|| Arc::new(validators)) })
    }

    /// Returns an upper bound for the number of bytes that these fields take.
    pub(crate) fn room(record: &Record) -> usize {
        let fields = record.validators.as_deref().map_or(0, |validators| {
            let len = |field: &Option<Bytes>| field.as_ref().map_or(0, |field| 10 + field.len());
            len(&validators.etag) + len(&validators.last_modified)
        });
        1 + 3 + 2 + fields + 8
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_rest_of_a_record_is_read_as_it_was_written() {
        let some = |text: &'static str| Some(Bytes::from(text));
        for validators in [
            None,
            Some(Validators::default()),
            Some(Validators { etag: some("\"1\""), ..Validators::default() }),
            Some(Validators { etag: some(""), last_modified: some("Mon"), body_hash: Some(7) }),
        ] {
            let rest = RecordRest {
                depth: Some(300),
                score: Some(Score::of(-2.5)),
                validators: validators.map(Arc::new),
            };
            let mut bytes = Vec::new();
            rest.put(&mut bytes);
            let mut from = Reader(&bytes);
            assert_eq!(RecordRest::read(&mut from), Some(rest));
            assert!(from.0.is_empty());
            for cut in 0..bytes.len() {
                assert_eq!(RecordRest::read(&mut Reader(&bytes[..cut])), None);
            }
        }
    }
}
