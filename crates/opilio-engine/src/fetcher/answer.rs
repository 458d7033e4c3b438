//! Converts the answer of a transport into an answer for the spider's side.

use opilio_fetch::{Fetched, Head};
use opilio_spider::{Answer, BodyShare};

/// The answer to a fetch, if there was one.
pub(crate) fn answer_of(fetched: Fetched) -> Option<Answer> {
    let Fetched { head, body, cut, permit, elapsed, .. } = fetched;
    let Head { url, status, headers, .. } = head?;
    Some(Answer { url, status, headers, body, cut, permit: Some(BodyShare::new(permit)), elapsed })
}
