//! Sets up and runs a spider's crawl of a scripted web in virtual time. The crawl can be killed and resumed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use opilio::core::Host;
use opilio::export::{Collect, Collected};
use opilio::{CrawlError, CrawlReport, Crawler, HostPolicy, HostSettings, JsonLines, Spider};
use opilio_cassette::{Cassette, CassetteDraft, Recording, Tape};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use url::Url;

use crate::again;
use crate::error::TestCrawlError;
use crate::request_limit::RequestLimit;
use crate::run::TestRun;
use crate::stage::WebStage;
use crate::web::Web;

/// Creates the crawl of a spider for a test. It has the default settings of [`Crawler`], and each run of the
/// test gives the same result.
///
/// See the [crate](crate) for an example.
pub fn crawl<S: Spider>(spider: S) -> TestCrawl<S> {
    TestCrawl {
        spider: Arc::new(spider),
        web: Web::new(),
        cassette: None,
        keep_secrets: false,
        secret_names: Vec::new(),
        settings: Vec::new(),
        kills: Vec::new(),
        rest: Duration::ZERO,
        requests_max: REQUESTS_MAX,
    }
}

/// A crawl in a test: its web, the crawler's settings, and the kills.
#[must_use = "a test crawl does nothing until it runs"]
pub struct TestCrawl<S: Spider> {
    spider: Arc<S>,
    web: Web,
    cassette: Option<PathBuf>,
    keep_secrets: bool,
    secret_names: Vec<String>,
    settings: Vec<SetUp<S>>,
    kills: Vec<Kill>,
    rest: Duration,
    requests_max: usize,
}

/// Sets up a crawler. It is called for each run, since a run consumes its crawler.
type SetUp<S> = Box<dyn Fn(Crawler<S>) -> Crawler<S>>;

/// The moment at which a run is killed, counted from the start of the first run.
#[derive(Clone, Copy, Debug)]
enum Kill {
    Requests(usize),
    Time(Duration),
}

/// The way in which a run ended.
enum RunEnd {
    Over(Box<Result<CrawlReport, CrawlError>>),
    Killed,
    CutOff,
}

impl<S: Spider> TestCrawl<S> {
    /// Sets the web that the crawl fetches from.
    pub fn on(mut self, web: Web) -> Self {
        self.web = web;
        self
    }

    /// Replays a cassette, in virtual time and without sending anything: a WARC file that
    /// [`TestCrawl::record`] or another tool has written. A request is found by its method, URL, body and
    /// session; several answers to equal requests are given in order. A request that is not in the cassette
    /// fails, and so does the test.
    ///
    /// With `OPILIO_RECORD=1` in the environment, the cassette is first recorded over the network, under the
    /// politeness settings of the crawl.
    ///
    /// Git must not change the line ends of a cassette: write `*.warc -text` into `.gitattributes`.
    ///
    /// ```no_run
    /// # use opilio_testkit::prelude::*;
    /// # fn test<S: Spider>(spider: S) {
    /// let run = crawl(spider).replaying("tests/cassettes/shop.warc").run();
    /// run.assert_finished();
    /// # }
    /// ```
    pub fn replaying(mut self, cassette: impl Into<PathBuf>) -> Self {
        self.cassette = Some(cassette.into());
        self
    }

    /// Records secrets, too. By default a cassette has no logins (user info, `Authorization`), no cookies, no
    /// header fields that the crawl marks as secret, and no values of parameters, forms, JSON and header fields whose
    /// names look like those of passwords, keys, signatures, tokens or session ids. The content of pages is always
    /// recorded, even content that only a logged-in user sees.
    pub fn keeping_secrets(mut self) -> Self {
        self.keep_secrets = true;
        self
    }

    /// Adds a name of secrets: the values of parameters, form fields, JSON fields and header fields with this name
    /// are not recorded, either.
    pub fn secret_name(mut self, name: impl Into<String>) -> Self {
        self.secret_names.push(name.into());
        self
    }

    /// Sets the policy of every host, as [`Crawler::host`] does.
    pub fn host(self, policy: HostPolicy) -> Self {
        self.with(move |crawler| crawler.host(HostSettings::from(policy.clone())))
    }

    /// Changes any setting of the crawler. The function is called for each run, since a run consumes its
    /// crawler.
    ///
    /// ```
    /// # use opilio_testkit::prelude::*;
    /// # fn set_up<S: Spider>(spider: S) -> TestCrawl<S> {
    /// crawl(spider).with(|crawler| crawler.scope(Scope::new().max_depth(3)).no_cookies())
    /// # }
    /// ```
    pub fn with(mut self, set: impl Fn(Crawler<S>) -> Crawler<S> + 'static) -> Self {
        self.settings.push(Box::new(set));
        self
    }

    /// Ends the crawl after this many pages, as [`Crawler::max_pages`] does. A replay of a cassette that was recorded
    /// with such a limit needs the same limit, because the cassette has no further pages.
    pub fn max_pages(self, pages: u64) -> Self {
        self.with(move |crawler| crawler.max_pages(pages))
    }

    /// Kills the crawl when this many requests have arrived, those for robots.txt included, and resumes it
    /// from its state directory. Uncommitted data is lost, as if the process were killed. Each further call
    /// kills one more run; the number always counts the requests of all runs.
    pub fn killed_after(mut self, requests: usize) -> Self {
        self.kills.push(Kill::Requests(requests));
        self
    }

    /// Kills the crawl this long after its start, and resumes it, as [`TestCrawl::killed_after`] does.
    pub fn killed_at(mut self, time: Duration) -> Self {
        self.kills.push(Kill::Time(time));
        self
    }

    /// Sets how much time passes after each kill, before the crawl is resumed.
    pub fn resumed_after(mut self, time: Duration) -> Self {
        self.rest = time;
        self
    }

    /// Sets the most requests that the crawl may send (10,000 by default). If it wants to send more, it
    /// counts as endless and the test fails.
    pub fn max_requests(mut self, requests: usize) -> Self {
        self.requests_max = requests;
        self
    }

    /// Runs the crawl to its end, in virtual time. Call it from a plain `#[test] fn`, not from an async test:
    /// it starts a runtime of its own.
    ///
    /// # Panics
    /// When the crawl cannot run, is endless, or ends before one of its kills; when the cassette cannot be
    /// used, or lacks a request.
    #[track_caller]
    pub fn run(self) -> TestRun {
        match self.try_run() {
            Ok(run) => {
                let (unknown, command) = (run.unknown.join("\n  "), again::recording_command());
                assert!(
                    unknown.is_empty(),
                    "requests that the cassette has no answer to:\n  {unknown}\nopilio record uses the settings of \
                     opilio.toml, this command those of the test.\nrecord them: {command}"
                );
                run
            }
            Err(error) => panic!("the crawl could not be run: {}", in_full(&error)),
        }
    }

    /// Runs the crawl as [`TestCrawl::run`] does, but returns an error if the crawl cannot run, and does not
    /// panic if the cassette lacks a request: the requests that the cassette lacks fail.
    ///
    /// # Errors
    /// As [`Crawler::run`]; when the cassette cannot be used.
    ///
    /// # Panics
    /// When the crawl is endless, or ends before one of its kills; within a runtime.
    #[track_caller]
    pub fn try_run(mut self) -> Result<TestRun, TestCrawlError> {
        refuse_a_runtime();
        let (home, stage) = self.stage()?;
        let output = ItemsAt::new(!self.kills.is_empty());
        let kills = std::mem::take(&mut self.kills);
        for (nth, kill) in kills.iter().enumerate() {
            match self.run_once(&stage, &output, Some(*kill))? {
                RunEnd::Killed => stage.pass(self.rest),
                RunEnd::CutOff => self.panic_at(&stage),
                RunEnd::Over(ended) => {
                    let report = (*ended)?;
                    panic!("the crawl was over before kill {} ({kill:?}): {report}", nth + 1);
                }
            }
        }
        let report = match self.run_once(&stage, &output, None)? {
            RunEnd::Over(ended) => (*ended)?,
            RunEnd::Killed | RunEnd::CutOff => self.panic_at(&stage),
        };
        let crawler = self.crawler(&output)?;
        let mut log = stage.log();
        log.policies =
            stage.hosts().into_iter().map(|host| (host.clone(), crawler.policy_of(&host).clone())).collect();
        log.home = home;
        Ok(TestRun { report, items: output.items(), log, took: stage.now(), unknown: stage.unknown() })
    }

    /// Crawls the real web, in real time, and writes all exchanges to a cassette, also redirects, robots.txt,
    /// POSTs and failures. Asks for uncompressed answers, so that people can read the file. A crawl that fails leaves
    /// a cassette of what came until then. A cassette that has pages is not replaced by a recording that has none.
    ///
    /// # Errors
    /// When the file cannot be written, the crawl cannot run, or the recording has no page and the cassette has one.
    ///
    /// # Panics
    /// When it is called within a runtime, as [`TestCrawl::run`]; when the crawl is endless: see
    /// [`TestCrawl::max_requests`].
    #[track_caller]
    pub fn record(&self, cassette: impl AsRef<Path>) -> Result<CrawlReport, TestCrawlError> {
        refuse_a_runtime();
        let path = cassette.as_ref();
        let crawl = |source| TestCrawlError::Record { path: path.to_owned(), source };
        let draft = CassetteDraft::open(path)?;
        let names = self.secret_names.iter().map(String::as_str);
        let recording = Recording::new(self.keep_secrets).secret_names(names);
        let (rows, _) = Collect::new();
        let crawler =
            self.settings.iter().fold(Crawler::shared(self.spider.clone()), |crawler, set| set(crawler));
        let (record, limit) = (recording.around(), RequestLimit::new(self.requests_max));
        let limited = limit.clone();
        let crawler = crawler.export(rows).transport_around(move |inner| limited.around(record(inner)));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|source| crawl(CrawlError::Thread { name: "test", source }))?;
        let ended = runtime.block_on(async {
            let mut crawl = crawler.start()?;
            tokio::select! {
                biased;
                ended = &mut crawl => ended,
                () = limit.exceeded() => {
                    crawl.handle().abort();
                    let cassette = recording.cassette();
                    let last = cassette.exchanges().iter().rev().map(|exchange| exchange.request.key.describe());
                    panic_without_end(self.requests_max, last)
                }
            }
        });
        let cassette = recording.cassette();
        let is_void = cassette.exchanges().is_empty() && ended.is_err();
        let saved = if is_void { Ok(()) } else { draft.save(&cassette) };
        let report = ended.map_err(crawl)?;
        saved?;
        Ok(report)
    }

    /// Makes the stage, which plays the web of the crawl. Returns it with the home (the host to which plain
    /// paths belong).
    fn stage(&mut self) -> Result<(Option<Host>, WebStage), TestCrawlError> {
        let seed = self.spider.seeds().first().map(|seed| seed.target().to_owned());
        let Some(path) = self.cassette.clone() else {
            let (home, sites) = std::mem::take(&mut self.web).build(seed.as_deref());
            return Ok((home, WebStage::of_sites(sites)));
        };
        if again::is_recording() {
            self.record(&path)?;
        }
        let cassette = Cassette::load(&path, &again::recording_command())?;
        if let Some(warning) = cassette.warning() {
            again::warn(warning);
        }
        let home = seed.and_then(|seed| Host::of(&Url::parse(&seed).ok()?).ok());
        Ok((home, WebStage::of_tape(Tape::new(path, cassette, again::recording_command()))))
    }

    fn crawler(&self, output: &ItemsAt) -> Result<Crawler<S>, CrawlError> {
        let crawler = Crawler::shared(self.spider.clone()).seed(CHANCE);
        let crawler = self.settings.iter().fold(crawler, |crawler, set| set(crawler));
        Ok(match output {
            ItemsAt::Memory(_) => crawler,
            ItemsAt::Directory(dir) => {
                let rows = JsonLines::create(items_in(dir.path()))?;
                crawler.export(rows).state(dir.path().join("state")).resume()
            }
        })
    }

    fn run_once(&self, stage: &WebStage, output: &ItemsAt, kill: Option<Kill>) -> Result<RunEnd, CrawlError> {
        let mut crawler = self.crawler(output)?.began_at(stage.wall()).transport(stage.transports());
        if let ItemsAt::Memory(collected) = output {
            let (collect, rows) = Collect::new();
            crawler = crawler.export(collect);
            *collected.borrow_mut() = Some(rows);
        }
        let requests_max = match kill {
            Some(Kill::Requests(requests)) => requests.min(self.requests_max),
            Some(Kill::Time(_)) | None => self.requests_max,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.map_err(|source| CrawlError::Thread { name: "test", source })?;
        let local = LocalSet::new();
        let end = local.block_on(&runtime, async {
            let cut = stage.begin_run(requests_max);
            let end = run_until(crawler, &cut, kill, stage).await;
            stage.end_run();
            end
        });
        drop(local);
        Ok(match end {
            RunEnd::CutOff if matches!(kill, Some(Kill::Requests(requests)) if requests < self.requests_max) => {
                RunEnd::Killed
            }
            end => end,
        })
    }

    #[track_caller]
    fn panic_at(&self, stage: &WebStage) -> ! {
        let log = stage.log();
        panic_without_end(self.requests_max, log.requests().iter().rev().map(|request| request.describe()))
    }
}

/// Fails the test, since the crawl wants to send more requests than it may. `last` are its requests, in words, the last
/// one first.
#[track_caller]
fn panic_without_end(requests_max: usize, last: impl Iterator<Item = String>) -> ! {
    let last: Vec<_> = last.take(NAMED).collect();
    panic!(
        "the crawl sent {requests_max} requests and had more to send: it may have no end (see \
         TestCrawl::max_requests). The last ones:\n  {}",
        last.join("\n  ")
    );
}

/// Runs a crawl until it ends, its web is cut off, or its time is over. If the returned future is dropped,
/// the crawl ends at once.
async fn run_until<S: Spider>(
    crawler: Crawler<S>,
    cut: &Notify,
    kill: Option<Kill>,
    stage: &WebStage,
) -> RunEnd {
    let time = async {
        match kill {
            Some(Kill::Time(at)) => tokio::time::sleep(at.saturating_sub(stage.now())).await,
            Some(Kill::Requests(_)) | None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = cut.notified() => RunEnd::CutOff,
        () = time => RunEnd::Killed,
        ended = crawler.run_here() => RunEnd::Over(Box::new(ended)),
    }
}

/// Panics within a runtime, since a runtime cannot be started there.
#[track_caller]
fn refuse_a_runtime() {
    let is_within = tokio::runtime::Handle::try_current().is_ok();
    assert!(
        !is_within,
        "a test crawl has a runtime of its own: write #[test] fn instead of #[tokio::test] async fn"
    );
}

/// The place where the items of all runs are kept.
enum ItemsAt {
    /// In memory, for a crawl that is not killed: the items of its only run.
    Memory(std::cell::RefCell<Option<Collected>>),
    /// In a directory, with the state of a crawl that is killed.
    Directory(TempDir),
}

impl ItemsAt {
    #[track_caller]
    fn new(is_kept: bool) -> Self {
        if !is_kept {
            return Self::Memory(std::cell::RefCell::default());
        }
        match tempfile::tempdir() {
            Ok(dir) => Self::Directory(dir),
            Err(error) => panic!("there is no room for the state of a crawl: {error}"),
        }
    }

    #[track_caller]
    fn items(&self) -> Vec<Value> {
        let text = match self {
            Self::Memory(collected) => collected.borrow().as_ref().map(Collected::text).unwrap_or_default(),
            Self::Directory(dir) => match std::fs::read_to_string(items_in(dir.path())) {
                Ok(text) => text,
                Err(error) => panic!("read the items of the crawl: {error}"),
            },
        };
        let value = |line: &str| match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => panic!("an item of the crawl is no JSON ({error}): {line}"),
        };
        text.lines().map(value).collect()
    }
}

fn items_in(dir: &Path) -> std::path::PathBuf {
    dir.join("items.jsonl")
}

/// Returns the text of an error, followed by those of its sources.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// The most requests of a crawl by default: a crawl that wants to send more counts as endless.
const REQUESTS_MAX: usize = 10_000;
/// The most requests that the message of a failed test names.
const NAMED: usize = 5;
/// The seed of all jitter. It is fixed, so that each run of a test gives the same result.
const CHANCE: u64 = 108;
