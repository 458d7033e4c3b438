//! The notes that a crawl keeps in its store from run to run: its epoch and its outputs, written once; its
//! clock and its totals, written with every settle.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opilio_core::{Host, PerScheme, Reason, Timestamp};
use opilio_export::Sink;
use opilio_frontier::{Admission, Frontier};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::admission::SHAPES_MAX;
use crate::error::CrawlError;
use crate::memo;
use crate::scope::{Follow, Hosts};
use crate::step::Sample;

/// The notes that earlier runs left in the store.
#[derive(Clone, Copy, Debug)]
pub struct RunHistory {
    /// The totals of earlier runs.
    pub totals: Totals,
    /// A run was killed, or gave up requests under way. Until this instant, when the next run began, a host
    /// may have received requests that its memo does not record.
    pub maybe_fetched_until: Option<Timestamp>,
    /// There were earlier runs.
    pub resumed: bool,
    /// The earlier runs left nothing to do; the number of URLs that they had met.
    pub was_over: Option<u64>,
}

/// The totals of all runs of a crawl, in addition to the counts of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Requests sent.
    pub requests: u64,
    /// Attempts beyond the first of a URL.
    pub retries: u64,
    /// Answers of 429 or 503.
    pub refusals: u64,
    /// Body bytes received.
    pub bytes: u64,
    /// Pages and redirects that were read from the cache.
    pub cached: u64,
    /// Items written.
    pub items: u64,
    /// The running time of all runs.
    pub elapsed: Duration,
    /// URLs that were requested with another step than the first time. Kept in another note.
    #[serde(skip)]
    pub other_step: u64,
    /// Sitemaps that were read to their end. In the same note.
    #[serde(skip)]
    pub sitemaps: u64,
    /// When the last URL ended, where all have. In the same note.
    #[serde(skip)]
    pub finished_unix_ms: Option<u64>,
}

impl Totals {
    /// The totals with those of this run, which has not finished the crawl yet.
    #[must_use]
    pub fn plus(self, run: Self) -> Self {
        Self {
            requests: self.requests + run.requests,
            retries: self.retries + run.retries,
            refusals: self.refusals + run.refusals,
            bytes: self.bytes + run.bytes,
            cached: self.cached + run.cached,
            items: self.items + run.items,
            elapsed: self.elapsed + run.elapsed,
            other_step: self.other_step + run.other_step,
            sitemaps: self.sitemaps + run.sitemaps,
            finished_unix_ms: None,
        }
    }
}

/// Written when the crawl begins, and never changed.
#[derive(Serialize, Deserialize)]
struct CrawlNote {
    epoch_unix_micros: u64,
    sinks: Vec<String>,
}

/// Rewritten with every settle.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RunNote {
    /// The time of the crawl at the note: microseconds since its epoch.
    pub now_micros: u64,
    /// The totals of all runs at that time.
    pub totals: Totals,
    /// The state of the run at that time.
    pub state: RunState,
}

/// Counts that later versions added: rewritten with every settle once one is not 0. Kept by name, so that
/// more can be added.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct MoreNote {
    other_step: u64,
    sitemaps: u64,
    finished_unix_ms: Option<u64>,
}

/// Written by the first run after one that did not drain. Hosts without work in that run keep a memo that may
/// be too old.
#[derive(Serialize, Deserialize)]
struct MaybeFetchedNote {
    until_micros: u64,
}

/// The time of a crawl at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockReading {
    /// When the crawl began: microseconds since 1970 by the wall clock.
    pub epoch_unix_micros: u64,
    /// The moment, counted from the beginning of the crawl.
    pub now: Timestamp,
}

/// The notes of earlier runs, before this run changes anything.
pub struct EarlierRuns {
    /// The names of this run's sinks.
    sinks: Vec<String>,
    crawl: Option<CrawlNote>,
    run: Option<RunNote>,
}

impl EarlierRuns {
    /// Reads the notes.
    ///
    /// # Errors
    /// When the earlier runs had other outputs or other items, or the store fails.
    pub fn read(frontier: &dyn Frontier, sinks: &[Box<dyn Sink>], layout: &str) -> Result<Self, CrawlError> {
        let sinks: Vec<String> = sinks.iter().map(|sink| sink.name().to_string()).collect();
        let crawl: Option<CrawlNote> = read(frontier, CRAWL)?;
        let run = last_run(frontier)?;
        if let (Some(crawl), Some(_)) = (&crawl, &run) {
            if crawl.sinks != sinks {
                return Err(CrawlError::OtherOutput { found: list(&crawl.sinks), wanted: list(&sinks) });
            }
            refuse_other_items(frontier, layout)?;
        }
        Ok(Self { sinks, crawl, run })
    }

    /// The last time that an earlier run noted; `None` if there was no run, or each was killed before its
    /// first commit.
    pub fn noted(&self) -> Option<ClockReading> {
        let (crawl, run) = self.crawl.as_ref().zip(self.run.as_ref())?;
        let now = Timestamp::from_micros(run.now_micros);
        Some(ClockReading { epoch_unix_micros: crawl.epoch_unix_micros, now })
    }

    /// Truncates the outputs to the positions that earlier runs committed, and notes that another run has
    /// begun.
    ///
    /// # Errors
    /// When an output cannot be truncated, or the store fails.
    pub fn begin_run(
        self,
        frontier: &mut dyn Frontier,
        sinks: &mut [Box<dyn Sink>],
        layout: &str,
        begins: ClockReading,
    ) -> Result<RunHistory, CrawlError> {
        let last = self.run.as_ref().map_or(RunState::Ended, |run| run.state);
        let history = match (&self.crawl, &self.run) {
            (Some(_), Some(run)) => {
                let note: Option<MaybeFetchedNote> = read(frontier, UNSURE)?;
                let maybe_fetched_until = match run.state.has_drained() {
                    true => note.map(|note| Timestamp::from_micros(note.until_micros)),
                    false => Some(begins.now),
                };
                let MoreNote { other_step, sitemaps, finished_unix_ms } = more(frontier)?;
                let totals = Totals { other_step, sitemaps, finished_unix_ms, ..run.totals };
                RunHistory { totals, maybe_fetched_until, resumed: true, was_over: None }
            }
            // There are no notes, or the run was killed before its first commit.
            _ => RunHistory {
                totals: Totals::default(),
                maybe_fetched_until: None,
                resumed: false,
                was_over: None,
            },
        };
        take_back(frontier, sinks, last)?;
        frontier.keep_note(LAYOUT, Bytes::copy_from_slice(layout.as_bytes()));
        if self.crawl.is_none() {
            let note = CrawlNote { epoch_unix_micros: begins.epoch_unix_micros, sinks: self.sinks };
            frontier.keep_note(CRAWL, write(&note));
        }
        if let Some(until) = history.maybe_fetched_until.filter(|_| !last.has_drained()) {
            frontier.keep_note(UNSURE, write(&MaybeFetchedNote { until_micros: until.as_micros() }));
        }
        note_run(frontier, begins.now, history.totals, RunState::Running);
        frontier.checkpoint()?;
        Ok(history)
    }
}

/// The note of the last run, if there was one.
///
/// # Errors
/// When the note cannot be read, or the store fails.
pub fn last_run(frontier: &dyn Frontier) -> Result<Option<RunNote>, CrawlError> {
    read(frontier, RUN)
}

/// An output holds items of one kind. Earlier versions of Opilio did not note the kind.
fn refuse_other_items(frontier: &dyn Frontier, wanted: &str) -> Result<(), CrawlError> {
    let Some(found) = frontier.note(LAYOUT)?.filter(|found| found != wanted.as_bytes()) else {
        return Ok(());
    };
    let words = |text: &str| if text.is_empty() { "other fields".to_owned() } else { text.to_owned() };
    let found = words(&String::from_utf8_lossy(&found));
    Err(CrawlError::OtherItems { found, wanted: words(wanted) })
}

/// Keeps the hosts of the seeds, so that a later run needs no seeds. The next commit writes them, at the
/// latest with the seeds.
pub fn keep_hosts_of_seeds(frontier: &mut dyn Frontier, seeds: &[Admission]) {
    let mut kept: HashSet<&Host> = HashSet::new();
    for seed in seeds {
        if let Admission::Queue(record) = seed
            && kept.insert(&record.host)
        {
            frontier.keep_listed(GROWN, record.host.as_str());
        }
    }
}

/// The hosts of the seeds of earlier runs, and those that seeds led to. They belong to the crawl.
///
/// # Errors
/// When the store fails.
pub fn grown(frontier: &dyn Frontier) -> Result<Vec<Host>, CrawlError> {
    let hosts = frontier.listed(GROWN)?;
    let host = |name: String| Host::of(&Url::parse(&format!("http://{name}/")).ok()?).ok();
    Ok(hosts.into_iter().filter_map(host).collect())
}

/// The shapes of the steps that earlier runs kept. Changes nothing, so a crawl whose steps the spider cannot
/// read stays as it is.
///
/// # Errors
/// When the spider's `Step` cannot read one of them, or the store fails.
pub fn shapes<Step: Serialize + DeserializeOwned>(
    frontier: &dyn Frontier,
) -> Result<HashSet<u64>, CrawlError> {
    let read = |json| Sample::read::<Step>(json).map_err(CrawlError::OtherSteps);
    frontier.listed(STEPS)?.into_iter().map(|json| Ok(read(json)?.shape)).collect()
}

/// Keeps steps of new shapes. The next commit writes them.
pub fn keep_samples(frontier: &mut dyn Frontier, shapes: &mut HashSet<u64>, samples: Vec<Sample>) {
    for Sample { shape, json } in samples {
        if shapes.len() < SHAPES_MAX && shapes.insert(shape) {
            frontier.keep_listed(STEPS, &json);
        }
    }
}

/// The name of the list with one step of each shape.
const STEPS: &str = "steps";

/// The name of the list of those hosts.
pub const GROWN: &str = "grown";

/// Which links the runs of a crawl followed.
#[derive(Serialize, Deserialize)]
struct ScopeNote {
    follow: Follow,
    /// The runs differed, so the queue may hold URLs of hosts that this run does not follow.
    differs: bool,
}

/// How the queued URLs of earlier runs are checked: by the URL itself, and also by its host if the runs
/// follow different links. Otherwise a host that joined the crawl by another rule stays.
///
/// # Errors
/// When the store fails.
pub fn judge_hosts(frontier: &mut dyn Frontier, follow: Follow, resumed: bool) -> Result<Hosts, CrawlError> {
    let differs = match read::<ScopeNote>(frontier, SCOPE)? {
        Some(note) => note.differs || note.follow != follow,
        // An earlier version of Opilio did not note it.
        None => resumed,
    };
    frontier.keep_note(SCOPE, write(&ScopeNote { follow, differs }));
    Ok(if differs { Hosts::Judged } else { Hosts::Kept })
}

/// Which failures of earlier runs are retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TryAgain {
    /// Those of parked hosts whose park is over.
    #[default]
    PutAside,
    /// All, except those of hosts that stated too long a wait which is not over. Hosts that were parked by
    /// strikes are requested again.
    Everything,
}

/// Makes failures of earlier runs due again.
///
/// # Errors
/// When the store fails.
pub fn try_again(
    frontier: &mut dyn Frontier,
    what: TryAgain,
    now: Timestamp,
    user_agent: &str,
) -> Result<(), CrawlError> {
    let mut put_aside = Vec::new();
    // The URLs of a host that is still parked would fail at once, without a request.
    let mut may = |host: &Host, memory: Option<&[u8]>| {
        let memo = memory.and_then(|bytes| memo::read(bytes, user_agent)).map(|(memo, _)| memo);
        let Some(until) = memo.and_then(|memo| memo.parked_until()).filter(|until| *until > now) else {
            return true;
        };
        if what == TryAgain::PutAside {
            return false;
        }
        let ours = memo.and_then(|memo| memo.unparked(now)).is_some();
        put_aside.push((host.clone(), until, ours));
        ours
    };
    let reason = match what {
        TryAgain::Everything => None,
        TryAgain::PutAside => Some(Reason::HostClosed),
    };
    let revived = frontier.retry_failed_for(reason, &mut may)?;
    let (lifted, stated): (Vec<_>, Vec<_>) = put_aside.into_iter().partition(|(_, _, ours)| *ours);
    for hosts in lifted.chunks(AT_ONCE) {
        unpark(frontier, hosts.iter().map(|(host, ..)| host), now, user_agent)?;
    }
    for (host, until, _) in stated.iter().take(HOSTS_SAID) {
        let wait = Duration::from_secs(until.since(now).as_secs());
        tracing::warn!(
            %host,
            ?wait,
            "in an earlier run the host asked for a wait that is not over: no request is sent to it before, and its failed URLs can be tried again afterwards"
        );
    }
    if stated.len() > HOSTS_SAID {
        tracing::warn!(
            hosts = stated.len() - HOSTS_SAID,
            "more hosts asked for a wait that is not over: the wait is kept for them, too"
        );
    }
    if revived > 0 {
        tracing::info!(revived, "URLs that failed in earlier runs are queued again");
    }
    Ok(())
}

/// Ends the park of hosts that strikes parked: each gets one probe. Its other holds stay as they are.
fn unpark<'a>(
    frontier: &mut dyn Frontier,
    hosts: impl Iterator<Item = &'a Host>,
    now: Timestamp,
    user_agent: &str,
) -> Result<(), CrawlError> {
    let mut memos = Vec::new();
    for host in hosts {
        let kept = frontier.host_memo(host)?;
        let read = kept.as_deref().and_then(|bytes| memo::read(bytes, user_agent));
        let Some((memo, rules)) = read.and_then(|(memo, rules)| Some((memo.unparked(now)?, rules))) else {
            continue;
        };
        memos.push((
            host.clone(),
            memo::write(memo, PerScheme::from_fn(|scheme| rules[scheme].as_ref()), user_agent),
        ));
        tracing::info!(%host, "an earlier run put this host aside: requests are sent to it again");
    }
    frontier.keep_hosts(memos)?;
    Ok(())
}

/// Makes pages due again that ended before an instant.
///
/// # Errors
/// When the store fails, or keeps no history.
pub fn refresh(frontier: &mut dyn Frontier, before: Timestamp) -> Result<(), CrawlError> {
    let mut refreshed = 0;
    loop {
        let some = frontier.refresh(before, AT_ONCE)?;
        refreshed += some;
        if some == 0 {
            break;
        }
    }
    tracing::info!(refreshed, "pages that earlier runs fetched are queued again");
    Ok(())
}

/// How far a run has come. A killed run never ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RunState {
    /// It has not ended.
    Running,
    /// All hosts are passivated, and all rows of the sinks are settled.
    Ended,
    /// All rows of the sinks are settled, but requests under way were given up.
    Undrained,
    /// All hosts are passivated, but sinks may hold rows that are not settled.
    Unwritten,
}

impl RunState {
    /// The state of a run that ends now, from two facts: all hosts are passivated, and all rows are written.
    #[must_use]
    pub fn at_the_end(drained: bool, written: bool) -> Self {
        match (drained, written) {
            (true, true) => Self::Ended,
            (false, true) => Self::Undrained,
            (true, false) => Self::Unwritten,
            (false, false) => Self::Running,
        }
    }

    /// Whether the memos of the hosts record all their requests.
    fn has_drained(self) -> bool {
        matches!(self, Self::Ended | Self::Unwritten)
    }

    /// Whether the sinks stand where the store says.
    fn has_written(self) -> bool {
        matches!(self, Self::Ended | Self::Undrained)
    }
}

/// Notes how far a run has come. The next commit writes it.
pub fn note_run(frontier: &mut dyn Frontier, now: Timestamp, totals: Totals, state: RunState) {
    let note = RunNote { now_micros: now.as_micros(), totals, state };
    frontier.keep_note(RUN, write(&note));
    let Totals { other_step, sitemaps, finished_unix_ms, .. } = totals;
    if other_step > 0 || sitemaps > 0 || finished_unix_ms.is_some() {
        let note = MoreNote { other_step, sitemaps, finished_unix_ms };
        frontier.keep_note(MORE, serde_json::to_vec(&note).unwrap_or_default().into());
    }
}

fn more(frontier: &dyn Frontier) -> Result<MoreNote, CrawlError> {
    // This version or a later one wrote it. Counts that cannot be read begin at 0.
    let note = frontier.note(MORE)?;
    Ok(note.and_then(|note| serde_json::from_slice(&note).ok()).unwrap_or_default())
}

/// Truncates each sink to its position at the last commit: 0 in a new crawl.
fn take_back(frontier: &dyn Frontier, sinks: &mut [Box<dyn Sink>], last: RunState) -> Result<(), CrawlError> {
    let positions = frontier.positions()?;
    for sink in sinks {
        let name: Arc<str> = sink.name();
        let committed = positions.iter().find(|at| at.sink == name).map_or(0, |at| at.position);
        if committed == 0 || sink.goes_back() {
            sink.begin(committed)?;
            continue;
        }
        if !last.has_written() {
            tracing::warn!(
                sink = %name,
                "rows of this output cannot be taken back: those written just before the last run was killed are written a second time"
            );
        }
        sink.go_on(committed)?;
    }
    Ok(())
}

fn read<T: DeserializeOwned>(frontier: &dyn Frontier, name: &'static str) -> Result<Option<T>, CrawlError> {
    let Some(note) = frontier.note(name)? else { return Ok(None) };
    postcard::from_bytes(&note).map(Some).map_err(|source| CrawlError::Note { name, source })
}

fn write<T: Serialize>(note: &T) -> Bytes {
    // postcard can encode every number and text. If that changes, reading reports it.
    postcard::to_stdvec(note).unwrap_or_default().into()
}

fn list(sinks: &[String]) -> String {
    if sinks.is_empty() { "nothing".to_owned() } else { sinks.join(", ") }
}

/// The most hosts that are named.
const HOSTS_SAID: usize = 10;
/// The notes of one commit.
const AT_ONCE: usize = 4_096;
const CRAWL: &str = "crawl";
const RUN: &str = "run";
const MORE: &str = "more";
const UNSURE: &str = "unsure";
const SCOPE: &str = "scope";
const LAYOUT: &str = "layout";
