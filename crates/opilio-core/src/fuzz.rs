//! The functions that the fuzzer calls, one per parser. Each takes any bytes, and panics if the parser breaks
//! one of its guarantees. The property tests call the same functions.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::explain::{Question, explain, outcome_of_status};
use crate::{
    Fingerprint, Hints, Host, HostPolicy, RetryPolicy, Validators, canonicalize, strip_tracking,
    without_session_ids,
};

/// Parses each line as a header field, whose name is chosen by the line's first byte, and reads hints and
/// validators from these fields.
pub fn headers(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(32) {
        let Some((name, value)) = line.split_first() else { continue };
        if let Ok(value) = HeaderValue::from_bytes(value.trim_ascii()) {
            headers.append(HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]), value);
        }
    }
    for status in [200, 202, 302, 429, 503] {
        let hints = Hints::read(&headers, status, NOW_MS);
        assert!(
            status >= 300 || hints.retry_after.is_none(),
            "a wait is stated by redirects and errors only"
        );
        assert_ne!(hints.retry_after, Some(Duration::ZERO), "no wait is no hint");
        let question = Question {
            outcome: outcome_of_status(status, &headers),
            headers: &headers,
            attempt: 1,
            method: &Method::GET,
            now_ms: NOW_MS,
        };
        let answer = explain(&RetryPolicy::default(), &HostPolicy::default(), &question);
        assert_eq!(answer, explain(&RetryPolicy::default(), &HostPolicy::default(), &question));
    }
    Validators::read(&headers).bounded().ask(&mut headers);
}

/// Parses the bytes as a URL, and checks the guarantees of canonical forms, hosts, session ids and tracking
/// parameters.
pub fn urls(bytes: &[u8]) {
    let Ok(url) = Url::parse(&String::from_utf8_lossy(bytes)) else { return };
    let Ok(host) = Host::of(&url) else { return };
    assert!(host.group().as_str().len() <= host.as_str().len(), "{host:?}");
    let once = canonicalize(&url);
    let Ok(again) = Url::parse(&once) else { panic!("the canonical form {once:?} is not a URL") };
    assert_eq!(canonicalize(&again), once, "canonicalisation is idempotent");
    assert_eq!(Fingerprint::of(&again), Fingerprint::of(&url), "one form, one fingerprint");
    let less = without_session_ids(&url);
    assert_eq!(without_session_ids(&less), less, "no session id is left");
    assert_eq!(Host::of(&again).ok().as_ref(), Some(&host), "one form, one host");
    let mut stripped = url.clone();
    assert_eq!(strip_tracking(&mut stripped), stripped != url);
    assert!(!strip_tracking(&mut stripped), "stripping is idempotent");
}

const NOW_MS: i64 = 1_790_000_000_000;

const NAMES: [&str; 17] = [
    "retry-after",
    "date",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-rate-limit-limit",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "ratelimit",
    "ratelimit-policy",
    "etag",
    "last-modified",
    "location",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_headers_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            headers(&bytes);
        }

        #[test]
        fn likely_headers_are_read(lines in "([ -~]( ?[0-9\\-\";=, rtwlimeGMT:.]{0,30})\n){0,6}") {
            headers(lines.as_bytes());
        }

        #[test]
        fn urls_of_odd_escapes_are_read(path in "[%0-9A-Fa-f]{0,16}", query in "[%2346dD&=]{0,16}") {
            urls(format!("http://a.example/{path}?{query}").as_bytes());
        }

        #[test]
        fn any_urls_are_read(url in "(https?|ftp)://\\PC{0,12}(:[0-9]{0,5})?[ -~é%]{0,40}") {
            urls(url.as_bytes());
        }
    }
}
