//! Converts the answer of a transport into the answer that the spider gets.

use opilio_fetch::{Fetched, Head};
use opilio_spider::{Answer, BodyShare};

/// Returns the answer to a fetch, if there was one. `now_unix_millis` is the wall time; it is recorded only for an
/// answer that did not come from a cache.
pub(crate) fn answer_of(fetched: Fetched, now_unix_millis: i64) -> Option<Answer> {
    let Fetched { head, body, cut, permit, elapsed, cached, .. } = fetched;
    let fetched_unix_millis = (!cached).then_some(now_unix_millis);
    let Head { url, status, headers, .. } = head?;
    Some(Answer {
        url,
        status,
        headers,
        body,
        cut,
        permit: Some(BodyShare::new(permit)),
        elapsed,
        fetched_unix_millis,
    })
}
