//! How a queued record is packed: its fingerprint and path, and the rest only where it is not usual.
//!
//! ```text
//! flags:u8 · fingerprint:16 · [attempts:varint] · length:varint · text · [length:varint · extra]
//! ```
//! Host, priority and depth are those of the queue that it stands in. The text is what follows
//! `scheme://host`, or the whole URL when it is written otherwise (user info, port 80 in https).

use std::sync::Arc;

use bytes::Bytes;
use opilio_core::{Fingerprint, Host, Priority, Record, RecordKind, Scheme};

const HTTPS: u8 = 1;
const CONTINUATION: u8 = 2;
const WHOLE_URL: u8 = 4;
const ATTEMPTS: u8 = 8;
const EXTRA: u8 = 16;

/// A record packed by itself, outside of the packed queues.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    pub(super) fn of(record: &Record) -> Self {
        let mut bytes = Vec::with_capacity(room(record));
        pack(record, &mut bytes);
        Self(bytes.into_boxed_slice())
    }

    pub(super) fn unpack(&self, host: &Host, priority: Priority, depth: u16) -> Record {
        unpack(&mut &*self.0, host, priority, depth)
    }
}

/// How many bytes a packed record takes at most.
pub(super) fn room(record: &Record) -> usize {
    // Flags, fingerprint, attempts and two lengths of which neither passes 2⁶⁴.
    1 + 16 + 3 + 10 + 10 + record.url.len() + record.extra.len()
}

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
    ] {
        if holds {
            flags |= flag;
        }
    }
    out.push(flags);
    out.extend_from_slice(&record.fingerprint.0.to_le_bytes());
    if flags & ATTEMPTS != 0 {
        put_varint(u64::from(record.attempts), out);
    }
    put_slice(short.unwrap_or(&record.url).as_bytes(), out);
    if flags & EXTRA != 0 {
        put_slice(&record.extra, out);
    }
}

/// Takes one record off the front of what [`pack`] wrote.
pub(super) fn unpack(from: &mut &[u8], host: &Host, priority: Priority, depth: u16) -> Record {
    let flags = take(from, 1)[0];
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(take(from, 16));
    let attempts = if flags & ATTEMPTS != 0 { take_varint(from) as u16 } else { 0 };
    let scheme = if flags & HTTPS != 0 { Scheme::Https } else { Scheme::Http };
    let text = take_slice(from);
    let text = str::from_utf8(text).expect("only whole strings are packed");
    let url = if flags & WHOLE_URL != 0 { text.into() } else { join(scheme, host, text) };
    let extra = if flags & EXTRA != 0 { Bytes::copy_from_slice(take_slice(from)) } else { Bytes::new() };
    let kind = if flags & CONTINUATION != 0 { RecordKind::Continuation } else { RecordKind::Discovered };
    Record {
        url,
        fingerprint: Fingerprint(u128::from_le_bytes(fingerprint)),
        host: host.clone(),
        scheme,
        depth,
        priority,
        attempts,
        kind,
        extra,
    }
}

/// What follows `scheme://host` in the usual spelling.
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

/// Appends a number, seven bits a byte, low bits first.
pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number off the front.
pub(super) fn take_varint(from: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = take(from, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

fn put_slice(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn take_slice<'a>(from: &mut &'a [u8]) -> &'a [u8] {
    let len = take_varint(from) as usize;
    take(from, len)
}

/// Only ever reads what this module wrote in this process, so that it is there.
fn take<'a>(from: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (taken, rest) = from.split_at(n);
    *from = rest;
    taken
}
