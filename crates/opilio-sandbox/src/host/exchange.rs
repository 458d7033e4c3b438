//! The request that a host receives, and its answer.

use std::time::Duration;

use bytes::Bytes;

use crate::config::Fault;
use crate::log::ArrivalId;

/// A request as a host receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path and the query, beginning with a slash.
    pub path_and_query: &'a str,
    /// The whole body; empty if there is none.
    pub body: &'a [u8],
}

impl<'a> Ask<'a> {
    /// Returns a GET request for a path and query.
    pub const fn get(path_and_query: &'a str) -> Self {
        Self { method: "GET", path_and_query, body: &[] }
    }

    /// Returns a POST request with a body to a path and query.
    pub const fn post(path_and_query: &'a str, body: &'a [u8]) -> Self {
        Self { method: "POST", path_and_query, body }
    }
}

/// A host's answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The number of the request on its host, for [`Host::left`](crate::Host::left).
    pub id: ArrivalId,
    /// The status; 0 if a fault prevents any answer.
    pub status: u16,
    /// Header names in lower case, and values. Includes `content-length`, but no hop-by-hop fields.
    pub headers: Vec<(&'static str, String)>,
    /// The whole body, even if a fault lets only half of it be sent: see [`Answer::sent_body`].
    pub body: Bytes,
    /// The time from the arrival until the head is sent, or until the fault happens.
    pub latency: Duration,
    /// The fault that happens to this request. If the fault does not [break the answer](Fault::breaks_answer), the
    /// other fields already include its effects, except for the pauses of a [`Fault::Drip`].
    pub fault: Option<Fault>,
}

impl Answer {
    /// Returns the value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the part of the body that is sent: half of the body if the fault cuts it off, and nothing if there
    /// is no answer.
    pub fn sent_body(&self) -> Bytes {
        match self.fault {
            Some(Fault::Truncated | Fault::ResetMidBody) => self.body.slice(..self.body.len() / 2),
            Some(Fault::Reset | Fault::Unreachable | Fault::Silence) => Bytes::new(),
            Some(Fault::Status(_) | Fault::Refusal { .. } | Fault::Slow(_) | Fault::Drip { .. }) | None => {
                self.body.clone()
            }
        }
    }
}
