//! The command `check`: fetches a few pages of each step, and names the fields that the cassette's pages have and the
//! site's pages have no more.

mod compare;
mod nearest;
mod pages;

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use clap::Arg;
use clap::builder::ValueParser;
use opilio_cassette::{Cassette, CassetteError, Replay, Tape};
use opilio_engine::{CrawlError, CrawlReport, Crawler, Request, Spider};

use self::compare::Comparison;
use self::pages::{CheckedPage, choose};
use super::record::{cassette, cassette_path};
use super::{PreparedCommand, own_flag, own_id, print, with_login};
use crate::exit::{Exit, Failure};
use crate::observed::Observed;
use crate::program::Ended;
use crate::progress::Display;
use crate::requested::Requested;
use crate::watch::{self, Watched};
use crate::{state, summary};

/// The flags that only this command has.
pub(super) fn flags() -> Vec<Arg> {
    vec![
        cassette("Cassette of the pages to compare with, as record writes it"),
        own_flag(PAGES)
            .value_name("N")
            .default_value("3")
            .value_parser(ValueParser::from(clap::value_parser!(u16).range(1..)))
            .help("Pages to fetch of each step"),
    ]
}

/// Compares a few pages of the site with those of the cassette.
///
/// # Errors
/// When the cassette cannot be read, the crawler refuses the settings, or a crawl fails.
pub(super) fn run<S: Spider>(prepared: PreparedCommand<S>) -> Result<Ended, Failure> {
    let path = cassette_path(&prepared.matches);
    let count = prepared.matches.get_one::<u16>(&own_id(PAGES)).copied().map_or(3, usize::from);
    let command = format!("{} record --cassette {}", crate::app::program_name(), path.display());
    let cassette = Cassette::load(&path, &command).map_err(|error| match error {
        CassetteError::Missing { .. } | CassetteError::Format { .. } | CassetteError::TooLarge { .. } => {
            Failure::usage(error)
        }
        error => Failure::run(error),
    })?;
    let (crawler, spider, display) = prepared.crawler(|crawler| crawler)?;
    if let Some(warning) = cassette.warning() {
        display.say(&format!("warning: {warning}"));
    }
    let crawler = crawler.shards(1).max_pages(u64::MAX).max_duration(LONG);
    // The replay logs warnings about the pages of the cassette, which may be gone from the site.
    display.bar().begin_logs_with(format!("in {}: ", path.display()));
    let replayed = replay(&crawler, &spider, &path, cassette.clone(), &command);
    display.bar().begin_logs_with("");
    let replayed = replayed?;
    let Replayed { pages, steps, requested, unknown } = &replayed;
    let request = |at: usize| {
        let page: &CheckedPage = &pages[at];
        requested.of(&page.url, &steps[at], page.session.as_deref())
    };
    let chosen = choose(pages, &cassette, &|at| request(at).err(), count);
    if chosen.pages.is_empty() {
        return Err(nothing_to_compare(&path, &command, unknown, &chosen.left_out));
    }
    let again = |at: &usize| {
        let request = request(*at).ok().flatten();
        let request = request.unwrap_or_else(|| Request::get(pages[*at].url.clone(), steps[*at].clone()));
        again(&*spider, &pages[*at], request)
    };
    let seeds = chosen.pages.iter().map(again).collect();
    let comparison = Comparison::of(chosen.pages.iter().map(|at| pages[*at].clone()).collect());
    let comparison = Arc::new(Mutex::new(comparison));
    let compared = comparison.clone();
    let observed = Observed::only(spider.clone(), seeds, move |page, read, coverage| {
        let checked = CheckedPage::of(page, read, coverage);
        compared.lock().unwrap_or_else(PoisonError::into_inner).add(&checked, page.document());
    });
    let watched = watch::run(crawler.with_spider(observed), &display, None);
    let comparison = comparison.lock().unwrap_or_else(PoisonError::into_inner);
    end(watched, &comparison, &path, chosen.left_out, display)
}

/// Returns how the command ends after its crawl.
fn end(
    watched: Result<Watched, CrawlError>,
    comparison: &Comparison,
    path: &Path,
    left_out: Vec<String>,
    display: Display,
) -> Result<Ended, Failure> {
    let Watched { report, signal } = watched.map_err(|error| state::failure(error, None))?;
    let mut ended = Ended::without_report(Exit::Done, display);
    print(comparison.text().as_bytes())?;
    ended.summary = report.iter().flat_map(unfetched).collect();
    ended.summary.push(comparison.summary(path));
    ended.summary.extend(left_out);
    // After a signal, pages are missing because of the signal.
    ended.error = comparison.error().filter(|_| signal.is_none());
    ended.exit = match (signal, &ended.error) {
        (Some(signal), _) => Exit::Stopped(signal),
        (None, Some(_)) => Exit::Errors,
        (None, None) => Exit::Done,
    };
    Ok(ended)
}

/// The result of running the spider over a cassette.
struct Replayed<Step> {
    pages: Vec<CheckedPage>,
    /// The step of each page.
    steps: Vec<Step>,
    requested: Arc<Requested<Step>>,
    /// The requests, in words, that the cassette lacks.
    unknown: Vec<String>,
}

/// Runs the spider over the cassette, in virtual time and without a request.
fn replay<S: Spider>(
    crawler: &Crawler<S>,
    spider: &Arc<S>,
    path: &Path,
    cassette: Cassette,
    command: &str,
) -> Result<Replayed<S::Step>, Failure> {
    let tape = Tape::new(path.to_owned(), cassette, command.to_owned());
    let began = tape.began();
    let replay = Replay::of(tape);
    let read_pages = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let seen = read_pages.clone();
    let observed = Observed::whole(spider.clone(), move |page, read, coverage| {
        let checked = CheckedPage::of(page, read, coverage);
        let (pages, steps) = &mut *seen.lock().unwrap_or_else(PoisonError::into_inner);
        pages.push(checked);
        steps.push(page.step().clone());
    });
    let requested = Arc::new(Requested::new());
    let observed = observed.noting(requested.clone());
    let crawler = crawler.with_spider(observed).began_at(began).transport(replay.transports());
    run_paused(Box::pin(crawler.run_here()))?;
    let (pages, steps) = std::mem::take(&mut *read_pages.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Replayed { pages, steps, requested, unknown: replay.unknown() })
}

/// Runs a crawl in virtual time.
fn run_paused(
    crawl: Pin<Box<dyn Future<Output = Result<CrawlReport, CrawlError>> + '_>>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.map_err(|source| Failure::run(CrawlError::Thread { name: "replay", source }))?;
    runtime.block_on(crawl).map_err(|error| state::failure(error, None))?;
    Ok(())
}

/// Returns the error that no page of the cassette can be compared.
fn nothing_to_compare(path: &Path, command: &str, unknown: &[String], left_out: &[String]) -> Failure {
    let path = path.display();
    Failure::usage(match left_out {
        [] => {
            let first =
                unknown.first().map(|first| format!(", and {first} is not in it")).unwrap_or_default();
            anyhow!("the spider reads no page of {path}{first}; record it anew: {command}")
        }
        steps => anyhow!("no page of {path} can be fetched again: {}", steps.join("; ")),
    })
}

/// Makes the request that fetches a page of the cassette anew, also if another step reads a page of the same URL.
fn again<S: Spider>(spider: &S, page: &CheckedPage, request: Request<S::Step>) -> Request<S::Step> {
    let request = request.with_url(with_login(spider, page.url.clone())).again();
    match &page.session {
        Some(session) => request.session(&**session),
        None => request,
    }
}

/// Returns a line for each page that could not be fetched or read.
fn unfetched(report: &CrawlReport) -> Vec<String> {
    report.failures.iter().map(|failure| format!("  {}", summary::shown(failure))).collect()
}

const PAGES: &str = "pages";
/// Longer than any replay in virtual time.
const LONG: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

pub(super) const ABOUT: &str = "\
Fetches a few pages of each step, and names the fields that these pages had in the cassette and have no more.

Runs the spider over the cassette first, without a request. Then fetches some of its pages from the site, by the rules \
of every crawl, and compares which fields are filled. Sends the requests of these pages as the spider does, but only \
safe ones: steps whose pages answer a POST are named and not compared. For a field that fell silent, prints its sources, a page, the \
element that the cassette has, and the element of today's page that is most like it.";
pub(super) const HELP: &str = "\
Exit codes: 0 every field is still filled; 1 a field fell silent, or the pages of a step could not be fetched; 2 usage, \
such as a cassette that is not there; 130 or 143 after SIGINT or SIGTERM.";
