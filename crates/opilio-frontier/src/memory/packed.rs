//! How a queued record is encoded: the part of its URL after the host, and of the other fields only those with
//! unusual values.
//!
//! ```text
//! flags:u8 · [fingerprint:16] · [attempts:varint] · [rest] · length:varint · text · [length:varint · extra]
//! ```
//! The fingerprint is that of the canonical URL. It is left out when the URL is canonical, as nearly all URLs are.
//! Host, priority and place in the order are not encoded, because the queue that contains the record has them. The
//! text is the part of the URL after `scheme://host`, or the whole URL when it has another form (user info, port 80
//! in https).

use std::sync::Arc;

use bytes::Bytes;
use opilio_core::{Attempts, Fingerprint, Host, Record, RecordKind, Scheme};

use super::queue::Band;
use crate::encode::{Reader, RecordRest, put_slice, put_varint};
use opilio_core::Order;

const HTTPS: u8 = 1;
const CONTINUATION: u8 = 2;
const WHOLE_URL: u8 = 4;
const ATTEMPTS: u8 = 8;
const EXTRA: u8 = 16;
const REST: u8 = 32;
const FINGERPRINT: u8 = 64;

/// An encoded record that is stored by itself, outside a queue.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    pub(super) fn of(record: &Record, order: Order) -> Self {
        let mut bytes = Vec::with_capacity(room(record));
        pack(record, order, &mut bytes);
        Self(bytes.into_boxed_slice())
    }

    /// Returns the caller's data (`extra`) of the record.
    pub(super) fn extra(&self) -> Bytes {
        try_extra(&mut Reader(&self.0)).expect("a record that this process packed can be read")
    }

    pub(super) fn unpack(&self, host: &Host, band: Band, order: Order) -> Record {
        unpack(&mut Reader(&self.0), host, band, order)
    }
}

/// Returns an upper bound for the number of bytes that the encoded record takes.
pub(super) fn room(record: &Record) -> usize {
    // The terms are: the flags, the fingerprint, the attempts, the fields that are seldom set, a length for each of
    // the two texts, and the texts.
    1 + 16 + 5 + RecordRest::room(record) + 10 + 10 + record.url.len() + record.extra.len()
}

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
        (REST, rest.is_some()),
        (FINGERPRINT, record.fingerprint != Fingerprint::of_canonical(&record.url)),
    ] {
        if holds {
            flags |= flag;
        }
    }
    out.push(flags);
    if flags & FINGERPRINT != 0 {
        out.extend_from_slice(&record.fingerprint.0.to_le_bytes());
    }
    if flags & ATTEMPTS != 0 {
        put_varint(u64::from(record.attempts.pack()), out);
    }
    if let Some(rest) = rest {
        rest.put(out);
    }
    put_slice(short.unwrap_or(&record.url).as_bytes(), out);
    if flags & EXTRA != 0 {
        put_slice(&record.extra, out);
    }
}

/// Decodes one record that [`pack`] wrote.
pub(super) fn unpack(from: &mut Reader<'_>, host: &Host, band: Band, order: Order) -> Record {
    try_unpack(from, host, band, order).expect("a record that this process packed can be read")
}

fn try_extra(from: &mut Reader<'_>) -> Option<Bytes> {
    let flags = from.byte()?;
    if flags & FINGERPRINT != 0 {
        from.array::<16>()?;
    }
    if flags & ATTEMPTS != 0 {
        from.varint()?;
    }
    if flags & REST != 0 {
        RecordRest::read(from)?;
    }
    from.text()?;
    Some(if flags & EXTRA != 0 { Bytes::copy_from_slice(from.slice()?) } else { Bytes::new() })
}

fn try_unpack(from: &mut Reader<'_>, host: &Host, band: Band, order: Order) -> Option<Record> {
    let flags = from.byte()?;
    let stored = if flags & FINGERPRINT != 0 { Some(from.array()?) } else { None };
    let attempts = if flags & ATTEMPTS != 0 { u32::try_from(from.varint()?).ok()? } else { 0 };
    let attempts = Attempts::unpack(attempts);
    let rest = if flags & REST != 0 { RecordRest::read(from)? } else { RecordRest::default() };
    let (depth, score) = rest.order(order, band.place);
    let scheme = if flags & HTTPS != 0 { Scheme::Https } else { Scheme::Http };
    let text = from.text()?;
    let url: Arc<str> = if flags & WHOLE_URL != 0 { text.into() } else { join(scheme, host, text) };
    let fingerprint = match stored {
        Some(bytes) => Fingerprint(u128::from_le_bytes(bytes)),
        None => Fingerprint::of_canonical(&url),
    };
    let extra = if flags & EXTRA != 0 { Bytes::copy_from_slice(from.slice()?) } else { Bytes::new() };
    let kind = if flags & CONTINUATION != 0 { RecordKind::Continuation } else { RecordKind::Discovered };
    Some(Record {
        url,
        fingerprint,
        host: host.clone(),
        scheme,
        depth,
        priority: band.priority.0,
        score,
        attempts,
        kind,
        validators: rest.validators,
        extra,
    })
}

/// Returns the part of a URL after `scheme://host`, if the URL has that form.
pub(crate) fn after_host(record: &Record) -> Option<&str> {
    let rest = record.url.strip_prefix(record.scheme.as_str())?.strip_prefix("://")?;
    rest.strip_prefix(record.host.as_str()).filter(|path| path.starts_with('/'))
}

fn join(scheme: Scheme, host: &Host, path: &str) -> Arc<str> {
    let (scheme, host) = (scheme.as_str(), host.as_str());
    let mut url = String::with_capacity(scheme.len() + 3 + host.len() + path.len());
    for part in [scheme, "://", host, path] {
        url.push_str(part);
    }
    url.into()
}
