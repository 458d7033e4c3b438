//! How records are encoded: one after another, in chunks of records with the same host, priority and place in the
//! order.
//!
//! ```text
//! chunk   n:u8 · n × record
//! record  flags:u8 · [attempts:varint] · [fingerprint:16] · [rest] · length:varint · text · [length:varint · extra]
//! loose   host:u32 · priority:u8 · place:u16 · record
//! ```
//! The text is the part of the URL after `scheme://host`, or the whole URL when it has another form (with user info,
//! for example). The fingerprint is that of the canonical URL. It is left out when the URL is canonical, as nearly
//! all URLs are. This saves 16 bytes for each record, which cannot be compressed. A loose record is one that is
//! stored by itself, and not in a chunk.

use bytes::Bytes;
use opilio_core::{Attempts, Fingerprint, Host, Priority, Record, RecordKind, Scheme};

use super::keys::{EntryKind, HostId, QueueKey};
use crate::encode::{Reader, RecordRest, put_slice, put_varint};
use crate::memory::packed::after_host;
use opilio_core::Order;

const HTTPS: u8 = 1;
const CONTINUATION: u8 = 2;
const WHOLE_URL: u8 = 4;
const ATTEMPTS: u8 = 8;
const EXTRA: u8 = 16;
const FINGERPRINT: u8 = 32;
const REST: u8 = 64;

/// The most records of a chunk: 64, because a mask of 64 bits tells which of them are settled.
pub(super) const CHUNK_RECORDS: usize = 64;

/// The size in bytes from which on a chunk takes no further record, so that a chunk in memory is never much larger.
pub(super) const CHUNK_BYTES: usize = 32 * 1024;

/// Appends the encoded form of a record.
pub(super) fn pack(record: &Record, order: Order, out: &mut Vec<u8>) {
    let short = after_host(record);
    let rest = RecordRest::of(record, order);
    let mut flags = 0;
    for (flag, holds) in [
        (HTTPS, record.scheme == Scheme::Https),
        (CONTINUATION, record.kind == RecordKind::Continuation),
        (WHOLE_URL, short.is_none()),
        (ATTEMPTS, !record.attempts.is_none()),
        (EXTRA, !record.extra.is_empty()),
        (FINGERPRINT, record.fingerprint != Fingerprint::of_canonical(&record.url)),
        (REST, rest.is_some()),
    ] {
        if holds {
            flags |= flag;
        }
    }
    out.push(flags);
    if flags & ATTEMPTS != 0 {
        put_varint(u64::from(record.attempts.pack()), out);
    }
    if flags & FINGERPRINT != 0 {
        out.extend_from_slice(&record.fingerprint.0.to_le_bytes());
    }
    if let Some(rest) = rest {
        rest.put(out);
    }
    put_slice(short.unwrap_or(&record.url).as_bytes(), out);
    if flags & EXTRA != 0 {
        put_slice(&record.extra, out);
    }
}

/// Reads the next record of a chunk. Its place in the order is an argument, because only the key of the chunk
/// contains the place.
pub(super) fn unpack(
    from: &mut Reader<'_>,
    host: &Host,
    key: QueueKey,
    order: Order,
    buffer: &mut String,
) -> Option<Record> {
    let flags = from.byte()?;
    let attempts = if flags & ATTEMPTS != 0 { u32::try_from(from.varint()?).ok()? } else { 0 };
    let attempts = Attempts::unpack(attempts);
    let stored = if flags & FINGERPRINT != 0 { Some(from.array()?) } else { None };
    let rest = if flags & REST != 0 { RecordRest::read(from)? } else { RecordRest::default() };
    let (depth, score) = rest.order(order, key.place());
    let text = from.text()?;
    let scheme = if flags & HTTPS != 0 { Scheme::Https } else { Scheme::Http };
    buffer.clear();
    if flags & WHOLE_URL == 0 {
        buffer.extend([scheme.as_str(), "://", host.as_str()]);
    }
    buffer.push_str(text);
    let fingerprint = match stored {
        Some(bytes) => Fingerprint(u128::from_le_bytes(bytes)),
        None => Fingerprint::of_canonical(buffer),
    };
    let extra = if flags & EXTRA != 0 { Bytes::copy_from_slice(from.slice()?) } else { Bytes::new() };
    let kind = if flags & CONTINUATION != 0 { RecordKind::Continuation } else { RecordKind::Discovered };
    Some(Record {
        url: buffer.as_str().into(),
        fingerprint,
        host: host.clone(),
        scheme,
        depth,
        priority: key.priority(),
        score,
        attempts,
        kind,
        validators: rest.validators,
        extra,
    })
}

/// Reads only the caller's data (`extra`) of the next record.
pub(super) fn extra(from: &mut Reader<'_>) -> Option<Bytes> {
    let flags = from.byte()?;
    if flags & ATTEMPTS != 0 {
        from.varint()?;
    }
    if flags & FINGERPRINT != 0 {
        from.array::<16>()?;
    }
    if flags & REST != 0 {
        RecordRest::read(from)?;
    }
    from.text()?;
    Some(if flags & EXTRA != 0 { Bytes::copy_from_slice(from.slice()?) } else { Bytes::new() })
}

/// Reads only the fingerprint of the next record.
pub(super) fn fingerprint(from: &mut Reader<'_>, host: &Host, buffer: &mut String) -> Option<Fingerprint> {
    let flags = from.byte()?;
    if flags & ATTEMPTS != 0 {
        from.varint()?;
    }
    if flags & FINGERPRINT != 0 {
        return Some(Fingerprint(u128::from_le_bytes(from.array()?)));
    }
    if flags & REST != 0 {
        RecordRest::read(from)?;
    }
    let text = from.text()?;
    if flags & WHOLE_URL != 0 {
        return Some(Fingerprint::of_canonical(text));
    }
    let scheme = if flags & HTTPS != 0 { Scheme::Https } else { Scheme::Http };
    buffer.clear();
    buffer.extend([scheme.as_str(), "://", host.as_str(), text]);
    Some(Fingerprint::of_canonical(buffer))
}

/// Skips the next record without decoding it.
pub(super) fn skip(from: &mut Reader<'_>) -> Option<()> {
    let flags = from.byte()?;
    if flags & ATTEMPTS != 0 {
        from.varint()?;
    }
    if flags & FINGERPRINT != 0 {
        from.take(16)?;
    }
    if flags & REST != 0 {
        RecordRest::read(from)?;
    }
    from.slice()?;
    if flags & EXTRA != 0 {
        from.slice()?;
    }
    Some(())
}

/// Appends a record that is stored by itself, together with its host, priority and place in the order.
pub(super) fn pack_loose(host: HostId, record: &Record, order: Order, out: &mut Vec<u8>) {
    out.extend_from_slice(&host.0.to_be_bytes());
    out.push(record.priority.0.cast_unsigned());
    out.extend_from_slice(&order.place(record).to_be_bytes());
    pack(record, order, out);
}

/// Reads the host, priority and place of a record that `pack_loose` wrote. Returns the queue key that they make
/// together with this age (the number of the admission). After that, the reader is at the beginning of the record.
pub(super) fn place_of_loose(from: &mut Reader<'_>, age: u64) -> Option<QueueKey> {
    let host = HostId(u32::from_be_bytes(from.array()?));
    let priority = Priority(from.byte()?.cast_signed());
    let place = u16::from_be_bytes(from.array()?);
    Some(QueueKey::new(host, priority, place, age, EntryKind::Single))
}
