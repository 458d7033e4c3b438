//! Replays a cassette: finds the recorded answer to each request. Several answers to equal requests are given
//! in order.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::SystemTime;

use opilio_core::Host;

use crate::exchange::{RecordedExchange, RequestKey};

/// The exchanges of a cassette, found by their requests.
pub struct Tape {
    path: PathBuf,
    answers: HashMap<RequestKey, Answers>,
    hosts: BTreeSet<Host>,
    /// The command that records the cassette anew, for messages.
    command: String,
    /// The wall time at which the recording began.
    pub began: SystemTime,
    /// The requests, in words, to which the cassette has no answer.
    pub unknown: Vec<String>,
}

#[derive(Default)]
struct Answers {
    in_order: Vec<RecordedExchange>,
    given: usize,
}

impl Tape {
    /// Makes a tape of the exchanges of a file. `command` is the command that records them anew, for messages.
    #[must_use]
    pub fn new(path: PathBuf, exchanges: Vec<RecordedExchange>, command: String) -> Self {
        let began = exchanges.iter().map(|exchange| exchange.request.at).min();
        let mut answers: HashMap<RequestKey, Answers> = HashMap::new();
        let mut hosts = BTreeSet::new();
        for exchange in exchanges {
            if let Ok(host) = Host::of(&exchange.request.key.url) {
                hosts.insert(host);
            }
            answers.entry(exchange.request.key.clone()).or_default().in_order.push(exchange);
        }
        let began = began.unwrap_or(SystemTime::UNIX_EPOCH);
        Self { path, answers, hosts, command, began, unknown: Vec::new() }
    }

    /// Returns the hosts to which requests were recorded.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter()
    }

    /// Returns the recorded answer to a request. If a request with a safe method comes more often than it was
    /// recorded, its last answer is repeated.
    ///
    /// # Errors
    /// When the cassette has no answer. The error describes the request, and tells how to record it.
    pub fn answer(&mut self, key: &RequestKey) -> Result<RecordedExchange, String> {
        let Some(answers) = self.answers.get_mut(key) else {
            return Err(self.refuse(key, "is not in"));
        };
        let place =
            if key.method.is_safe() { answers.given.min(answers.in_order.len() - 1) } else { answers.given };
        answers.given += 1;
        match answers.in_order.get(place) {
            Some(exchange) => Ok(exchange.clone()),
            None => Err(self.refuse(key, "was sent more often than in")),
        }
    }

    fn refuse(&mut self, key: &RequestKey, why: &str) -> String {
        let request = key.describe();
        let words = format!("{request} {why} {}; record it: {}", self.path.display(), self.command);
        if !self.unknown.contains(&request) {
            self.unknown.push(request);
        }
        words
    }
}
