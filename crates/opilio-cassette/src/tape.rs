//! Replays a cassette: finds the recorded answer to each request. Several answers to equal requests are given
//! in order.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method};
use opilio_core::Host;
use opilio_fetch::TransportRequest;

use crate::cassette::Cassette;
use crate::exchange::{RecordedAnswer, RecordedExchange, RecordedRequest, RequestKey};
use crate::secrets::{SecretRules, SecretValues, VaryingSecrets, varying};

/// The exchanges of a cassette, found by their requests.
pub struct Tape {
    path: PathBuf,
    answers: HashMap<RequestKey, Answers>,
    hosts: BTreeSet<Host>,
    rules: SecretRules,
    varying: VaryingSecrets,
    /// The command that records the cassette anew, for messages.
    command: String,
    began: SystemTime,
    /// If true, a tool other than Opilio has written the file.
    is_foreign: bool,
    /// A sentence about a file that could not be read to its end.
    warning: Option<String>,
    unknown: UnknownRequests,
}

/// The requests to which a cassette has no answer.
#[derive(Default)]
struct UnknownRequests {
    seen: HashSet<RequestKey>,
    /// The first [`NAMED_MAX`] requests in words.
    named: Vec<String>,
}

/// Why a cassette has no answer to a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MissingAnswer {
    /// The cassette does not have the request.
    #[error("{request} is not in {}; record it: {command}", path.display())]
    NotRecorded {
        /// The request in words.
        request: String,
        /// The path of the cassette.
        path: PathBuf,
        /// The command that records the cassette anew.
        command: String,
    },
    /// A request that may have an effect was sent more often than it was recorded.
    #[error("{request} was sent more often than in {}; record it: {command}", path.display())]
    SentTooOften {
        /// The request in words.
        request: String,
        /// The path of the cassette.
        path: PathBuf,
        /// The command that records the cassette anew.
        command: String,
    },
}

#[derive(Default)]
struct Answers {
    in_order: Vec<RecordedExchange>,
    given: usize,
}

impl Tape {
    /// Makes a tape of the exchanges of a cassette. `command` is the command that records them anew, for messages.
    #[must_use]
    pub fn new(path: PathBuf, cassette: Cassette, command: String) -> Self {
        let (rules, is_foreign, warning) =
            (cassette.rules.clone(), cassette.is_foreign, cassette.warning.clone());
        let exchanges = cassette.into_exchanges();
        let began = exchanges.iter().filter_map(|exchange| exchange.request.at).min();
        let values = SecretValues::default();
        for exchange in &exchanges {
            exchange.request.key_by(&rules.collected(&exchange.request.url, &values));
        }
        let varying = varying(values);
        let mut answers: HashMap<RequestKey, Answers> = HashMap::new();
        let mut hosts = BTreeSet::new();
        for exchange in exchanges {
            hosts.extend(Host::of(&exchange.request.key.url));
            let key = exchange.request.key_by(&rules.compared(&exchange.request.url, &varying));
            answers.entry(key).or_default().in_order.push(exchange);
        }
        let began = began.unwrap_or(SystemTime::UNIX_EPOCH);
        let unknown = UnknownRequests::default();
        Self { path, answers, hosts, rules, varying, command, began, is_foreign, warning, unknown }
    }

    /// Returns the hosts to which requests were recorded.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter()
    }

    /// Returns the wall time at which the recording began; the beginning of 1970 if the file has no dates.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// Returns the requests, in words, to which the cassette has no answer: the first twenty, and how many more
    /// there are. The last line says so if the file could not be read to its end.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        let UnknownRequests { seen, named } = &self.unknown;
        let more = seen.len() - named.len();
        let mut words = named.clone();
        words.extend((more > 0).then(|| format!("and {more} more")));
        words.extend(self.warning.clone().filter(|_| !seen.is_empty()));
        words
    }

    /// Returns the recorded answer to a request. If a request with a safe method comes more often than it was
    /// recorded, its last answer is repeated. If another tool has written the file and has not fetched a robots.txt,
    /// there is none: the answer is 404, since without it no page of the origin could be replayed.
    ///
    /// # Errors
    /// When the cassette has no answer. The error describes the request, and tells how to record it.
    pub fn answer(&mut self, ask: &TransportRequest) -> Result<RecordedExchange, MissingAnswer> {
        let key = RequestKey::of(ask, &self.rules.compared(&ask.url, &self.varying));
        let (path, command) = (self.path.clone(), self.command.clone());
        let Some(answers) = self.answers.get_mut(&key) else {
            if self.is_foreign && is_robots_txt(&key) {
                return Ok(no_robots_txt(key));
            }
            let request = self.unknown.note(RequestKey::of(ask, &self.rules.plain()));
            return Err(MissingAnswer::NotRecorded { request, path, command });
        };
        let place =
            if key.method.is_safe() { answers.given.min(answers.in_order.len() - 1) } else { answers.given };
        answers.given += 1;
        if let Some(exchange) = answers.in_order.get(place) {
            return Ok(exchange.clone());
        }
        let request = self.unknown.note(RequestKey::of(ask, &self.rules.plain()));
        Err(MissingAnswer::SentTooOften { request, path, command })
    }
}

fn is_robots_txt(key: &RequestKey) -> bool {
    key.method == Method::GET && key.url.path() == "/robots.txt" && key.url.query().is_none()
}

fn no_robots_txt(key: RequestKey) -> RecordedExchange {
    let url = key.url.clone();
    let request = RecordedRequest { key, url, headers: HeaderMap::new(), body: Bytes::new(), at: None };
    let answer = RecordedAnswer { status: 404, ..RecordedAnswer::default() };
    RecordedExchange { request, latency: Duration::ZERO, result: Ok(answer) }
}

impl UnknownRequests {
    /// Notes a request, and returns it in words.
    fn note(&mut self, key: RequestKey) -> String {
        let words = key.describe();
        if self.seen.insert(key) && self.named.len() < NAMED_MAX {
            self.named.push(words.clone());
        }
        words
    }
}

/// The number of unknown requests that are named.
const NAMED_MAX: usize = 20;
