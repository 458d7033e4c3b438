//! How a host of the sandbox reacts to one request, before an answer with headers is made from that.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use crate::config::Fault;
use crate::pages;

/// How a host reacts to one request, with the facts that the log records.
#[derive(Debug)]
pub(crate) struct HostReply {
    /// The status; 0 if no answer is sent.
    pub(crate) status: u16,
    pub(crate) content_type: Cow<'static, str>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// The title and the sentence of a small page, which is rendered only if answers have bodies.
    pub(crate) small_page: Option<(&'static str, &'static str)>,
    /// The delay of this reply. The host's own latency is added to it.
    pub(crate) latency: Duration,
    pub(crate) fault: Option<Fault>,
    pub(crate) refused: bool,
    pub(crate) banned: bool,
    pub(crate) closed_until: Option<Duration>,
}

impl HostReply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            content_type: Cow::Borrowed(pages::HTML),
            headers: Vec::new(),
            body: Bytes::new(),
            small_page: None,
            latency: Duration::ZERO,
            fault: None,
            refused: false,
            banned: false,
            closed_until: None,
        }
    }

    /// Returns a reply with a small page that consists of a title and a sentence.
    pub(crate) fn page(status: u16, title: &'static str, sentence: &'static str) -> Self {
        Self { small_page: Some((title, sentence)), ..Self::new(status) }
    }

    /// Returns the reply for a fault that [hides the page](Fault::hides_page).
    pub(crate) fn faulty(fault: Fault) -> Self {
        let mut reply = match fault {
            Fault::Status(status) | Fault::Refusal { status, .. } => {
                Self::page(status, "Error", "Something went wrong.")
            }
            _ => Self::new(0),
        };
        reply.fault = Some(fault);
        reply
    }
}
