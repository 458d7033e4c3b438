//! How records are written: behind one another in chunks of one host, priority and depth.
//!
//! ```text
//! chunk   n:u8 · n × record
//! record  flags:u8 · [attempts:varint] · [fingerprint:16] · length:varint · text · [length:varint · extra]
//! ```
//! The text is what follows `scheme://host`, or the whole URL when it is written otherwise. The
//! fingerprint is left out where it is the hash of the URL as it stands, which it nearly always is
//! (it is that of the canonical form): 16 bytes that no compression makes smaller.

use bytes::Bytes;
use opilio_core::{Fingerprint, Host, Priority, Record, RecordKind, Scheme};
use xxhash_rust::xxh3::xxh3_128;

use crate::memory::packed::{after_host, put_varint};

const HTTPS: u8 = 1;
const CONTINUATION: u8 = 2;
const WHOLE_URL: u8 = 4;
const ATTEMPTS: u8 = 8;
const EXTRA: u8 = 16;
const FINGERPRINT: u8 = 32;

/// A chunk holds at most so many records: one bit each in what says which are settled.
pub(super) const CHUNK_RECORDS: usize = 64;

/// A chunk takes no further record once it is so large, so that a buffered one is never much larger.
pub(super) const CHUNK_BYTES: usize = 32 * 1024;

/// Appends a record.
pub(super) fn pack(record: &Record, out: &mut Vec<u8>) {
    let short = after_host(record);
    let mut flags = 0;
    for (flag, holds) in [
        (HTTPS, record.scheme == Scheme::Https),
        (CONTINUATION, record.kind == RecordKind::Continuation),
        (WHOLE_URL, short.is_none()),
        (ATTEMPTS, record.attempts > 0),
        (EXTRA, !record.extra.is_empty()),
        (FINGERPRINT, record.fingerprint.0 != xxh3_128(record.url.as_bytes())),
    ] {
        if holds {
            flags |= flag;
        }
    }
    out.push(flags);
    if flags & ATTEMPTS != 0 {
        put_varint(u64::from(record.attempts), out);
    }
    if flags & FINGERPRINT != 0 {
        out.extend_from_slice(&record.fingerprint.0.to_le_bytes());
    }
    put_slice(short.unwrap_or(&record.url).as_bytes(), out);
    if flags & EXTRA != 0 {
        put_slice(&record.extra, out);
    }
}

/// Reads what was written, and finds out when it is not that. `None` is damage.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The record that stands next.
    pub(super) fn record(
        &mut self,
        host: &Host,
        priority: Priority,
        depth: u16,
        room: &mut String,
    ) -> Option<Record> {
        let flags = self.byte()?;
        let attempts = if flags & ATTEMPTS != 0 { u16::try_from(self.varint()?).ok()? } else { 0 };
        let stored = if flags & FINGERPRINT != 0 { Some(self.take(16)?) } else { None };
        let text = str::from_utf8(self.slice()?).ok()?;
        let scheme = if flags & HTTPS != 0 { Scheme::Https } else { Scheme::Http };
        room.clear();
        if flags & WHOLE_URL == 0 {
            room.extend([scheme.as_str(), "://", host.as_str()]);
        }
        room.push_str(text);
        let fingerprint = match stored {
            Some(bytes) => u128::from_le_bytes(bytes.try_into().ok()?),
            None => xxh3_128(room.as_bytes()),
        };
        let extra = if flags & EXTRA != 0 { Bytes::copy_from_slice(self.slice()?) } else { Bytes::new() };
        let kind = if flags & CONTINUATION != 0 { RecordKind::Continuation } else { RecordKind::Discovered };
        Some(Record {
            url: room.as_str().into(),
            fingerprint: Fingerprint(fingerprint),
            host: host.clone(),
            scheme,
            depth,
            priority,
            attempts,
            kind,
            extra,
        })
    }

    /// Passes over the record that stands next.
    pub(super) fn skip_record(&mut self) -> Option<()> {
        let flags = self.byte()?;
        if flags & ATTEMPTS != 0 {
            self.varint()?;
        }
        if flags & FINGERPRINT != 0 {
            self.take(16)?;
        }
        self.slice()?;
        if flags & EXTRA != 0 {
            self.slice()?;
        }
        Some(())
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
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

    pub(super) fn slice(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        self.take(len)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.slice()?).ok()
    }
}

/// Appends bytes behind their number.
pub(super) fn put_slice(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
