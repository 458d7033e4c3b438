//! Runs the crawl of a program, from its settings to its exit code.

use std::io::IsTerminal;
use std::path::PathBuf;

use opilio_engine::{CrawlError, CrawlReport, Crawler, Spider, Stopped};
use opilio_export::ExportError;
use url::Url;

use crate::cache::DevelopmentCache;
use crate::exit::{Exit, Failure, one_line, printable, say};
use crate::output::{self, Output};
use crate::progress::Display;
use crate::report_file::ReportFile;
use crate::settings::{CrawlDraft, Format};
use crate::state::{self, StateDir};
use crate::summary::{self, SummaryFacts};
use crate::watch::{self, StartCrawl, Watched};
use crate::{descriptors, filled, logs};

/// Prepares the process: starts logging, and raises the limit of open files as far as the system allows.
///
/// `output_is_stdout` says that items go to stdout, which may be the terminal.
///
/// # Errors
/// When `OPILIO_LOG` cannot be read.
pub fn begin(verbose: u8, quiet: bool, output_is_stdout: bool) -> Result<Display, Failure> {
    let mut display = Display::new(quiet, output_is_stdout && std::io::stdout().is_terminal());
    display.page_errors = logs::begin(verbose, display.bar()).map_err(Failure::Usage)?;
    descriptors::raise();
    Ok(display)
}

/// A crawl whose settings are read and whose files are open. The files are opened before the crawl starts, so that
/// a wrong path is found at once and not after hours of crawling.
pub struct Program {
    /// The settings that still have to be applied to the crawler.
    pub draft: CrawlDraft,
    /// The format of the output.
    pub format: Format,
    report_file: Option<ReportFile>,
    output: Output,
    cache: DevelopmentCache,
    display: Display,
}

/// The end of a program's crawl, with everything to print about it.
#[derive(Debug)]
pub struct Ended {
    /// The exit status of the program.
    pub exit: Exit,
    /// The report, or `None` if the crawl was aborted before it had a report.
    pub report: Option<CrawlReport>,
    /// The output file, or `None` for stdout.
    pub output: Option<PathBuf>,
    /// The lines of the summary, for people.
    pub summary: Vec<String>,
    /// The error to print, if there is one.
    pub error: Option<String>,
    display: Display,
}

impl Ended {
    /// Returns the end of a command that has no report.
    pub(crate) fn without_report(exit: Exit, display: Display) -> Self {
        Self { exit, report: None, output: None, summary: Vec::new(), error: None, display }
    }

    /// Prints the summary and the error. Returns the exit status. Texts of pages in them are shortened, and their
    /// control characters are escaped.
    #[must_use]
    pub fn tell(self) -> Exit {
        self.summary.iter().for_each(|line| self.display.say(&printable(line)));
        self.error.iter().for_each(|line| say(&one_line(line)));
        self.exit
    }
}

impl Program {
    /// Opens the files that the settings name.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn open(draft: CrawlDraft, display: Display) -> Result<Self, Failure> {
        let format = output::format(&draft.run).map_err(Failure::Usage)?;
        let report_file = draft.run.report.as_deref().map(ReportFile::open).transpose();
        let report_file = report_file.map_err(Failure::Usage)?;
        let output = Output::open(&draft.run, format).map_err(Failure::Usage)?;
        let cache = DevelopmentCache::open(&draft.run).map_err(Failure::Usage)?;
        Ok(Self { draft, format, report_file, output, cache, display })
    }

    /// Prints warnings and notes about the settings. To be called before the crawl.
    pub fn hint<'u>(&self, seeds: impl IntoIterator<Item = &'u Url>) {
        let seeds: Vec<Url> = seeds.into_iter().cloned().collect();
        self.draft.run.hint(&seeds, &self.display);
    }

    /// Runs the crawl and shows its progress. A CSV output gets these columns, or, if there are none, those of the
    /// first item. `more` changes the crawler after the settings have been applied.
    ///
    /// # Errors
    /// When the crawler refuses the settings, or the crawl fails.
    pub fn crawl<S: Spider>(
        self,
        spider: S,
        columns: Option<Vec<String>>,
        more: impl FnOnce(Crawler<S>) -> Crawler<S>,
    ) -> Result<Ended, Failure> {
        let Self { draft, report_file, output, cache, display, .. } = self;
        let (run, facts) = (&draft.run, SummaryFacts::of(&draft.run, &display));
        let (state, keep_formulas, file) = (run.state(), run.keep_formulas, run.output.clone());
        let crawler = draft.crawler(spider).map_err(Failure::Usage)?;
        let mut crawler = cache.apply(more(output.apply(crawler, columns, keep_formulas)));
        if let Some(state) = &state {
            crawler = state.apply(crawler);
        }
        let run = ProgramRun { state, file, report_file, facts, display };
        run.watch(Box::new(move || crawler.start()))
    }
}

/// A crawl of a program that only has to be started.
struct ProgramRun {
    state: Option<StateDir>,
    /// The output file, or `None` for stdout.
    file: Option<PathBuf>,
    report_file: Option<ReportFile>,
    facts: SummaryFacts,
    display: Display,
}

impl ProgramRun {
    /// Runs the crawl, shows its progress, and writes the report.
    fn watch(self, start: StartCrawl) -> Result<Ended, Failure> {
        let Self { state, file, report_file, facts, display } = self;
        let news = state.as_ref().and_then(StateDir::news);
        let watched = watch::run_started_by(start, &display, news.as_deref());
        let Watched { report, signal } = match watched {
            // The reader of the output has closed the pipe, which is not an error.
            Err(CrawlError::Export(ExportError::Closed { .. })) => {
                let error = report_file.map(|_| "the output was closed early: there is no report".into());
                return Ok(Ended {
                    exit: Exit::Done,
                    report: None,
                    output: file,
                    summary: Vec::new(),
                    error,
                    display,
                });
            }
            result => result.map_err(|error| state::failure(error, state.as_ref()))?,
        };
        let Some(mut report) = report else {
            let exit = signal.map_or(Exit::Errors, Exit::Stopped);
            let error = Some("stopped at once: there is no report".to_owned());
            return Ok(Ended { exit, report, output: file, summary: Vec::new(), error, display });
        };
        if signal.is_some() && report.stopped == Stopped::Interrupted {
            report.stopped = Stopped::Signal;
        }
        if let Some(file) = report_file {
            file.write(&report).map_err(Failure::Run)?;
        }
        let mut summary = summary::lines(&report, &facts);
        let error = match (signal, report.stopped) {
            (Some(_), _) => None,
            (None, Stopped::MemoryLimit) => Some(state::outgrown(state.as_ref())),
            (None, _) => summary::error(&report, &facts),
        };
        if error != filled::error(&report) {
            summary.extend(filled::unmet(&report));
        }
        let exit = match (signal, &error) {
            (Some(signal), _) => Exit::Stopped(signal),
            (None, Some(_)) => Exit::Errors,
            (None, None) => Exit::Done,
        };
        Ok(Ended { exit, report: Some(report), output: file, summary, error, display })
    }
}
