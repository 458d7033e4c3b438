//! Replays a cassette: finds the recorded answer to each request. Several answers to equal requests are given
//! in order.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use opilio::core::{Hints, Host};
use opilio_sandbox::{Arrival, ArrivalId, Log};

use super::exchange::{RecordedExchange, RequestKey};
use super::recording_command;

/// The exchanges of a cassette, found by their requests.
pub(crate) struct Tape {
    path: PathBuf,
    answers: HashMap<RequestKey, Answers>,
    hosts: BTreeMap<Host, Heard>,
    /// The wall time at which the recording began.
    pub(crate) began: SystemTime,
    /// The requests, in words, to which the cassette has no answer.
    pub(crate) unknown: Vec<String>,
}

#[derive(Default)]
struct Answers {
    in_order: Vec<RecordedExchange>,
    given: usize,
}

/// The requests to one host of the cassette, as the host itself would have logged them.
#[derive(Default)]
struct Heard {
    arrivals: Vec<Arrival>,
    in_flight: u32,
}

impl Tape {
    pub(crate) fn new(path: PathBuf, exchanges: Vec<RecordedExchange>) -> Self {
        let began = exchanges.iter().map(|exchange| exchange.request.at).min();
        let mut answers: HashMap<RequestKey, Answers> = HashMap::new();
        let mut hosts = BTreeMap::new();
        for exchange in exchanges {
            if let Ok(host) = Host::of(&exchange.request.key.url) {
                hosts.entry(host).or_insert_with(Heard::default);
            }
            answers.entry(exchange.request.key.clone()).or_default().in_order.push(exchange);
        }
        Self { path, answers, hosts, began: began.unwrap_or(SystemTime::UNIX_EPOCH), unknown: Vec::new() }
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.keys()
    }

    pub(crate) fn logs(&self) -> impl Iterator<Item = (Host, Log)> {
        self.hosts.iter().map(|(host, heard)| (host.clone(), Log::from_entries(heard.arrivals.clone())))
    }

    /// Returns the recorded answer to a request. If a request with a safe method comes more often than it was
    /// recorded, its last answer is repeated.
    ///
    /// # Errors
    /// When the cassette has no answer. The error describes the request, and tells how to record it.
    pub(crate) fn answer(&mut self, key: &RequestKey) -> Result<RecordedExchange, String> {
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
        let words = format!("{request} {why} {}; record it: {}", self.path.display(), recording_command());
        if !self.unknown.contains(&request) {
            self.unknown.push(request);
        }
        words
    }

    /// Writes a request into the log of its host, as the host itself would do it.
    pub(crate) fn hear(&mut self, host: &Host, now: Duration, exchange: &RecordedExchange) -> ArrivalId {
        let heard = self.hosts.entry(host.clone()).or_default();
        heard.in_flight += 1;
        let sent = now + exchange.latency;
        let status = exchange.result.as_ref().map_or(0, |answer| answer.status);
        let stated = exchange.result.as_ref().ok().filter(|answer| matches!(answer.status, 429 | 503));
        let stated = stated.and_then(|answer| {
            let at = exchange.request.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let wall_ms = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
            Hints::read(&answer.headers, answer.status, wall_ms).retry_after
        });
        let (url, id) = (&exchange.request.key.url, heard.arrivals.len() as u64);
        heard.arrivals.push(Arrival {
            id,
            at: now,
            sent,
            left: None,
            closed_until: stated.filter(|wait| !wait.is_zero()).map(|wait| sent + wait),
            path: url[url::Position::BeforePath..url::Position::AfterQuery].into(),
            method: known(&exchange.request.key.method),
            in_flight: heard.in_flight,
            status,
            fault: None,
            refused: stated.is_some(),
            banned: false,
            on_spent_quota: false,
            abandoned: false,
        });
        id
    }

    /// Records in the log of its host that an exchange has ended, or that the client has given it up
    /// (`abandoned`).
    pub(crate) fn left(&mut self, host: &Host, now: Duration, id: ArrivalId, abandoned: bool) {
        let Some(heard) = self.hosts.get_mut(host) else { return };
        heard.in_flight = heard.in_flight.saturating_sub(1);
        if let Some(arrival) = usize::try_from(id).ok().and_then(|id| heard.arrivals.get_mut(id)) {
            (arrival.left, arrival.abandoned) = (Some(now), abandoned);
        }
    }
}

fn known(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}
