//! Reads and writes the notes that a crawl keeps in its store from run to run. The start time and the outputs
//! are written once; the present time and the totals are written whenever results are stored.

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

/// The facts that earlier runs of the crawl noted in the store.
#[derive(Clone, Copy, Debug)]
pub struct RunHistory {
    /// The totals of all earlier runs.
    pub totals: Totals,
    /// Set if an earlier run was killed or gave up requests in flight: when the next run began. Before this
    /// instant a host may have received requests that its saved state (`HostMemo`) does not record.
    pub maybe_fetched_until: Option<Timestamp>,
    /// Whether there were earlier runs.
    pub resumed: bool,
    /// If the earlier runs left nothing to do: how many URLs they had met.
    pub was_over: Option<u64>,
}

/// The totals of all runs of a crawl: those that the store does not count itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Requests sent.
    pub requests: u64,
    /// Attempts beyond the first of a URL.
    pub retries: u64,
    /// Answers of 429 or 503.
    pub refusals: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Pages and redirects that were read from the cache.
    pub cached: u64,
    /// Items written.
    pub items: u64,
    /// The time during which the runs were running, added up.
    pub elapsed: Duration,
    /// URLs that were requested with another step than the first time. Stored in another note (`MORE`).
    #[serde(skip)]
    pub other_step: u64,
    /// Sitemaps that were read to their end. Stored in the note `MORE`, too.
    #[serde(skip)]
    pub sitemaps: u64,
    /// When the last URL ended; `None` while URLs are left. Stored in the note `MORE`, too.
    #[serde(skip)]
    pub finished_unix_ms: Option<u64>,
}

impl Totals {
    /// Returns these totals plus those of the present run, which has not finished the crawl yet.
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

/// The note that is written when the crawl begins, and never changed.
#[derive(Serialize, Deserialize)]
struct CrawlNote {
    epoch_unix_micros: u64,
    sinks: Vec<String>,
}

/// The note about the last run. It is written again whenever results are stored.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RunNote {
    /// When the note was written, in microseconds since the crawl began.
    pub now_micros: u64,
    /// The totals of all runs at that time.
    pub totals: Totals,
    /// How far the run had come at that time.
    pub state: RunState,
}

/// The counts that later versions of Opilio added. Written with the note about the run, once one of these
/// counts is not 0. Fields are stored by name, so that later versions can add more.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct MoreNote {
    other_step: u64,
    sitemaps: u64,
    finished_unix_ms: Option<u64>,
}

/// The note of the first run after a run that gave up requests in flight. A host without work in that run may
/// have a saved state (`HostMemo`) that is too old.
#[derive(Serialize, Deserialize)]
struct MaybeFetchedNote {
    until_micros: u64,
}

/// The time of a crawl at one moment, by the wall clock and by the crawl's own clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockReading {
    /// When the crawl began: microseconds since 1970 by the wall clock.
    pub epoch_unix_micros: u64,
    /// The moment itself, counted from the beginning of the crawl.
    pub now: Timestamp,
}

/// The notes of earlier runs, as they were before this run changed any of them.
pub struct EarlierRuns {
    /// The names of the sinks of this run.
    sinks: Vec<String>,
    crawl: Option<CrawlNote>,
    run: Option<RunNote>,
}

impl EarlierRuns {
    /// Reads the notes of earlier runs.
    ///
    /// # Errors
    /// When the earlier runs wrote to other outputs or had items of another kind, or the store fails.
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

    /// Returns the latest time that an earlier run noted. Returns `None` if there was no earlier run, or if
    /// each of them was killed before its first commit.
    pub fn noted(&self) -> Option<ClockReading> {
        let (crawl, run) = self.crawl.as_ref().zip(self.run.as_ref())?;
        let now = Timestamp::from_micros(run.now_micros);
        Some(ClockReading { epoch_unix_micros: crawl.epoch_unix_micros, now })
    }

    /// Truncates the outputs to the positions of the last commit, and notes that another run has begun.
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
            // Either no run noted anything, or the only run was killed before its first commit.
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

/// Returns the note about the last run, if there was one.
///
/// # Errors
/// When the note cannot be read, or the store fails.
pub fn last_run(frontier: &dyn Frontier) -> Result<Option<RunNote>, CrawlError> {
    read(frontier, RUN)
}

/// Fails if the earlier runs wrote items of another kind, since an output holds items of one kind only. The
/// earliest versions of Opilio did not note the kind.
fn refuse_other_items(frontier: &dyn Frontier, wanted: &str) -> Result<(), CrawlError> {
    let Some(found) = frontier.note(LAYOUT)?.filter(|found| found != wanted.as_bytes()) else {
        return Ok(());
    };
    let words = |text: &str| if text.is_empty() { "other fields".to_owned() } else { text.to_owned() };
    let found = words(&String::from_utf8_lossy(&found));
    Err(CrawlError::OtherItems { found, wanted: words(wanted) })
}

/// Notes the hosts of the seeds, so that a later run needs no seeds. They are on disk after the next commit,
/// which stores the seeds at the latest.
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

/// Returns the hosts that belong to the crawl by earlier runs: those of their seeds, and those to which seeds
/// were redirected.
///
/// # Errors
/// When the store fails.
pub fn grown(frontier: &dyn Frontier) -> Result<Vec<Host>, CrawlError> {
    let hosts = frontier.listed(GROWN)?;
    let host = |name: String| Host::of(&Url::parse(&format!("http://{name}/")).ok()?).ok();
    Ok(hosts.into_iter().filter_map(host).collect())
}

/// Returns the shapes (the names of variants and fields) of the steps that earlier runs stored. Does not change
/// the store, so a crawl whose steps this spider cannot read is left as it is.
///
/// # Errors
/// When the spider's `Step` cannot read one of the stored steps, or the store fails.
pub fn shapes<Step: Serialize + DeserializeOwned>(
    frontier: &dyn Frontier,
) -> Result<HashSet<u64>, CrawlError> {
    let read = |json| Sample::read::<Step>(json).map_err(CrawlError::OtherSteps);
    frontier.listed(STEPS)?.into_iter().map(|json| Ok(read(json)?.shape)).collect()
}

/// Notes one step of each new shape. They are on disk after the next commit.
pub fn keep_samples(frontier: &mut dyn Frontier, shapes: &mut HashSet<u64>, samples: Vec<Sample>) {
    for Sample { shape, json } in samples {
        if shapes.len() < SHAPES_MAX && shapes.insert(shape) {
            frontier.keep_listed(STEPS, &json);
        }
    }
}

/// The name of the list that holds one step of each shape.
const STEPS: &str = "steps";

/// The name of the list that holds the hosts of the seeds, and those to which seeds were redirected.
pub const GROWN: &str = "grown";

/// The note about which links the runs of the crawl followed.
#[derive(Serialize, Deserialize)]
struct ScopeNote {
    follow: Follow,
    /// Whether the runs had different settings. Then the queue may hold URLs of hosts that this run does not
    /// follow.
    differs: bool,
}

/// Returns how the queued URLs of earlier runs are checked against the scope. If the runs follow different
/// links, the host is checked as well as the URL; otherwise only the URL, so that hosts that were admitted by
/// another rule stay.
///
/// # Errors
/// When the store fails.
pub fn judge_hosts(frontier: &mut dyn Frontier, follow: Follow, resumed: bool) -> Result<Hosts, CrawlError> {
    let differs = match read::<ScopeNote>(frontier, SCOPE)? {
        Some(note) => note.differs || note.follow != follow,
        // The note is absent, because an earlier version of Opilio did not write it.
        None => resumed,
    };
    frontier.keep_note(SCOPE, write(&ScopeNote { follow, differs }));
    Ok(if differs { Hosts::Judged } else { Hosts::Kept })
}

/// Which failures of earlier runs are retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TryAgain {
    /// The URLs of parked hosts whose time is over.
    #[default]
    PutAside,
    /// All failures, except those of hosts that asked for a longer wait than allowed, while that wait lasts.
    /// Hosts that were parked after failures in a row are requested again.
    Everything,
}

/// Queues failures of earlier runs again, as far as the setting says.
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
    // Leaves out hosts that are still parked: their URLs would fail at once, without a request.
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
            "in an earlier run the host asked for a wait that is not over: no request is sent to it until then, and its failed URLs can be tried again afterwards"
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

/// Ends the parking of hosts that were parked after failures in a row: each gets one request as a test. Other
/// waits of these hosts stay as they are.
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

/// Queues the pages again that ended before an instant.
///
/// # Errors
/// When the store fails, or was opened without a history.
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

/// How far a run has come. The note of a killed run stays at `Running`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RunState {
    /// The run has not ended.
    Running,
    /// The run has ended: the state of every host is saved, and the sinks have written all rows.
    Ended,
    /// The sinks have written all rows, but requests in flight were given up, so the saved states of hosts do
    /// not record them.
    Undrained,
    /// The state of every host is saved, but the sinks may hold rows that the store does not count.
    Unwritten,
}

impl RunState {
    /// Returns the state of a run that ends now. The two facts are whether the state of every host is saved,
    /// and whether all rows are written.
    #[must_use]
    pub fn at_the_end(drained: bool, written: bool) -> Self {
        match (drained, written) {
            (true, true) => Self::Ended,
            (false, true) => Self::Undrained,
            (true, false) => Self::Unwritten,
            (false, false) => Self::Running,
        }
    }

    /// Returns whether the saved states of the hosts record all requests that were sent.
    fn has_drained(self) -> bool {
        matches!(self, Self::Ended | Self::Unwritten)
    }

    /// Returns whether the outputs end at the positions that the store has.
    fn has_written(self) -> bool {
        matches!(self, Self::Ended | Self::Undrained)
    }
}

/// Notes how far a run has come. The note is on disk after the next commit.
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
    // A later version may have written the note. If it cannot be read, its counts begin at 0.
    let note = frontier.note(MORE)?;
    Ok(note.and_then(|note| serde_json::from_slice(&note).ok()).unwrap_or_default())
}

/// Truncates the output of each sink to its position at the last commit: to 0 in a new crawl.
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
    // postcard can encode every number and text. If a note should fail to be encoded, reading it reports that.
    postcard::to_stdvec(note).unwrap_or_default().into()
}

fn list(sinks: &[String]) -> String {
    if sinks.is_empty() { "nothing".to_owned() } else { sinks.join(", ") }
}

/// The most hosts that a log line names.
const HOSTS_SAID: usize = 10;
/// The most hosts or pages that are changed in one commit.
const AT_ONCE: usize = 4_096;
const CRAWL: &str = "crawl";
const RUN: &str = "run";
const MORE: &str = "more";
const UNSURE: &str = "unsure";
const SCOPE: &str = "scope";
const LAYOUT: &str = "layout";
