//! The logs of the hosts of a cassette, as the hosts themselves would have kept them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use opilio::core::{Hints, Host};
use opilio_cassette::{RecordedExchange, Tape};
use opilio_sandbox::{Arrival, ArrivalId, Log};

/// The logs of all hosts of a cassette.
pub(crate) struct CassetteLogs {
    hosts: BTreeMap<Host, Heard>,
    /// The wall time at which the recording began.
    began: SystemTime,
}

/// The requests to one host of the cassette, as the host itself would have logged them.
#[derive(Default)]
struct Heard {
    arrivals: Vec<Arrival>,
    in_flight: u32,
}

impl CassetteLogs {
    /// Makes an empty log for each host of a cassette.
    pub(crate) fn of(tape: &Tape) -> Self {
        let hosts = tape.hosts().map(|host| (host.clone(), Heard::default())).collect();
        Self { hosts, began: tape.began() }
    }

    pub(crate) fn logs(&self) -> impl Iterator<Item = (Host, Log)> {
        self.hosts.iter().map(|(host, heard)| (host.clone(), Log::from_entries(heard.arrivals.clone())))
    }

    /// Writes a request into the log of its host, as the host itself would do it.
    pub(crate) fn hear(&mut self, host: &Host, now: Duration, exchange: &RecordedExchange) -> ArrivalId {
        let began = self.began;
        let heard = self.hosts.entry(host.clone()).or_default();
        heard.in_flight += 1;
        let sent = now + exchange.latency;
        let status = exchange.result.as_ref().map_or(0, |answer| answer.status);
        let stated = exchange.result.as_ref().ok().filter(|answer| matches!(answer.status, 429 | 503));
        let stated = stated.and_then(|answer| {
            let at = exchange
                .request
                .at
                .unwrap_or(began)
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
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
