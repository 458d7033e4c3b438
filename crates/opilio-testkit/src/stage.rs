//! Plays a scripted web: keeps its hosts and its clock over all runs of a crawl, and makes transports that
//! connect to it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use opilio::core::{Fault, Host};
use opilio::fetch::{Answer, Phase, Progress, Sending, Transport, TransportError, TransportRequest};
use opilio_cassette::{RecordedAnswer, RecordedExchange, Tape};
use opilio_sandbox::{ArrivalId, Ask, Fault as SiteFault, HostConfig};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::heard::CassetteLogs;
use crate::log::{WebLog, WebRequest};

/// The hosts of a web and the log of their requests. The transports and the test share it.
///
/// A transport belongs to one thread and is made there, so the shared state needs a lock. A crawl in virtual time
/// has only one thread, so nothing ever waits for this lock.
#[derive(Clone)]
pub(crate) struct WebStage(Arc<Mutex<StageState>>);

enum WebSource {
    Sites(BTreeMap<Host, opilio_sandbox::Host>),
    Cassette(Box<Tape>, CassetteLogs),
}

struct StageState {
    wall_start: SystemTime,
    source: WebSource,
    requests: Vec<WebRequest>,
    /// The time that had passed when this run began: the duration of the earlier runs and of the breaks
    /// between them.
    before: Duration,
    /// When this run began; `None` between runs.
    began: Option<Instant>,
    /// The most requests that may arrive. The next request is not answered: the web is cut off, and the run
    /// is killed.
    requests_max: usize,
    cut: Arc<Notify>,
}

impl WebStage {
    /// Creates a web with these hosts, each served by its own simulated server.
    pub(crate) fn of_sites(sites: impl IntoIterator<Item = (Host, HostConfig)>) -> Self {
        let sites = sites
            .into_iter()
            .map(|(host, config)| (host, opilio_sandbox::Host::new(config.wall_start_unix(WALL_START))));
        Self::new(WebSource::Sites(sites.collect()), SystemTime::UNIX_EPOCH + WALL_START)
    }

    /// Creates a web that answers from a cassette. The web's dates are those of the recording.
    pub(crate) fn of_tape(tape: Tape) -> Self {
        let (began, logs) = (tape.began(), CassetteLogs::of(&tape));
        Self::new(WebSource::Cassette(Box::new(tape), logs), began)
    }

    fn new(source: WebSource, wall_start: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(StageState {
            source,
            wall_start,
            requests: Vec::new(),
            before: Duration::ZERO,
            began: None,
            requests_max: usize::MAX,
            cut: Arc::default(),
        })))
    }

    /// Begins a run. The returned `Notify` is notified when the web is cut off, which happens at the first
    /// request beyond `requests_max`.
    pub(crate) fn begin_run(&self, requests_max: usize) -> Arc<Notify> {
        let mut state = self.lock();
        (state.began, state.requests_max) = (Some(Instant::now()), requests_max);
        state.cut = Arc::default();
        state.cut.clone()
    }

    /// Ends the run. The web's clock stops until the next run.
    pub(crate) fn end_run(&self) {
        let mut state = self.lock();
        (state.before, state.began) = (state.now(), None);
    }

    /// Advances the clock of the scripted web by the time that passes between two runs.
    pub(crate) fn pass(&self, time: Duration) {
        self.lock().before += time;
    }

    /// Returns the time since the first run began.
    pub(crate) fn now(&self) -> Duration {
        self.lock().now()
    }

    /// Returns the wall time of the web.
    pub(crate) fn wall(&self) -> SystemTime {
        let state = self.lock();
        state.wall_start + state.now()
    }

    pub(crate) fn hosts(&self) -> Vec<Host> {
        match &self.lock().source {
            WebSource::Sites(sites) => sites.keys().cloned().collect(),
            WebSource::Cassette(tape, _) => tape.hosts().cloned().collect(),
        }
    }

    /// Returns the log of all requests that have arrived so far.
    pub(crate) fn log(&self) -> WebLog {
        let state = self.lock();
        let sites = match &state.source {
            WebSource::Sites(sites) => {
                sites.iter().map(|(host, site)| (host.clone(), site.log().clone())).collect()
            }
            WebSource::Cassette(_, logs) => logs.logs().collect(),
        };
        WebLog::new(sites, state.requests.clone())
    }

    /// Returns the requests to which the cassette has no answer.
    pub(crate) fn unknown(&self) -> Vec<String> {
        match &self.lock().source {
            WebSource::Sites(_) => Vec::new(),
            WebSource::Cassette(tape, _) => tape.unknown(),
        }
    }

    /// Returns a function that makes transports to this web.
    pub(crate) fn transports(&self) -> impl Fn() -> Rc<dyn Transport> + Send + Sync + use<> {
        let stage = self.clone();
        move || Rc::new(StageTransport(stage.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, StageState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StageState {
    fn now(&self) -> Duration {
        self.before + self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Accepts a request, and returns its answer; `None` if the web is cut off.
    fn arrive(&mut self, ask: &TransportRequest) -> Option<StageDelivery> {
        if self.requests.len() >= self.requests_max {
            self.cut.notify_one();
            return None;
        }
        let now = self.now();
        let refused = |words: String| TransportError::new(Phase::Resolve, Fault::NoSuchName, words);
        let delivery = match (&mut self.source, Host::of(&ask.url).ok()) {
            (WebSource::Sites(sites), Some(host)) => match sites.get_mut(&host) {
                Some(site) => StageDelivery::Site(SiteDelivery::of_site(site, host, now, ask)),
                None => StageDelivery::Refused(refused(format!("the test's web has no host {host}"))),
            },
            (WebSource::Cassette(tape, logs), Some(host)) => match tape.answer(ask) {
                Ok(exchange) => {
                    let id = logs.hear(&host, now, &exchange);
                    StageDelivery::Recorded((host, id), Box::new(exchange))
                }
                Err(missing) => StageDelivery::Refused(missing.into()),
            },
            (_, None) => StageDelivery::Refused(refused("the URL has no host".to_owned())),
        };
        let (status, answer) = delivery.seen();
        self.requests.push(WebRequest {
            at: now,
            method: ask.method.clone(),
            url: ask.url.clone(),
            headers: ask.headers.clone(),
            body: ask.body.clone().unwrap_or_default(),
            session: ask.session.clone(),
            status: Some(status).filter(|status| *status != 0),
            answer,
        });
        Some(delivery)
    }

    fn left(&mut self, host: &Host, id: ArrivalId, abandoned: bool) {
        let now = self.now();
        match &mut self.source {
            WebSource::Sites(sites) => match sites.get_mut(host) {
                Some(site) if abandoned => site.abandoned(now, id),
                Some(site) => site.left(now, id),
                None => {}
            },
            WebSource::Cassette(_, logs) => logs.left(host, now, id, abandoned),
        }
    }
}

/// What follows a request.
enum StageDelivery {
    Site(SiteDelivery),
    /// An exchange of a cassette, with the number of the request in the log of its host.
    Recorded((Host, ArrivalId), Box<RecordedExchange>),
    Refused(TransportError),
}

impl StageDelivery {
    /// Returns the status and the body for the log of requests; the status is 0 if there is no answer.
    fn seen(&self) -> (u16, Bytes) {
        match self {
            Self::Site(site) => (site.status, site.body.clone()),
            Self::Recorded(_, exchange) => match &exchange.result {
                Ok(answer) => (answer.status, answer.body.clone()),
                Err(_) => (0, Bytes::new()),
            },
            Self::Refused(_) => (0, Bytes::new()),
        }
    }
}

/// The answer to a request: its bytes, the pace at which they are sent, and how the answer ends.
struct SiteDelivery {
    /// The number of the request in the log of its host.
    arrival: (Host, ArrivalId),
    /// The status; 0 if there is no answer.
    status: u16,
    headers: HeaderMap,
    /// The part of the body that is sent.
    body: Bytes,
    latency: Duration,
    /// How many bytes are sent at a time, and the wait after each piece.
    pace: (usize, Duration),
    ending: DeliveryEnd,
}

enum DeliveryEnd {
    Whole,
    /// The server never answers the request.
    Silence,
    /// The answer fails. In `Phase::Body` it fails after the given part of the body was sent, in an earlier
    /// phase before anything was sent.
    Broken {
        phase: Phase,
        fault: Fault,
        words: String,
    },
}

impl SiteDelivery {
    fn of_site(site: &mut opilio_sandbox::Host, host: Host, now: Duration, ask: &TransportRequest) -> Self {
        let path_and_query = &ask.url[url::Position::BeforePath..url::Position::AfterQuery];
        let body = ask.body.as_deref().unwrap_or_default();
        let answer = site.arrive(now, &Ask { method: ask.method.as_str(), path_and_query, body });
        let broken =
            |phase, fault| DeliveryEnd::Broken { phase, fault, words: "as the test's web has it".to_owned() };
        let ending = match answer.fault {
            Some(SiteFault::Reset) => broken(Phase::Head, Fault::Reset),
            Some(SiteFault::Unreachable) => broken(Phase::Connect, Fault::Connect),
            Some(SiteFault::Silence) => DeliveryEnd::Silence,
            Some(SiteFault::ResetMidBody | SiteFault::Truncated) => broken(Phase::Body, Fault::Reset),
            Some(
                SiteFault::Status(_)
                | SiteFault::Refusal { .. }
                | SiteFault::Slow(_)
                | SiteFault::Drip { .. },
            )
            | None => DeliveryEnd::Whole,
        };
        let pace = match answer.fault {
            Some(SiteFault::Drip { chunk, every }) => (chunk.max(1) as usize, every),
            _ => (usize::MAX, Duration::ZERO),
        };
        Self {
            arrival: (host, answer.id),
            status: answer.status,
            body: answer.sent_body(),
            headers: fields(answer.headers),
            latency: answer.latency,
            pace,
            ending,
        }
    }
}

struct StageTransport(WebStage);

impl Transport for StageTransport {
    fn send(&self, ask: TransportRequest) -> Sending<'_> {
        async move {
            let arrived = self.0.lock().arrive(&ask);
            match arrived {
                Some(StageDelivery::Site(delivery)) => deliver(self.0.clone(), delivery, &ask.progress).await,
                Some(StageDelivery::Recorded(arrival, exchange)) => {
                    let open = OpenExchange { stage: self.0.clone(), arrival, over: false };
                    replay(open, *exchange, &ask.progress).await
                }
                Some(StageDelivery::Refused(error)) => Err(error),
                // The web is cut off: the run ends here, and the request gets no answer.
                None => std::future::pending().await,
            }
        }
        .boxed_local()
    }
}

/// Replays an exchange, and writes its end into the log of its host.
async fn replay(
    mut open: OpenExchange,
    exchange: RecordedExchange,
    progress: &Progress,
) -> Result<Answer, TransportError> {
    let is_empty = |answer: &RecordedAnswer| answer.body.is_empty() && answer.end().is_none();
    let is_empty = exchange.result.as_ref().is_ok_and(is_empty);
    match opilio_cassette::deliver(exchange, progress).await {
        Ok(Answer { status, version, headers, body, reused, remote }) => {
            open.over = is_empty;
            let pieces = stream::unfold((body.peekable(), open), |(mut body, mut open)| async move {
                let piece = body.next().await;
                // A client that knows the length does not read on after the last piece.
                open.over |= piece.is_none() || std::pin::Pin::new(&mut body).peek().await.is_none();
                piece.map(|piece| (piece, (body, open)))
            });
            Ok(Answer { status, version, headers, body: pieces.boxed_local(), reused, remote })
        }
        Err(error) => {
            open.over = true;
            Err(error)
        }
    }
}

/// Sends an answer of a scripted site to the client.
async fn deliver(
    stage: WebStage,
    delivery: SiteDelivery,
    progress: &Progress,
) -> Result<Answer, TransportError> {
    let SiteDelivery { arrival, status, headers, body, latency, pace: (chunk, pause), ending } = delivery;
    let mut open = OpenExchange { stage, arrival, over: false };
    progress.enter(match &ending {
        DeliveryEnd::Broken { phase, .. } if *phase != Phase::Body => *phase,
        DeliveryEnd::Whole | DeliveryEnd::Silence | DeliveryEnd::Broken { .. } => Phase::Head,
    });
    if !latency.is_zero() {
        sleep(latency).await;
    }
    let mut last = match ending {
        DeliveryEnd::Whole => None,
        DeliveryEnd::Silence => std::future::pending().await,
        DeliveryEnd::Broken { phase, fault, words } => {
            let error = TransportError::new(phase, fault, words);
            if phase != Phase::Body {
                open.over = true;
                return Err(error);
            }
            Some(error)
        }
    };
    progress.enter(Phase::Body);
    open.over = body.is_empty() && last.is_none();
    let pieces = stream::unfold((body, open), move |(mut rest, mut open)| {
        let piece = rest.split_to(chunk.min(rest.len()));
        let end = if piece.is_empty() { last.take() } else { None };
        open.over |= rest.is_empty() && last.is_none();
        async move {
            if let Some(end) = end {
                return Some((Err(end), (rest, open)));
            }
            if piece.is_empty() {
                return None;
            }
            if !pause.is_zero() {
                sleep(pause).await;
            }
            Some((Ok(piece), (rest, open)))
        }
    });
    let version = Version::HTTP_11;
    Ok(Answer { status, version, headers, body: pieces.boxed_local(), reused: false, remote: None })
}

fn fields(headers: Vec<(&'static str, String)>) -> HeaderMap {
    let fields = headers.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(&value).ok()?))
    });
    let mut headers = HeaderMap::new();
    fields.for_each(|(name, value)| {
        headers.append(name, value);
    });
    headers
}

/// An exchange whose end must be written to the log of its host. If it is dropped before its end, the log
/// says that the client has gone away.
struct OpenExchange {
    stage: WebStage,
    arrival: (Host, ArrivalId),
    over: bool,
}

impl Drop for OpenExchange {
    fn drop(&mut self) {
        let (host, id) = &self.arrival;
        self.stage.lock().left(host, *id, !self.over);
    }
}

/// The wall time at which every scripted web begins: 2026-01-01T00:00:00Z, as in `opilio-sandbox`. It is
/// fixed, so that the dates in answers are the same in each run.
const WALL_START: Duration = Duration::from_secs(1_767_225_600);
