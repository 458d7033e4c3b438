//! What a page is asked with whether it has changed since it was fetched.

use bytes::Bytes;

/// The validators of an answer (RFC 9110 §8.8) and a hash of its body, kept from one fetch for the
/// next.
///
/// A conditional request sends the header fields back as they came (`If-None-Match`,
/// `If-Modified-Since`); a server that has none is asked without a condition, and the hash tells
/// whether the page has changed.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Validators {
    /// `ETag`, as the server wrote it, quotes and `W/` included.
    pub etag: Option<Bytes>,
    /// `Last-Modified`, as the server wrote it.
    pub last_modified: Option<Bytes>,
    /// A hash of the decoded body.
    pub body_hash: Option<u64>,
}

impl Validators {
    /// A header field that is longer is not kept: what is stored of a page stays bounded.
    pub const FIELD_BYTES_MAX: usize = 1024;

    /// Whether there is nothing to ask or compare with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none() && self.body_hash.is_none()
    }

    /// Without what is too long to be kept.
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
