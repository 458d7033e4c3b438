//! `opilio crawl`: one JSON object a page, without a spider to write.
//!
//! `args` are the flags, `seeds` reads the URLs, `spider` turns
//! pages into items, `output` is where they go, `state` is the crawl's directory, `watch` runs it, `summary` says how it ended.

mod args;
mod seeds;
mod spider;

use std::io::IsTerminal;

use opilio::export::ExportError;
use opilio::{CrawlError, Crawler, FileStore, Stopped};

pub(crate) use args::CrawlArgs;
pub(crate) use seeds::web_url;

use opilio_app::exit::{Exit, Failure, say};
use opilio_app::output::{self, Output};
use opilio_app::progress::Display;
use opilio_app::report_file::ReportFile;
use opilio_app::settings::Format;
use opilio_app::state;
use opilio_app::summary::Closing;
use opilio_app::{descriptors, logs, summary, watch};
use spider::PageSpider;

/// Runs the command.
///
/// # Errors
/// When it cannot be run as asked, which is found out before anything is fetched, or fails on the way.
pub(crate) fn run(args: &CrawlArgs) -> Result<Exit, Failure> {
    let (verbose, quiet) = args.messages();
    let display = Display::new(quiet, args.output().is_none() && std::io::stdout().is_terminal());
    logs::begin(verbose, display.bar()).map_err(Failure::Usage)?;
    descriptors::raise();
    let seeds = seeds::read(args).map_err(Failure::Usage)?;
    let fields = args.css();
    spider::check_names(&fields).map_err(Failure::Usage)?;
    let draft = args.settings().map_err(Failure::Usage)?;
    let format = output::format(&draft.run).map_err(Failure::Usage)?;
    let report_file = draft.run.report.as_deref().map(ReportFile::open).transpose();
    let report_file = report_file.map_err(Failure::Usage)?;
    let output = Output::open(&draft.run, format).map_err(Failure::Usage)?;
    let hosts = [&seeds[..], &args.sitemap()].concat();
    let hints = [draft.run.file_hint(), draft.run.contact_hint(&hosts)];
    hints.iter().flatten().for_each(|hint| display.say(hint));
    let closing = Closing::of(&draft.run);
    let cache = draft.run.open_cache().map_err(Failure::Usage)?;
    let files = args.bodies().map(FileStore::open).transpose().map_err(Failure::usage)?;
    let mut spider = PageSpider::new(seeds, fields).sitemaps(args.sitemaps()).sitemaps_at(args.sitemap());
    if draft.run.merge_canonical {
        spider = spider.with_canonical();
    }
    if files.is_some() {
        spider = spider.with_files();
    }
    if format == Format::Csv {
        spider = spider.with_csv();
    }
    let state = draft.run.state();
    let (columns, keep_formulas) = (spider.columns(), draft.run.keep_formulas);
    let crawler = draft.apply(Crawler::new(spider)).map_err(Failure::Usage)?;
    let mut crawler = output.apply(crawler, Some(columns), keep_formulas);
    if let Some(files) = files {
        crawler = crawler.files(files);
    }
    if let Some(cache) = cache {
        crawler = crawler.cache(cache);
    }
    if let Some(state) = &state {
        crawler = state.apply(crawler, &display);
    }
    let watched = match watch::run(crawler, &display) {
        // Whoever reads has seen enough: that is no error.
        Err(CrawlError::Export(ExportError::Closed { .. })) => {
            if report_file.is_some() {
                say("the output was closed early: there is no report");
            }
            return Ok(Exit::Done);
        }
        result => result.map_err(|error| state::failure(error, state.as_ref()))?,
    };
    let Some(report) = watched.report else {
        say("stopped at once: there is no report");
        return Ok(watched.signal.map_or(Exit::Errors, Exit::Stopped));
    };
    if let Some(file) = report_file {
        file.write(&report).map_err(Failure::Run)?;
    }
    summary::lines(&report, &closing).iter().for_each(|line| display.say(line));
    if let Some(signal) = watched.signal {
        return Ok(Exit::Stopped(signal));
    }
    if report.stopped == Stopped::MemoryLimit {
        say(&state::outgrown(state.as_ref()));
        return Ok(Exit::Errors);
    }
    match summary::error(&report, &closing) {
        Some(error) => {
            say(&error);
            Ok(Exit::Errors)
        }
        None => Ok(Exit::Done),
    }
}
