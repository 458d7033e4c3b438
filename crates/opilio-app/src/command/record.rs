//! The command `record`: crawls, and writes a cassette with the requests and answers. Items are not written.

use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches};
use opilio_cassette::{Cassette, CassetteDraft, CassetteError, Recording};
use opilio_engine::{CrawlError, CrawlReport, Spider, Stopped};

use super::{PreparedCommand, own_flag, own_id};
use crate::exit::{Exit, Failure};
use crate::observed::Observed;
use crate::program::Ended;
use crate::progress::Display;
use crate::state;
use crate::summary::{self, SummaryFacts};
use crate::watch::{self, Watched};

/// The flags that only this command has.
pub(super) fn flags() -> Vec<Arg> {
    vec![
        cassette(
            "File for the cassette, a WARC file, compressed if it ends with .gz; replaced when the crawl has ended",
        ),
        own_flag(KEEP_SECRETS)
            .action(ArgAction::SetTrue)
            .help("Records logins, cookies and other secrets, too; without this they are left out"),
        own_flag(SECRET_NAME)
            .value_name("NAME")
            .action(ArgAction::Append)
            .help("Leaves out the values with this name, too: of parameters, fields and header fields"),
    ]
}

/// Returns the flag that names the cassette.
pub(super) fn cassette(help: &'static str) -> Arg {
    let arg = own_flag(CASSETTE).value_name("FILE.warc");
    arg.value_parser(ValueParser::path_buf()).help(format!("{help} [default: {CASSETTE_FILE}]"))
}

/// Returns the path of the cassette: the one that the flag names, or the default.
pub(super) fn cassette_path(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<PathBuf>(&own_id(CASSETTE)).cloned().unwrap_or_else(|| PathBuf::from(CASSETTE_FILE))
}

/// Crawls, and writes the cassette.
///
/// # Errors
/// When the cassette cannot be written, the crawler refuses the settings, or the crawl fails.
pub(super) fn run<S: Spider>(prepared: PreparedCommand<S>) -> Result<Ended, Failure> {
    let path = cassette_path(&prepared.matches);
    let names = prepared.matches.get_many::<String>(&own_id(SECRET_NAME)).unwrap_or_default();
    let recording = Recording::new(prepared.matches.get_flag(&own_id(KEEP_SECRETS)));
    let recording = recording.secret_names(names.map(String::as_str));
    let facts = SummaryFacts::of(&prepared.draft.run, &prepared.display);
    let (crawler, spider, display) = prepared.crawler(|crawler| crawler.max_pages(MAX_PAGES))?;
    // A path that cannot be written is found now, and not after the crawl.
    let draft = CassetteDraft::open(&path).map_err(Failure::usage)?;
    let crawler = crawler.with_spider(Observed::whole(spider, |_, _, _| ()));
    let watched = watch::run(crawler.transport_around(recording.around()), &display, None);
    let saved = Saved::of(draft, &path, &recording.cassette());
    end(watched, saved, &facts, display)
}

/// The result of writing the cassette.
enum Saved {
    /// It is written. Contains the line that says so.
    Written(String),
    /// There was nothing to write. Contains the reason.
    Nothing(String),
    Failed(CassetteError),
}

impl Saved {
    fn of(draft: CassetteDraft, path: &Path, cassette: &Cassette) -> Self {
        let exchanges = cassette.exchanges();
        if exchanges.is_empty() {
            return Self::Nothing("nothing was requested, so no cassette was written".to_owned());
        }
        match draft.save(cassette) {
            Ok(()) => {
                Self::Written(format!("{} exchanges are recorded in {}", exchanges.len(), path.display()))
            }
            Err(error @ CassetteError::NoPage { .. }) => Self::Nothing(error.to_string()),
            Err(error) => Self::Failed(error),
        }
    }
}

/// Returns how the command ends. What was recorded until a failure of the crawl is written, too.
fn end(
    watched: Result<Watched, CrawlError>,
    saved: Saved,
    facts: &SummaryFacts,
    display: Display,
) -> Result<Ended, Failure> {
    let Watched { report, signal } = match watched {
        Ok(watched) => watched,
        Err(error) => {
            match saved {
                Saved::Written(line) | Saved::Nothing(line) => display.say(&line),
                Saved::Failed(error) => display.say(&format!("error: {error}")),
            }
            return Err(state::failure(error, None));
        }
    };
    let mut ended = Ended::without_report(Exit::Done, display);
    let is_written = matches!(saved, Saved::Written(_));
    let line = match saved {
        Saved::Failed(error) => return Err(Failure::run(error)),
        Saved::Written(line) | Saved::Nothing(line) => line,
    };
    if let Some(report) = report {
        ended.summary = summary::lines(&report, facts);
        ended.error = match report.stopped {
            Stopped::MemoryLimit => Some(OUTGROWN.to_owned()),
            _ => summary::error(&report, facts),
        };
        ended.summary.extend(cut(&report));
        ended.report = Some(report);
    }
    // An error of the crawl says more than that its cassette is not written, so that is then a note.
    if is_written || ended.error.is_some() || signal.is_some() {
        ended.summary.push(line);
    } else {
        ended.error = Some(format!("error: {line}"));
    }
    if let Some(signal) = signal {
        (ended.exit, ended.error) = (Exit::Stopped(signal), None);
    } else if ended.error.is_some() {
        ended.exit = Exit::Errors;
    }
    Ok(ended)
}

/// Returns a note that the cassette has only a part of the site, if that is so.
fn cut(report: &CrawlReport) -> Option<String> {
    let why = match report.stopped {
        Stopped::Finished => return None,
        Stopped::MaxPages => {
            let pages = report.pages;
            let words = format!(
                "the cassette ends at {pages} pages: a test that replays it needs .max_pages({pages}), too"
            );
            return (report.left > 0).then_some(words);
        }
        Stopped::MaxDuration => "the time was over",
        Stopped::MemoryLimit => "there was no memory for more",
        Stopped::Interrupted | Stopped::Signal => "the crawl was interrupted",
    };
    let left = report.left;
    (left > 0).then(|| {
        format!("the cassette has only a part of the site, since {why}: a replay asks for {left} URLs or more that it lacks")
    })
}

const OUTGROWN: &str = "error: stopped by --memory-limit, so the cassette has only a part of the site: fewer --max-pages need less memory";
const CASSETTE: &str = "cassette";
const KEEP_SECRETS: &str = "keep-secrets";
const SECRET_NAME: &str = "secret-name";
const CASSETTE_FILE: &str = "cassette.warc";
const MAX_PAGES: u64 = 200;
pub(super) const MAX_PAGES_HELP: &str = "Ends after this many pages [default: 200]";

pub(super) const ABOUT: &str = "\
Crawls, and records all requests and answers in a cassette: a WARC file from which tests and the command check answer \
the same requests.

Asks for uncompressed answers, so that the file can be read and compared. Leaves out logins (user info, \
Authorization), cookies, and values of forms, parameters, JSON and header fields whose names look like those of \
passwords, keys, signatures, tokens or session ids. The content of pages is recorded as it is. Writes no items. The recording is kept in memory until the crawl ends. A \
cassette that has pages is not replaced by a recording that has none.";
pub(super) const HELP: &str = "Exit codes: 0 the cassette is written; 1 not a single page, or the cassette could not be written, or \
     --memory-limit ended the crawl; 2 usage, such as a path that cannot be written: nothing was fetched; 130 or 143 after a gentle stop by SIGINT or SIGTERM, whose cassette has what came until then.";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::SystemTime;

    use http::{HeaderMap, Method};
    use opilio_cassette::{RecordedAnswer, RecordedExchange, RecordedRequest, RequestKey};
    use url::Url;

    use super::*;
    use crate::signal::Signal;

    fn page() -> RecordedExchange {
        let url: Url = "http://a.example/".parse().unwrap();
        let (headers, body, at) = (HeaderMap::new(), Default::default(), Some(SystemTime::UNIX_EPOCH));
        let key = RequestKey { method: Method::GET, url: url.clone(), body, session: None };
        let body = key.body.clone();
        let request = RecordedRequest { key, url, headers, body, at };
        let answer = RecordedAnswer { status: 200, ..RecordedAnswer::default() };
        RecordedExchange { request, latency: std::time::Duration::ZERO, result: Ok(answer) }
    }

    fn ended(watched: Result<Watched, CrawlError>, path: &Path) -> Result<Ended, Failure> {
        let page_errors = crate::logs::PageErrors::InSummary;
        let facts = SummaryFacts { private_allowed: true, state: None, is_proxied: false, page_errors };
        let saved = Saved::of(CassetteDraft::open(path).unwrap(), path, &vec![page()].into());
        end(watched, saved, &facts, Display::new(true, false))
    }

    #[test]
    fn a_crawl_that_fails_leaves_a_cassette_of_what_came_until_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.warc");
        let failure = ended(Err(CrawlError::Died { name: "shard" }), &path).unwrap_err();
        assert!(matches!(failure, Failure::Run(_)), "{failure:?}");
        assert_eq!(Cassette::load(&path, "").unwrap().exchanges().len(), 1);
    }

    #[test]
    fn a_cassette_that_is_only_a_part_says_why() {
        let dir = tempfile::tempdir().unwrap();
        for (stopped, signal, exit, words) in [
            (Stopped::Finished, None, Exit::Done, None),
            (Stopped::MaxPages, None, Exit::Done, Some("needs .max_pages(1), too")),
            (
                Stopped::MaxDuration,
                None,
                Exit::Done,
                Some("since the time was over: a replay asks for 7 URLs"),
            ),
            (Stopped::MemoryLimit, None, Exit::Errors, Some("since there was no memory for more")),
            (
                Stopped::Interrupted,
                Some(Signal::Interrupt),
                Exit::Stopped(Signal::Interrupt),
                Some("was interrupted"),
            ),
        ] {
            let report = CrawlReport { pages: 1, left: 7, requests: 1, stopped, ..CrawlReport::default() };
            let watched = Watched { report: Some(report), signal };
            let ended = ended(Ok(watched), &dir.path().join("shop.warc")).unwrap();
            assert_eq!((ended.exit, ended.error.is_some()), (exit, exit == Exit::Errors), "{stopped:?}");
            let note = ended.summary.iter().find(|line| line.starts_with("the cassette "));
            assert_eq!(note.is_some(), words.is_some(), "{stopped:?} {note:?}");
            assert!(words.is_none_or(|words| note.unwrap().contains(words)), "{note:?}");
        }
    }
}
