//! Reads and writes the notes (small named values) that a crawl keeps in its store from run to run. The start time
//! and the outputs are written once; the present time and the totals are written whenever results are stored.

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
    /// If an earlier run was killed or gave up requests in flight: the time at which the run after it began.
    /// Otherwise `None`. Before this time a host may have received requests that its saved state (`HostMemo`)
    /// does not record.
    pub maybe_fetched_until: Option<Timestamp>,
    /// Whether there were earlier runs.
    pub resumed: bool,
    /// If the earlier runs left nothing to do: the number of distinct URLs that they had found. Otherwise `None`.
    pub was_over: Option<u64>,
}

/// The totals of all runs of a crawl. Only counts that the store itself does not keep are here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// The number of requests sent.
    pub requests: u64,
    /// The number of attempts beyond the first attempt of each URL.
    pub retries: u64,
    /// The number of answers with the status 429 or 503.
    pub refusals: u64,
    /// The number of body bytes received.
    pub bytes: u64,
    /// The number of pages and redirects that were read from the cache.
    pub cached: u64,
    /// The number of items that all outputs have written.
    pub items: u64,
    /// The time for which all runs together were running. The time between runs is not counted.
    pub elapsed: Duration,
    /// The number of URLs that were requested a second time with another step. Stored in the note `MORE`, not with
    /// the other totals.
    #[serde(skip)]
    pub other_step: u64,
    /// The number of sitemaps that were read to their end. Stored in the note `MORE`.
    #[serde(skip)]
    pub sitemaps: u64,
    /// The time at which the last URL ended, in milliseconds since 1970; `None` while URLs are left. Stored in the
    /// note `MORE`.
    #[serde(skip)]
    pub finished_unix_ms: Option<u64>,
}

impl Totals {
    /// Returns the sums of these totals and those of the present run. The result has no finish time, since the
    /// present run has not finished the crawl yet.
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

/// The note that is written when the crawl begins, and is never changed.
#[derive(Serialize, Deserialize)]
struct CrawlNote {
    epoch_unix_micros: u64,
    sinks: Vec<String>,
}

/// The note about the last run. It is written again whenever results are stored.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RunNote {
    /// The time at which the note was written, in microseconds since the crawl began.
    pub now_micros: u64,
    /// The totals of all runs at that time.
    pub totals: Totals,
    /// The state of the run at that time: still running, or one of the ways in which it can end.
    pub state: RunState,
}

/// The counts that later versions of Opilio added. They are written together with the note about the run, once one of
/// them is not 0. Fields are stored by name, so that later versions can add more.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct MoreNote {
    other_step: u64,
    sitemaps: u64,
    finished_unix_ms: Option<u64>,
}

/// The note of the first run after a run that gave up requests in flight. If a host had no work since then, its saved
/// state (`HostMemo`) may lack those requests.
#[derive(Serialize, Deserialize)]
struct MaybeFetchedNote {
    until_micros: u64,
}

/// A moment of a crawl, by the wall clock and by the crawl's own clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockReading {
    /// The time at which the crawl began, by the wall clock: microseconds since 1970.
    pub epoch_unix_micros: u64,
    /// The moment itself, counted from the beginning of the crawl.
    pub now: Timestamp,
}

/// The notes of earlier runs, as they were before the present run changed any of them.
pub struct EarlierRuns {
    /// The names of the outputs of the present run.
    sinks: Vec<String>,
    crawl: Option<CrawlNote>,
    run: Option<RunNote>,
}

impl EarlierRuns {
    /// Reads the notes of earlier runs.
    ///
    /// # Errors
    /// When the earlier runs wrote to other outputs or had items of another kind, or when the store fails.
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

    /// Returns the latest time that an earlier run noted. Returns `None` if there was no earlier run, or if every
    /// earlier run was killed before its first commit.
    pub fn noted(&self) -> Option<ClockReading> {
        let (crawl, run) = self.crawl.as_ref().zip(self.run.as_ref())?;
        let now = Timestamp::from_micros(run.now_micros);
        Some(ClockReading { epoch_unix_micros: crawl.epoch_unix_micros, now })
    }

    /// Truncates the outputs to their lengths at the last commit, and notes that another run has begun.
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
            // There was no earlier run, or the only earlier run was killed before its first commit.
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

/// Returns an error if the earlier runs wrote items of another kind, since an output holds items of one kind only.
/// The earliest versions of Opilio did not note the kind; then no error is returned.
fn refuse_other_items(frontier: &dyn Frontier, wanted: &str) -> Result<(), CrawlError> {
    let Some(found) = frontier.note(LAYOUT)?.filter(|found| found != wanted.as_bytes()) else {
        return Ok(());
    };
    let words = |text: &str| if text.is_empty() { "other fields".to_owned() } else { text.to_owned() };
    let found = words(&String::from_utf8_lossy(&found));
    Err(CrawlError::OtherItems { found, wanted: words(wanted) })
}

/// Notes the hosts of the seeds, so that a later run knows them without the seeds. The notes are on disk after the
/// next commit, which also stores the seeds.
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

/// Returns the hosts that earlier runs added to the crawl: the hosts of their seeds, and the hosts to which seeds
/// were redirected.
///
/// # Errors
/// When the store fails.
pub fn grown(frontier: &dyn Frontier) -> Result<Vec<Host>, CrawlError> {
    let hosts = frontier.listed(GROWN)?;
    let host = |name: String| Host::of(&Url::parse(&format!("http://{name}/")).ok()?).ok();
    Ok(hosts.into_iter().filter_map(host).collect())
}

/// Returns the shapes (hashes of the names of variants and fields) of the steps that earlier runs stored. Does not
/// change the store. So if this spider cannot read the steps of a crawl, the crawl is left as it is.
///
/// # Errors
/// When the spider's `Step` cannot read one of the stored steps, or the store fails.
pub fn shapes<Step: Serialize + DeserializeOwned>(
    frontier: &dyn Frontier,
) -> Result<HashSet<u64>, CrawlError> {
    let read = |json| Sample::read::<Step>(json).map_err(CrawlError::OtherSteps);
    frontier.listed(STEPS)?.into_iter().map(|json| Ok(read(json)?.shape)).collect()
}

/// Notes one step of each new shape. The notes are on disk after the next commit.
pub fn keep_samples(frontier: &mut dyn Frontier, shapes: &mut HashSet<u64>, samples: Vec<Sample>) {
    for Sample { shape, json } in samples {
        if shapes.len() < SHAPES_MAX && shapes.insert(shape) {
            frontier.keep_listed(STEPS, &json);
        }
    }
}

/// The name of a list in the store, which holds one step of each shape (the set of a step's names of variants and
/// fields) as an example, up to `SHAPES_MAX` of them.
const STEPS: &str = "steps";

/// The name of the list in the store that holds the hosts of the seeds and the hosts to which seeds were redirected.
pub const GROWN: &str = "grown";

/// The note that says which links the runs of the crawl followed.
#[derive(Serialize, Deserialize)]
struct ScopeNote {
    follow: Follow,
    /// Whether the runs had different settings. Then the queue may hold URLs of hosts that this run does not follow.
    differs: bool,
}

/// Returns how the queued URLs of earlier runs are checked against the scope. If the runs had different `Follow`
/// settings, the hosts of these URLs are checked, too. Otherwise the hosts are not checked, so that hosts which were
/// admitted by another rule stay in the crawl.
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

/// Says which failures of earlier runs are retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TryAgain {
    /// Only the URLs of parked hosts are retried, once the host's wait is over.
    #[default]
    PutAside,
    /// All failures are retried, except those of hosts that asked for a longer wait than allowed, as long as that
    /// wait lasts. Hosts that were parked because of failures in a row are requested again.
    Everything,
}

/// Queues those failures of earlier runs again that `what` names.
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
    // Leaves out hosts that are still parked, since their URLs would fail at once, without a request.
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

/// Ends the parking of hosts that were parked because of failures in a row: the next request to each of them is a
/// test. Any other wait of these hosts stays as it is.
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
        tracing::info!(%host, "an earlier run stopped all requests to this host after failures in a row: requests are sent to it again");
    }
    frontier.keep_hosts(memos)?;
    Ok(())
}

/// Queues again all pages that were fetched before the time `before`.
///
/// # Errors
/// When the store fails, or was opened without a history.
pub fn refresh(frontier: &mut dyn Frontier, before: Timestamp) -> Result<u64, CrawlError> {
    let mut refreshed = 0;
    loop {
        let some = frontier.refresh(before, AT_ONCE)?;
        refreshed += some;
        if some == 0 {
            break;
        }
    }
    tracing::info!(refreshed, "pages that earlier runs fetched are queued again");
    Ok(refreshed)
}

/// Says how far a run has come. The note of a killed run stays at `Running`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RunState {
    /// The run has not ended.
    Running,
    /// The run has ended: the state of every host is saved, and the outputs have written all rows.
    Ended,
    /// The run has ended, and the outputs have written all rows. But requests in flight were given up, so the saved
    /// states of their hosts do not record these requests.
    Undrained,
    /// The run has ended, and the state of every host is saved. But the outputs may hold rows that the store
    /// does not count.
    Unwritten,
}

impl RunState {
    /// Returns the state of a run that ends now. `drained` says whether the state of every host is saved, and
    /// `written` whether all rows are written.
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

    /// Returns whether the outputs hold no more rows than the store counts.
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
    // A later version may have written this note in another form. If it cannot be read, its counts begin at 0.
    let note = frontier.note(MORE)?;
    Ok(note.and_then(|note| serde_json::from_slice(&note).ok()).unwrap_or_default())
}

/// Truncates each output to its length at the last commit. In a new crawl this length is 0.
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
                "this output cannot be truncated: the rows that were written just before the last run was killed are written a second time"
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
    // postcard can encode all values of this type. If it fails nevertheless, the note is empty, and the next run
    // reports that it cannot be read.
    postcard::to_stdvec(note).unwrap_or_default().into()
}

fn list(sinks: &[String]) -> String {
    if sinks.is_empty() { "nothing".to_owned() } else { sinks.join(", ") }
}

/// The most hosts that are named in log lines, one line each. Further hosts are only counted.
const HOSTS_SAID: usize = 10;
/// The most hosts or pages that are changed in one commit, so that a commit stays small.
const AT_ONCE: usize = 4_096;
const CRAWL: &str = "crawl";
const RUN: &str = "run";
const MORE: &str = "more";
const UNSURE: &str = "unsure";
const SCOPE: &str = "scope";
const LAYOUT: &str = "layout";
