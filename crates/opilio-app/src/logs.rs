//! Writes log lines to stderr, above the progress bar if there is one.

use std::io::{self, IsTerminal, Write};

use indicatif::ProgressBar;
use tracing_subscriber::EnvFilter;

/// Starts logging. Warnings and errors are logged, and more with `-v`, `-vv` or the environment variable
/// `OPILIO_LOG` (as in `OPILIO_LOG=opilio_engine=debug`).
///
/// # Errors
/// When `OPILIO_LOG` cannot be read.
pub fn begin(verbose: u8, bar: ProgressBar) -> anyhow::Result<()> {
    let by_flag = match verbose {
        0 => "warn",
        1 => {
            "warn,opilio=info,opilio_app=info,opilio_engine=info,opilio_spider=info,opilio_core=info,opilio_fetch=info"
        }
        _ => {
            "info,opilio=debug,opilio_app=debug,opilio_engine=debug,opilio_spider=debug,opilio_core=debug,opilio_fetch=debug"
        }
    };
    let filter = match std::env::var("OPILIO_LOG") {
        Ok(text) => {
            EnvFilter::try_new(&text).map_err(|error| anyhow::anyhow!("OPILIO_LOG {text:?}: {error}"))?
        }
        Err(_) => EnvFilter::new(by_flag),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(move || AboveBar(bar.clone()));
    // This fails if the program has set its own tracing subscriber, which then stays in use.
    let _ = lines.try_init();
    Ok(())
}

/// A writer to stderr that hides the progress bar while it writes.
struct AboveBar(ProgressBar);

impl Write for AboveBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
