//! Writes log lines to stderr, above the progress bar if there is one.

use std::io::{self, IsTerminal, Write};

use opilio_engine::LOG_OF_REPORT;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::status_line::StatusLine;

/// Starts logging. Warnings and errors are logged, and more with `-v`, `-vv` or the environment variable
/// `OPILIO_LOG` (as in `OPILIO_LOG=opilio_engine=debug`). Returns where the errors of pages are told.
///
/// # Errors
/// When `OPILIO_LOG` cannot be read.
pub fn begin(verbose: u8, bar: StatusLine) -> anyhow::Result<PageErrors> {
    let by_flag = match verbose {
        0 => "warn",
        1 => {
            "warn,opilio=info,opilio_app=info,opilio_engine=info,opilio_spider=info,opilio_core=info,opilio_fetch=info"
        }
        _ => {
            "info,opilio=debug,opilio_app=debug,opilio_engine=debug,opilio_spider=debug,opilio_core=debug,opilio_fetch=debug"
        }
    };
    let targets = match std::env::var("OPILIO_LOG") {
        Ok(text) => targets(&text).map_err(|error| anyhow::anyhow!("OPILIO_LOG {text:?}: {error}"))?,
        Err(_) => targets(by_flag)?,
    };
    // The summary and the error line tell these faults.
    let targets = targets.with_target(LOG_OF_REPORT, LevelFilter::OFF);
    let logs_page_errors = targets.would_enable(LOG_OF_PARSE, &Level::WARN);
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(move || AboveBar(bar.clone()));
    let lines = tracing_subscriber::registry().with(lines).with(targets);
    // This fails if the program has set its own tracing subscriber, which then stays in use.
    let is_ours = lines.try_init().is_ok();
    Ok(if is_ours && logs_page_errors { PageErrors::Logged } else { PageErrors::InSummary })
}

/// Where the errors and panics of `parse` are told, with their whole texts: once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageErrors {
    /// In the log, as the pages come. The summary only names the pages.
    Logged,
    /// In the summary, which tells the first ones.
    InSummary,
}

/// The target of the log lines with these errors.
const LOG_OF_PARSE: &str = "opilio_spider::reading";

/// Reads which modules log from which level on, as in `warn,opilio_engine=debug`. A text without any says that only
/// errors are logged.
///
/// Tracing's `EnvFilter` could filter by spans, too, which Opilio has not. It takes 2 s of CPU more to compile.
fn targets(text: &str) -> Result<Targets, ParseError> {
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    match &parts[..] {
        [] => Ok(Targets::new().with_default(LevelFilter::ERROR)),
        parts => parts.join(",").parse(),
    }
}

/// A writer of log lines to stderr that hides the progress bar while it writes. It gets each line as a whole.
struct AboveBar(StatusLine);

impl Write for AboveBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut line = self.0.log_prefix().into_bytes();
        line.extend_from_slice(bytes);
        self.0.suspend(|| io::stderr().write_all(&line)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    #[test]
    fn levels_are_those_of_modules_and_of_all_others() {
        let levels = |text: &str, module: &str| {
            let targets = targets(text).unwrap();
            let levels = [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG];
            levels
                .into_iter()
                .filter_map(LevelFilter::into_level)
                .take_while(|level| targets.would_enable(module, level))
                .count()
        };
        for (text, engine, others) in [
            ("warn,opilio_engine=debug", 4, 2),
            ("opilio_engine=info", 3, 0),
            ("opilio_engine", 4, 0),
            ("OPILIO=warn, opilio_engine::host=debug,,info,", 3, 3),
            ("off", 0, 0),
            ("", 1, 1),
        ] {
            assert_eq!(
                (levels(text, "opilio_engine::shard"), levels(text, "hyper")),
                (engine, others),
                "{text}"
            );
        }
        assert!(targets("opilio=loud").is_err());
        assert!(targets("opilio=info=debug").is_err());
    }
}
