//! The simulated server as a client sees it: answers in flight, and connections that are kept alive.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use opilio_core::explain::outcome_of_status;
use opilio_core::{Fault, Hints, Outcome, Timestamp};
use opilio_sandbox as sandbox;

/// An answer that the server has sent and that has not arrived at the crawler yet.
pub(super) struct ReplyUnderWay {
    pub(super) outcome: Outcome,
    headers: HeaderMap,
    status: u16,
    /// The number of the attempt, and whether an earlier attempt at the URL failed.
    pub(super) attempt: (u16, bool),
}

/// The server, and the answers and connections between the server and the crawler.
pub(super) struct RemoteServer {
    pub(super) server: sandbox::Host,
    replies: Vec<(u64, ReplyUnderWay)>,
    /// The number of idle connections that are kept alive for further requests.
    kept_alive: usize,
    /// The longest time that the crawler waits for an answer.
    timeout: Duration,
}

impl RemoteServer {
    pub(super) fn new(server: sandbox::Host, timeout: Duration) -> Self {
        Self { server, replies: Vec::new(), kept_alive: 0, timeout }
    }

    /// Takes a connection for a request. Returns true if the connection was kept alive after an earlier request.
    pub(super) fn take_connection(&mut self) -> bool {
        let kept_alive = self.kept_alive > 0;
        self.kept_alive -= usize::from(kept_alive);
        kept_alive
    }

    /// Makes a request reach the server. Returns the time at which the answer arrives at the crawler (`travel` after
    /// it is sent), and the number of the answer.
    pub(super) fn arrive(
        &mut self,
        now: Timestamp,
        path: &str,
        attempt: (u16, bool),
        kept_alive: bool,
        travel: impl FnOnce() -> Duration,
    ) -> (Timestamp, u64) {
        let answer = self.server.arrive(now.since(Timestamp::EPOCH), &sandbox::Ask::get(path));
        let mut headers = HeaderMap::new();
        for (name, value) in &answer.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(*name, value);
            }
        }
        let mut back = now + answer.latency + travel();
        // The crawler waits for the answer until this time at the longest.
        let patience = now + self.timeout;
        let outcome = match answer.fault {
            Some(sandbox::Fault::Silence) => Outcome::Failed(Fault::Timeout),
            _ if back > patience => Outcome::Failed(Fault::Timeout),
            Some(sandbox::Fault::Unreachable) => Outcome::Failed(Fault::Connect),
            // The crawler cannot tell this reset from the reset of a connection that the server closed because it was
            // idle for too long.
            Some(sandbox::Fault::Reset) if kept_alive => Outcome::Failed(Fault::StaleConnection),
            Some(fault) if fault.breaks_answer() => Outcome::Failed(Fault::Reset),
            Some(_) | None => outcome_of_status(answer.status, &headers),
        };
        if outcome == Outcome::Failed(Fault::Timeout) {
            back = patience;
        }
        let reply = ReplyUnderWay { outcome, headers, status: answer.status, attempt };
        self.replies.push((answer.id, reply));
        (back, answer.id)
    }

    /// Makes an answer arrive at the crawler. Returns the answer, and the hints about the host that its headers
    /// contain.
    pub(super) fn land(&mut self, now: Timestamp, arrival: u64) -> Option<(ReplyUnderWay, Hints)> {
        let place = self.replies.iter().position(|(id, _)| *id == arrival)?;
        let (_, reply) = self.replies.swap_remove(place);
        self.server.left(now.since(Timestamp::EPOCH), arrival);
        if matches!(reply.outcome, Outcome::Failed(_)) {
            return Some((reply, Hints::default()));
        }
        self.kept_alive += 1;
        let wall_ms = 1_767_225_600_000 + now.as_micros() as i64 / 1_000;
        let hints = Hints::read(&reply.headers, reply.status, wall_ms);
        Some((reply, hints))
    }
}
