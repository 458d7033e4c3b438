//! The command `parse`: reads one page with the spider, and prints its items. Nothing is stored.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};
use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use opilio_core::{Reason, redacted};
use opilio_engine::{CrawlError, CrawlReport, Page, Request, Spider, parse_page};
use opilio_export::{Export, JsonLines};
use serde_json::{Value, json};
use url::Url;

use super::{FEW_FETCHES, PreparedCommand, own_flag, own_id, print, step, with_login};
use crate::exit::{Exit, Failure};
use crate::observed::{Observed, PageRead};
use crate::program::Ended;
use crate::progress::Display;
use crate::state;
use crate::summary::{self, PRIVATE_HINT};
use crate::watch::{self, Watched};

/// The flags that only this command has.
pub(super) fn flags() -> Vec<Arg> {
    let path = ValueParser::path_buf();
    vec![
        Arg::new(own_id(URL)).value_name("URL").required(true).help("Page to read (http or https)"),
        own_flag(STEP)
            .value_name("STEP")
            .help("Step of the page, as JSON or as a bare name [default: the step of the first seed]"),
        own_flag(SESSION).value_name("NAME").help("Session of the request"),
        own_flag(FROM)
            .value_name("FILE")
            .value_parser(path)
            .help("Reads the page's body from this file and fetches nothing"),
        own_flag(REQUESTS)
            .action(ArgAction::SetTrue)
            .help("Also prints the requests that the page leads to, each with its step"),
    ]
}

/// Reads one page, and prints its items.
///
/// # Errors
/// When the step or the file cannot be read, or the crawler refuses the settings.
pub(super) fn run<S: Spider>(prepared: PreparedCommand<S>) -> Result<Ended, Failure> {
    let WantedPage { url, step, session, file, with_requests } = WantedPage::of(&prepared.matches)?;
    let step = read_step(&prepared.spider, step.as_ref()).map_err(Failure::Usage)?;
    if let Some(file) = file {
        refuse_flags_of_fetches(&prepared.matches).map_err(Failure::Usage)?;
        let page = saved_page(&file, url, step, session.as_deref()).map_err(Failure::Usage)?;
        let read = parse_page(&prepared.spider, &page);
        let read = ReadPage::of(&page, read.as_ref(), with_requests);
        return read.end(prepared.display);
    }
    let request = Request::get(with_login(&prepared.spider, url.clone()), step);
    let request = match session {
        Some(name) => request.session(name),
        None => request,
    };
    let (crawler, spider, display) = prepared.crawler(|crawler| crawler)?;
    let place = Arc::new(Mutex::new(None));
    let told = place.clone();
    let observed = Observed::only(spider, vec![request], move |page, read, _| {
        let read = ReadPage::of(page, read, with_requests);
        *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    });
    let watched = watch::run(crawler.with_spider(observed).shards(1).max_pages(u64::MAX), &display, None);
    end(watched, &place, &url, display)
}

/// The page that the command has to read, as its flags say it.
struct WantedPage {
    url: Url,
    step: Option<String>,
    session: Option<String>,
    file: Option<PathBuf>,
    with_requests: bool,
}

impl WantedPage {
    fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let text = |name| matches.get_one::<String>(&own_id(name)).cloned();
        let url = text(URL).unwrap_or_default();
        let url =
            web_url(&url).map_err(|why| Failure::usage(anyhow!("the URL {:?}: {why}", redacted(&url))))?;
        let file = matches.get_one::<PathBuf>(&own_id(FROM)).cloned();
        let with_requests = matches.get_flag(&own_id(REQUESTS));
        Ok(Self { url, step: text(STEP), session: text(SESSION), file, with_requests })
    }
}

/// Returns how the command ends after its crawl. The spider has put what it read into `place`.
fn end(
    watched: Result<Watched, CrawlError>,
    place: &Mutex<Option<ReadPage>>,
    url: &Url,
    display: Display,
) -> Result<Ended, Failure> {
    let Watched { report, signal } = watched.map_err(|error| state::failure(error, None))?;
    let read = place.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (read, signal, report) {
        (Some(read), ..) => read.end(display),
        (None, Some(signal), _) => Ok(Ended::without_report(Exit::Stopped(signal), display)),
        (None, None, report) => {
            let mut ended = Ended::without_report(Exit::Errors, display);
            ended.error = Some(why_unread(url, report.as_ref()));
            Ok(ended)
        }
    }
}

/// The result of one page as this command prints it.
struct ReadPage {
    url: Url,
    step: String,
    /// The items and requests as JSON lines, or the text of the error.
    result: Result<Vec<u8>, String>,
    items: usize,
    requests: usize,
}

impl ReadPage {
    fn of<S: Spider>(page: &Page<S::Step>, read: PageRead<'_, S>, with_requests: bool) -> Self {
        let (url, step) = (page.url().clone(), step::name(page.step()));
        let found = match read {
            Ok(found) => found,
            Err(error) => {
                return Self { url, step, result: Err(error.to_string()), items: 0, requests: 0 };
            }
        };
        let (items, requests) = (found.items().len(), found.requests().len());
        let mut lines = Vec::new();
        // The exporter is made for its encoder, which escapes control characters.
        let stdout = JsonLines::stdout();
        let mut items_encoder = Export::<S::Item>::encoder(&stdout);
        let mut written = found.items().iter().try_for_each(|item| items_encoder.encode(item, &mut lines));
        if with_requests {
            let mut encoder = Export::<Value>::encoder(&stdout);
            written = written.and_then(|()| {
                let lines_of = found.requests().iter().map(|request| request_line(page, request));
                lines_of.into_iter().try_for_each(|line| encoder.encode(&line, &mut lines))
            });
        }
        let result = written.map(|()| lines).map_err(|error| error.to_string());
        Self { url, step, result, items, requests }
    }

    /// Prints the result, and returns how the command ends.
    fn end(self, display: Display) -> Result<Ended, Failure> {
        let mut ended = Ended::without_report(Exit::Done, display);
        let Self { url, step, result, items, requests } = self;
        match result {
            Ok(lines) => {
                print(&lines)?;
                let s = |count: usize| if count == 1 { "" } else { "s" };
                ended.summary = vec![format!(
                    "{items} item{}, {requests} request{} at the step {step} of {}",
                    s(items),
                    s(requests),
                    redacted(url.as_str())
                )];
                if items + requests == 0 {
                    let hint = format!(
                        "the spider finds nothing on this page at this step: --{STEP} NAME reads it at another"
                    );
                    ended.summary.push(hint);
                }
            }
            Err(error) => {
                ended.exit = Exit::Errors;
                ended.error = Some(format!("error: parse_error at the step {step}: {error}"));
            }
        }
        Ok(ended)
    }
}

/// Describes a request that was found on a page: its absolute URL (or the text that is no URL), and its step.
fn request_line<Step: serde::Serialize>(page: &Page<Step>, request: &Request<Step>) -> Value {
    let url = page.document().resolve(request.target());
    let url = url.map_or_else(|| request.target().to_owned(), String::from);
    json!({ "request": url, "step": request.step() })
}

/// Reads the step of the page, which by default is that of the first seed.
fn read_step<S: Spider>(spider: &S, written: Option<&String>) -> anyhow::Result<S::Step> {
    match written {
        Some(text) => step::read::<S>(text).map_err(|why| anyhow!("--{STEP} {text}: {why}")),
        None => {
            let seeds = spider.seeds();
            let first = seeds.first().map(|seed| seed.step().clone());
            first.with_context(|| format!("the spider has no seed, so the page's step is needed: --{STEP}"))
        }
    }
}

/// Refuses flags that say how to fetch, since nothing is fetched. Environment variables are ignored, since they are
/// meant for all commands.
fn refuse_flags_of_fetches(matches: &ArgMatches) -> anyhow::Result<()> {
    let is_given = |flag: &&&str| matches.value_source(flag) == Some(ValueSource::CommandLine);
    let fetching = FEW_FETCHES.iter().filter(|flag| !["config", "verbose", "quiet"].contains(flag));
    match fetching.into_iter().find(is_given) {
        Some(flag) => bail!("--{flag} cannot be used with --{FROM}, which reads a file and fetches nothing"),
        None => Ok(()),
    }
}

/// Makes a page from a file, which holds the page's body.
fn saved_page<Step>(file: &Path, url: Url, step: Step, session: Option<&str>) -> anyhow::Result<Page<Step>> {
    let body = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let ending = file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let kind = match ending.as_str() {
        "json" => "application/json",
        "xml" | "rss" | "atom" => "application/xml",
        _ => "text/html",
    };
    let page = Page::builder(url).step(step).body(kind, body);
    let page = match session {
        Some(session) => page.session(session),
        None => page,
    };
    Ok(page.build()?)
}

/// Returns the line that says why the page could not be read.
fn why_unread(url: &Url, report: Option<&CrawlReport>) -> String {
    let url = redacted(url.as_str());
    let failure = report.and_then(|report| report.failures.first());
    let hint = match failure.map(|failure| failure.reason) {
        Some(Reason::BlockedAddress) => format!("; {PRIVATE_HINT}"),
        Some(Reason::Robots) => ": robots.txt does not allow it".to_owned(),
        _ => String::new(),
    };
    let filtered = report.and_then(|report| report.filtered.keys().next());
    match (failure, filtered) {
        (Some(failure), _) => format!("error: {}{hint}", summary::shown(failure)),
        (None, Some(why)) => format!("error: {url} was not requested: filtered as {why}"),
        (None, None) => format!("error: {url} was not read"),
    }
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => "write http:// or https:// in front".to_owned(),
        error => error.to_string(),
    })?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(format!("{scheme} is not http or https")),
    }
}

const URL: &str = "url";
const STEP: &str = "step";
const SESSION: &str = "session";
const FROM: &str = "from";
const REQUESTS: &str = "requests";

pub(super) const ABOUT: &str = "\
Reads one page, and prints its items as JSON lines.

Fetches robots.txt and the page, by the rules of every crawl, and calls the spider's parse. Follows no links and \
stores nothing. If fields cannot be read, says which.";
pub(super) const HELP: &str = "Exit codes: 0 the page was read; 1 it could not be fetched or read; 2 usage: nothing was fetched; 130 or 143 \
     after SIGINT or SIGTERM.";
