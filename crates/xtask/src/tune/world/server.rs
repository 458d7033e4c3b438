//! The sandbox's server as a client sees it: answers under way, and connections that are kept alive.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use opilio_core::explain::outcome_of_status;
use opilio_core::{Fault, Hints, Outcome, Timestamp};
use opilio_sandbox as sandbox;

/// The server's answer, kept until it arrives.
pub(super) struct ReplyUnderWay {
    pub(super) outcome: Outcome,
    headers: HeaderMap,
    status: u16,
    /// The number of the attempt, and whether the URL failed before.
    pub(super) attempt: (u16, bool),
}

/// The server, and what lies between it and the crawler.
pub(super) struct RemoteServer {
    pub(super) server: sandbox::Host,
    replies: Vec<(u64, ReplyUnderWay)>,
    /// Connections that are kept alive and have nothing to do.
    kept_alive: usize,
    /// The client's patience with one answer.
    timeout: Duration,
}

impl RemoteServer {
    pub(super) fn new(server: sandbox::Host, timeout: Duration) -> Self {
        Self { server, replies: Vec::new(), kept_alive: 0, timeout }
    }

    /// Whether a request goes out on a connection that was kept alive.
    pub(super) fn take_connection(&mut self) -> bool {
        let kept_alive = self.kept_alive > 0;
        self.kept_alive -= usize::from(kept_alive);
        kept_alive
    }

    /// A request reaches the server: when its answer is back after `travel`, and the answer's number.
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
        // A client waits no longer than this.
        let patience = now + self.timeout;
        let outcome = match answer.fault {
            Some(sandbox::Fault::Silence) => Outcome::Failed(Fault::Timeout),
            _ if back > patience => Outcome::Failed(Fault::Timeout),
            Some(sandbox::Fault::Unreachable) => Outcome::Failed(Fault::Connect),
            // From a connection that the server may have closed for its age this looks the same.
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

    /// An answer arrives: what it is, and what it says about the host.
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
