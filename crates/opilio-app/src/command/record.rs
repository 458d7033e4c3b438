//! The command `record`: crawls, and writes a cassette with the requests and answers. Items are not written.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches};
use opilio_cassette::Recording;
use opilio_engine::{CrawlReport, Spider, Stopped};

use super::PreparedCommand;
use crate::exit::{Exit, Failure};
use crate::observed::Observed;
use crate::program::Ended;
use crate::state;
use crate::summary::{self, SummaryFacts};
use crate::watch::{self, Watched};

/// The flags that only this command has.
pub(super) fn flags() -> Vec<Arg> {
    vec![
        cassette("File for the cassette, a WARC file; replaced when the crawl has ended"),
        Arg::new(KEEP_SECRETS)
            .long(KEEP_SECRETS)
            .action(ArgAction::SetTrue)
            .help("Records logins, cookies and other secrets, too; without this they are left out"),
    ]
}

/// Returns the flag that names the cassette.
pub(super) fn cassette(help: &'static str) -> Arg {
    let arg = Arg::new(CASSETTE).long(CASSETTE).value_name("FILE.warc");
    arg.value_parser(ValueParser::path_buf()).help(format!("{help} [default: {CASSETTE_FILE}]"))
}

/// Returns the path of the cassette: the one that the flag names, or the default.
pub(super) fn cassette_path(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<PathBuf>(CASSETTE).cloned().unwrap_or_else(|| PathBuf::from(CASSETTE_FILE))
}

/// Crawls, and writes the cassette.
///
/// # Errors
/// When the crawler refuses the settings, the crawl fails, or the cassette cannot be written.
pub(super) fn run<S: Spider>(prepared: PreparedCommand<'_, S>) -> Result<Ended, Failure> {
    let path = cassette_path(prepared.matches);
    let recording = Recording::new(prepared.matches.get_flag(KEEP_SECRETS));
    let facts = SummaryFacts::of(&prepared.draft.run);
    let (crawler, spider, display) = prepared.crawler(|crawler| crawler.max_pages(MAX_PAGES))?;
    let crawler = crawler.with_spider(Observed::whole(spider, |_, _, _| ()));
    let watched = watch::run(crawler.transport_around(recording.around()), &display, None);
    let Watched { report, signal } = watched.map_err(|error| state::failure(error, None))?;
    let exchanges = recording.exchanges();
    let mut ended = Ended::without_report(signal.map_or(Exit::Done, Exit::Stopped), display);
    if exchanges.is_empty() {
        ended.exit = signal.map_or(Exit::Errors, Exit::Stopped);
        ended.error = Some("error: nothing was requested, so no cassette was written".to_owned());
    } else {
        opilio_cassette::save(&path, &exchanges).map_err(Failure::run)?;
    }
    if let Some(report) = report {
        ended.summary = summary::lines(&report, &facts);
        if signal.is_none() && ended.error.is_none() {
            ended.error = summary::error(&report, &facts);
            ended.exit = if ended.error.is_some() { Exit::Errors } else { ended.exit };
        }
        ended.summary.extend(cut(&report));
        ended.report = Some(report);
    }
    if !exchanges.is_empty() {
        ended.summary.push(format!("{} exchanges are recorded in {}", exchanges.len(), path.display()));
    }
    Ok(ended)
}

/// Returns a note that the cassette has only a part of the site, if that is so.
fn cut(report: &CrawlReport) -> Option<String> {
    (report.stopped == Stopped::MaxPages && report.left > 0).then(|| {
        format!(
            "the cassette ends at {0} pages: a test that replays it needs max_pages({0}), too",
            report.pages
        )
    })
}

const CASSETTE: &str = "cassette";
const KEEP_SECRETS: &str = "keep-secrets";
const CASSETTE_FILE: &str = "cassette.warc";
const MAX_PAGES: u64 = 200;
pub(super) const MAX_PAGES_HELP: &str = "Ends after this many pages [default: 200]";

pub(super) const ABOUT: &str = "\
Crawls, and records all requests and answers in a cassette: a WARC file from which tests and the command check answer \
the same requests.

Asks for uncompressed answers, so that the file can be read and compared. Leaves out logins (user info, \
Authorization), cookies, and values of forms, parameters and JSON whose names look like those of passwords. The \
content of pages is recorded as it is. Writes no items. The recording is kept in memory until the crawl ends.";
pub(super) const HELP: &str = "Exit codes: 0 the cassette is written; 1 not a single page, or the cassette could not be written; 2 usage; 130 \
     or 143 after a gentle stop by SIGINT or SIGTERM, whose cassette has what came until then.";
