//! The validators of a page, with which a later request can ask whether the page has changed.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

/// The validators of an answer (RFC 9110 §8.8) and a hash of its body, kept for the next fetch of the page.
///
/// A conditional request sends the two header fields back as they came (as `If-None-Match` and
/// `If-Modified-Since`). If a server sends no validators, its page is requested without a condition, and the
/// hash shows whether the page has changed.
///
/// ```
/// # mod opilio { pub use opilio_core as core; }
/// use opilio::core::Validators;
/// use http::{HeaderMap, HeaderValue, header};
///
/// let answer = HeaderMap::from_iter([(header::ETAG, HeaderValue::from_static("\"v7\""))]);
/// let mut next = HeaderMap::new();
/// Validators::read(&answer).ask(&mut next);
/// assert_eq!(next[header::IF_NONE_MATCH], "\"v7\"");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Validators {
    /// The header field `ETag` as the server wrote it, with quotes and `W/`.
    pub etag: Option<Bytes>,
    /// The header field `Last-Modified` as the server wrote it.
    pub last_modified: Option<Bytes>,
    /// A hash of the decoded body.
    pub body_hash: Option<u64>,
}

impl Validators {
    /// The longest header field that is kept, in bytes, so that the stored data of a page is bounded.
    pub const FIELD_BYTES_MAX: usize = 1024;

    /// Reads the validators from the headers of an answer; the hash stays empty. A field that is too long
    /// counts as absent.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let field = |name| {
            let value = headers.get(name).map(HeaderValue::as_bytes).map(<[u8]>::trim_ascii)?;
            (!value.is_empty()).then(|| Bytes::copy_from_slice(value))
        };
        let (etag, last_modified) = (field(header::ETAG), field(header::LAST_MODIFIED));
        Self { etag, last_modified, body_hash: None }.bounded()
    }

    /// Adds the header fields that make a request conditional (RFC 9110 §13.1). If the page has not changed,
    /// the answer is a 304.
    pub fn ask(&self, headers: &mut HeaderMap) {
        let fields = [(header::IF_NONE_MATCH, &self.etag), (header::IF_MODIFIED_SINCE, &self.last_modified)];
        for (name, value) in fields {
            if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_bytes(value).ok()) {
                headers.insert(name, value);
            }
        }
    }

    /// Whether there are neither validators nor a hash.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none() && self.body_hash.is_none()
    }

    /// Removes fields that are too long to be kept.
    #[must_use]
    pub fn bounded(self) -> Self {
        let fits = |field: &Bytes| field.len() <= Self::FIELD_BYTES_MAX;
        Self {
            etag: self.etag.filter(fits),
            last_modified: self.last_modified.filter(fits),
            body_hash: self.body_hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_too_long_is_not_kept() {
        let long = Bytes::from(vec![b'x'; Validators::FIELD_BYTES_MAX + 1]);
        let of = |etag| Validators { etag: Some(etag), ..Validators::default() };
        assert!(of(long.clone()).bounded().is_empty());
        let short = long.slice(1..);
        assert_eq!(of(short.clone()).bounded(), of(short));
    }
}
