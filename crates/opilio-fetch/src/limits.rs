//! The limits of one attempt: the most that a server may cost the crawler.

use std::time::Duration;

/// The bounds of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the start to the last byte of the body (30 s). Waiting for the crawl's own body memory does not
    /// count.
    pub timeout: Duration,
    /// From the start to the head of the answer, if less than `timeout`.
    pub first_byte: Option<Duration>,
    /// Decoded bytes of a body (10 MiB); a larger one is a failure, never a cut page.
    pub body_bytes_max: usize,
    /// Bytes of a body as sent, before decoding (10 MiB).
    pub wire_bytes_max: u64,
    /// Decoded bytes per byte sent (250), from the first MiB decoded on.
    pub ratio_max: u64,
    /// Header fields (1,000).
    pub header_count_max: usize,
    /// Bytes of header names and values (100 KiB).
    pub header_bytes_max: usize,
    /// Bytes of a redirect's target (8 KiB).
    pub url_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            first_byte: None,
            body_bytes_max: 10 << 20,
            wire_bytes_max: 10 << 20,
            ratio_max: 250,
            header_count_max: 1_000,
            header_bytes_max: 100 << 10,
            url_bytes_max: 8 << 10,
        }
    }
}

impl Limits {
    /// From the start to the head of the answer.
    #[must_use]
    pub fn first_byte(&self) -> Duration {
        self.first_byte.unwrap_or(self.timeout).min(self.timeout)
    }
}
