//! Where a scripted web plays: its hosts, its time over all runs of a crawl, and the transport that leads there.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use opilio::core::{Fault, Host};
use opilio::fetch::{Answer, Phase, Sending, Transport, TransportError, TransportRequest};
use opilio_sandbox::{Ask, Fault as SiteFault, HostConfig};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::log::{WebLog, WebRequest};

/// The hosts of a web and what they have seen; shared between the transport and the test.
///
/// Transports belong to one thread and are made where they are used, so that what they share has a lock. A crawl in
/// virtual time has one thread: nothing ever waits for it.
#[derive(Clone)]
pub(crate) struct WebStage(Arc<Mutex<StageState>>);

struct StageState {
    sites: BTreeMap<Host, opilio_sandbox::Host>,
    requests: Vec<WebRequest>,
    /// The time of the runs before this one.
    before: Duration,
    /// When this run began.
    began: Option<Instant>,
    /// The web is cut off when so many requests have arrived.
    requests_max: usize,
    cut: Arc<Notify>,
}

impl WebStage {
    pub(crate) fn new(sites: impl IntoIterator<Item = (Host, HostConfig)>) -> Self {
        let sites = sites
            .into_iter()
            .map(|(host, config)| (host, opilio_sandbox::Host::new(config.wall_start_unix(WALL_START))));
        Self(Arc::new(Mutex::new(StageState {
            sites: sites.collect(),
            requests: Vec::new(),
            before: Duration::ZERO,
            began: None,
            requests_max: usize::MAX,
            cut: Arc::default(),
        })))
    }

    /// A run begins now. Tells when it is cut off: as request number `requests_max + 1` arrives.
    pub(crate) fn begin_run(&self, requests_max: usize) -> Arc<Notify> {
        let mut state = self.lock();
        (state.began, state.requests_max) = (Some(Instant::now()), requests_max);
        state.cut = Arc::default();
        state.cut.clone()
    }

    /// The run has ended, and time stands still until the next one.
    pub(crate) fn end_run(&self) {
        let mut state = self.lock();
        (state.before, state.began) = (state.now(), None);
    }

    /// Time goes by between two runs.
    pub(crate) fn pass(&self, time: Duration) {
        self.lock().before += time;
    }

    /// The time since the first run began.
    pub(crate) fn now(&self) -> Duration {
        self.lock().now()
    }

    /// The wall time.
    pub(crate) fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + WALL_START + self.now()
    }

    pub(crate) fn hosts(&self) -> Vec<Host> {
        self.lock().sites.keys().cloned().collect()
    }

    /// What has arrived so far.
    pub(crate) fn log(&self) -> WebLog {
        let state = self.lock();
        let sites = state.sites.iter().map(|(host, site)| (host.clone(), site.log().clone()));
        WebLog::new(sites.collect(), state.requests.clone())
    }

    /// Makes transports to this web.
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

    /// A request arrives; `None` if the web was cut off before.
    fn arrive(&mut self, ask: &TransportRequest) -> Option<SiteReply> {
        if self.requests.len() >= self.requests_max {
            self.cut.notify_one();
            return None;
        }
        let now = self.now();
        let host = Host::of(&ask.url).ok();
        let site = host.as_ref().and_then(|host| self.sites.get_mut(host));
        let body = ask.body.clone().unwrap_or_default();
        let answer = site.map(|site| {
            let path = &ask.url[url::Position::BeforePath..url::Position::AfterQuery];
            site.arrive(now, &Ask { method: ask.method.as_str(), path_and_query: path, body: &body })
        });
        self.requests.push(WebRequest {
            at: now,
            method: ask.method.clone(),
            url: ask.url.clone(),
            headers: ask.headers.clone(),
            body,
            session: ask.session.clone(),
            status: answer.as_ref().map(|answer| answer.status).filter(|status| *status != 0),
            answer: answer.as_ref().map(|answer| answer.body.clone()).unwrap_or_default(),
        });
        Some(match (host, answer) {
            (Some(host), Some(answer)) => SiteReply::Answer(host, answer),
            (host, _) => {
                SiteReply::NoSuchHost(host.map_or_else(|| ask.url.to_string(), |host| host.to_string()))
            }
        })
    }
}

enum SiteReply {
    Answer(Host, opilio_sandbox::Answer),
    NoSuchHost(String),
}

struct StageTransport(WebStage);

impl Transport for StageTransport {
    fn send(&self, ask: TransportRequest) -> Sending<'_> {
        async move {
            let arrived = self.0.lock().arrive(&ask);
            match arrived {
                Some(SiteReply::Answer(host, answer)) => deliver(self.0.clone(), host, answer, &ask).await,
                Some(SiteReply::NoSuchHost(host)) => {
                    let words = format!("the test's web has no host {host}");
                    Err(TransportError::new(Phase::Resolve, Fault::NoSuchName, words))
                }
                // The run ends here.
                None => std::future::pending().await,
            }
        }
        .boxed_local()
    }
}

/// Gives the client what the site answers, at its pace and with its faults.
async fn deliver(
    stage: WebStage,
    host: Host,
    answer: opilio_sandbox::Answer,
    ask: &TransportRequest,
) -> Result<Answer, TransportError> {
    let mut open = OpenExchange { stage, host, id: answer.id, over: false };
    ask.progress.enter(Phase::Head);
    if !answer.latency.is_zero() {
        sleep(answer.latency).await;
    }
    let refused = |phase, fault| Err(TransportError::new(phase, fault, "as the test's web has it"));
    let broken = match answer.fault {
        Some(SiteFault::Reset) => {
            open.over = true;
            return refused(Phase::Head, Fault::Reset);
        }
        Some(SiteFault::Unreachable) => {
            open.over = true;
            ask.progress.enter(Phase::Connect);
            return refused(Phase::Connect, Fault::Connect);
        }
        Some(SiteFault::Silence) => std::future::pending().await,
        Some(SiteFault::ResetMidBody | SiteFault::Truncated) => true,
        Some(
            SiteFault::Status(_) | SiteFault::Refusal { .. } | SiteFault::Slow(_) | SiteFault::Drip { .. },
        )
        | None => false,
    };
    ask.progress.enter(Phase::Body);
    let (chunk, pause) = match answer.fault {
        Some(SiteFault::Drip { chunk, every }) => (chunk.max(1) as usize, every),
        _ => (usize::MAX, Duration::ZERO),
    };
    let (rest, status, headers) = (answer.sent_body(), answer.status, fields(answer.headers));
    let pieces = stream::unfold((rest, open), move |(mut rest, mut open)| async move {
        if open.over {
            return None;
        }
        if rest.is_empty() {
            open.over = true;
            let end = TransportError::new(Phase::Body, Fault::Reset, "as the test's web has it");
            return broken.then_some((Err(end), (rest, open)));
        }
        let piece = rest.split_to(chunk.min(rest.len()));
        if !pause.is_zero() {
            sleep(pause).await;
        }
        open.over = rest.is_empty() && !broken;
        Some((Ok(piece), (rest, open)))
    });
    Ok(Answer {
        status,
        version: Version::HTTP_11,
        headers,
        body: pieces.boxed_local(),
        reused: false,
        remote: None,
    })
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

/// An exchange that its site waits for to end; dropped early, the client has gone away.
struct OpenExchange {
    stage: WebStage,
    host: Host,
    id: opilio_sandbox::ArrivalId,
    over: bool,
}

impl Drop for OpenExchange {
    fn drop(&mut self) {
        let mut state = self.stage.lock();
        let now = state.now();
        let Some(site) = state.sites.get_mut(&self.host) else { return };
        if self.over { site.left(now, self.id) } else { site.abandoned(now, self.id) }
    }
}

/// The wall time at which every scripted web begins: a date in an answer is the same today and tomorrow.
/// 2026-01-01T00:00:00Z, as the sandbox has it.
const WALL_START: Duration = Duration::from_secs(1_767_225_600);
