//! Runs a crawl: shows where it stands, and stops it when asked to.

use std::time::Duration;

use opilio::{CrawlError, CrawlReport, Crawler, Spider};

use crate::crawl::progress::Display;
use crate::signal::{Signal, Signals};

/// How a crawl was watched to its end.
#[derive(Debug)]
pub(crate) struct Watched {
    /// None when it had to be left before it could say anything.
    pub(crate) report: Option<CrawlReport>,
    /// What asked it to stop, if anything did.
    pub(crate) signal: Option<Signal>,
}

/// Runs a crawl to its end. The first signal drains it, the second ends it at once.
///
/// # Errors
/// When the crawl could not be run to its end.
pub(crate) fn run<S: Spider>(crawler: Crawler<S>, display: &Display) -> Result<Watched, CrawlError> {
    let thread = |source| CrawlError::Thread { name: "main", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(thread)?;
    let watched = runtime.block_on(async {
        // Before the crawl begins, so that no signal finds it unprepared.
        let signals = Signals::catch().map_err(thread)?;
        watch(crawler, signals, display).await
    });
    display.end();
    watched
}

async fn watch<S: Spider>(
    crawler: Crawler<S>,
    mut signals: Signals,
    display: &Display,
) -> Result<Watched, CrawlError> {
    let mut crawl = crawler.start()?;
    let handle = crawl.handle();
    let mut ticks = tokio::time::interval(TICK);
    let mut signal: Option<Signal> = None;
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
                display.say("stopping: what is under way may end (within 10 s); once more stops at once");
            }
            _ = ticks.tick() => display.show(&handle.progress()),
        }
    }
}

/// The crawl itself says five times a second where it stands.
const TICK: Duration = Duration::from_millis(200);
/// An aborted crawl has this long to give its report.
const ABORT_MAX: Duration = Duration::from_secs(2);
