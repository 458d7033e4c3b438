//! From what the transport gives to what the spider's side takes.

use opilio_fetch::{Fetched, Head};
use opilio_spider::{Answer, BodyShare};

/// The answer that a fetch gave, if there was one.
pub(crate) fn answer_of(fetched: Fetched) -> Option<Answer> {
    let Fetched { head, body, cut, permit, elapsed, .. } = fetched;
    let Head { url, status, headers, .. } = head?;
    Some(Answer { url, status, headers, body, cut, permit: Some(BodyShare::new(permit)), elapsed })
}
