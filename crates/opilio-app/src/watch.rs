//! Runs a crawl, shows its progress, and stops it on a signal.

use std::time::Duration;

use opilio_engine::{Crawl, CrawlError, CrawlReport, Crawler, Spider};
use tokio::sync::oneshot;

use crate::progress::Display;
use crate::signal::{Signal, Signals};

/// The end of a crawl that was watched.
#[derive(Debug)]
pub struct Watched {
    /// The report of the crawl, or `None` if the crawl was aborted before it had a report.
    pub report: Option<CrawlReport>,
    /// The signal that asked the crawl to stop, if there was one.
    pub signal: Option<Signal>,
}

/// Runs a crawl to its end. Prints `news`, if any, when the store is opened and the crawl has started. The first
/// signal makes the crawl stop gently (requests in flight end), the second aborts it.
///
/// # Errors
/// When the crawl fails.
pub fn run<S: Spider>(
    crawler: Crawler<S>,
    display: &Display,
    news: Option<&str>,
) -> Result<Watched, CrawlError> {
    run_started_by(Box::new(move || crawler.start()), display, news)
}

/// Starts a crawl. A trait object, so that what follows is compiled here, and not with each spider's program.
pub(crate) type StartCrawl = Box<dyn FnOnce() -> Result<Crawl, CrawlError> + Send>;

/// Does the same as [`run`] for a crawl that a function starts.
pub(crate) fn run_started_by(
    start: StartCrawl,
    display: &Display,
    news: Option<&str>,
) -> Result<Watched, CrawlError> {
    let thread = |source| CrawlError::Thread { name: "main", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(thread)?;
    let watched = runtime.block_on(async {
        // Signals are caught before the crawl begins, so that no signal is missed.
        let signals = Signals::catch().map_err(thread)?;
        watch(start, signals, display, news).await
    });
    display.end();
    watched
}

async fn watch(
    start: StartCrawl,
    mut signals: Signals,
    display: &Display,
    news: Option<&str>,
) -> Result<Watched, CrawlError> {
    // Starting a crawl may take a while: the store recovers, and failed URLs and old pages are queued again. Each
    // step is a commit, so the process may be stopped at any moment.
    let (opened, mut opening) = oneshot::channel();
    std::thread::Builder::new()
        .name("open".into())
        .spawn(move || opened.send(start()))
        .map_err(|source| CrawlError::Thread { name: "open", source })?;
    let mut signal = None;
    let mut crawl = loop {
        tokio::select! {
            started = &mut opening => break started.unwrap_or(Err(CrawlError::Died { name: "open" }))?,
            again = signals.next() => {
                if signal.replace(again).is_some() {
                    return Ok(Watched { report: None, signal });
                }
                display.say(STOPPING);
            }
            () = tokio::time::sleep(OPEN_MAX), if signal.is_some() => {
                return Ok(Watched { report: None, signal });
            }
        }
    };
    news.into_iter().for_each(|news| display.say(news));
    let handle = crawl.handle();
    if signal.is_some() {
        handle.stop();
    }
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            result = &mut crawl => {
                return result.map(|report| Watched { report: Some(report), signal });
            }
            again = signals.next() => {
                if signal.is_some() {
                    handle.abort();
                    let report = tokio::time::timeout(ABORT_MAX, &mut crawl).await;
                    let report = report.ok().transpose()?;
                    return Ok(Watched { report, signal: Some(again) });
                }
                signal = Some(again);
                handle.stop();
                display.say(STOPPING);
            }
            _ = ticks.tick() => display.show(&handle.progress()),
        }
    }
}

/// The time between two updates of the progress on the screen.
const TICK: Duration = Duration::from_millis(200);
const STOPPING: &str = "stopping: requests in flight may end (within 10 s); a second signal ends them";
/// The longest time that starting a crawl may go on after a signal has asked the crawl to stop.
const OPEN_MAX: Duration = Duration::from_secs(5);
/// The longest time that an aborted crawl may take to return its report.
const ABORT_MAX: Duration = Duration::from_secs(2);
