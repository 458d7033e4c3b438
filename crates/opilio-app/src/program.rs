//! The crawl of a program: from settings to an exit code.

use std::io::IsTerminal;

use opilio_engine::{CrawlError, CrawlReport, Crawler, Spider, Stopped};
use opilio_export::ExportError;
use opilio_fetch::Cache;
use url::Url;

use crate::exit::{Exit, Failure, say};
use crate::output::{self, Output};
use crate::progress::Display;
use crate::report_file::ReportFile;
use crate::settings::{CrawlDraft, Format};
use crate::summary::{self, Closing};
use crate::watch::{self, Watched};
use crate::{descriptors, logs, state};

/// Begins what a program does before anything else: log lines, and as many descriptors as the system lets it have.
///
/// `output_is_stdout` says that items are printed where people look.
///
/// # Errors
/// When the environment asks for log lines in a way that means nothing.
pub fn begin(verbose: u8, quiet: bool, output_is_stdout: bool) -> Result<Display, Failure> {
    let display = Display::new(quiet, output_is_stdout && std::io::stdout().is_terminal());
    logs::begin(verbose, display.bar()).map_err(Failure::Usage)?;
    descriptors::raise();
    Ok(display)
}

/// A crawl whose settings are read and whose files are open, so that a crawl of hours does not end in a path
/// that cannot be written.
pub struct Program<S: Spider> {
    /// What is left of the settings.
    pub draft: CrawlDraft<S>,
    /// The form of the output.
    pub format: Format,
    report_file: Option<ReportFile>,
    output: Output,
    cache: Option<Cache>,
}

/// How a program's crawl ended.
#[derive(Debug)]
pub struct Ended {
    /// How the program ends.
    pub exit: Exit,
    /// None when the crawl had to be left before it could say anything.
    pub report: Option<CrawlReport>,
}

impl<S: Spider> Program<S> {
    /// Opens what the settings name.
    ///
    /// # Errors
    /// When something cannot be opened.
    pub fn open(draft: CrawlDraft<S>) -> Result<Self, Failure> {
        let format = output::format(&draft.run).map_err(Failure::Usage)?;
        let report_file = draft.run.report.as_deref().map(ReportFile::open).transpose();
        let report_file = report_file.map_err(Failure::Usage)?;
        let output = Output::open(&draft.run, format).map_err(Failure::Usage)?;
        let cache = draft.run.open_cache().map_err(Failure::Usage)?;
        Ok(Self { draft, format, report_file, output, cache })
    }

    /// Says what people should know before the crawl.
    pub fn hint<'u>(&self, seeds: impl IntoIterator<Item = &'u Url>, display: &Display) {
        let seeds: Vec<Url> = seeds.into_iter().cloned().collect();
        let hints = [self.draft.run.file_hint(), self.draft.run.contact_hint(&seeds)];
        hints.iter().flatten().for_each(|hint| display.say(hint));
    }

    /// Crawls, and shows how it goes. CSV has these columns, or those of the first item; `more` is what the program
    /// adds to the crawler.
    ///
    /// # Errors
    /// When the crawl cannot be run, or fails on the way.
    pub fn crawl(
        self,
        spider: S,
        columns: Option<Vec<String>>,
        more: impl FnOnce(Crawler<S>) -> Crawler<S>,
        display: &Display,
    ) -> Result<Ended, Failure> {
        let (run, closing) = (&self.draft.run, Closing::of(&self.draft.run));
        let (state, keep_formulas) = (run.state(), run.keep_formulas);
        let crawler = self.draft.apply(Crawler::new(spider)).map_err(Failure::Usage)?;
        let mut crawler = more(self.output.apply(crawler, columns, keep_formulas));
        if let Some(cache) = self.cache {
            crawler = crawler.cache(cache);
        }
        if let Some(state) = &state {
            crawler = state.apply(crawler, display);
        }
        let Watched { report, signal } = match watch::run(crawler, display) {
            // Whoever reads has seen enough: that is no error.
            Err(CrawlError::Export(ExportError::Closed { .. })) => {
                if self.report_file.is_some() {
                    say("the output was closed early: there is no report");
                }
                return Ok(Ended { exit: Exit::Done, report: None });
            }
            result => result.map_err(|error| state::failure(error, state.as_ref()))?,
        };
        let Some(report) = report else {
            say("stopped at once: there is no report");
            return Ok(Ended { exit: signal.map_or(Exit::Errors, Exit::Stopped), report });
        };
        if let Some(file) = self.report_file {
            file.write(&report).map_err(Failure::Run)?;
        }
        summary::lines(&report, &closing).iter().for_each(|line| display.say(line));
        let error = match report.stopped {
            Stopped::MemoryLimit => Some(state::outgrown(state.as_ref())),
            _ => summary::error(&report, &closing),
        };
        let exit = match (signal, error) {
            (Some(signal), _) => Exit::Stopped(signal),
            (None, Some(error)) => {
                say(&error);
                Exit::Errors
            }
            (None, None) => Exit::Done,
        };
        Ok(Ended { exit, report: Some(report) })
    }
}
