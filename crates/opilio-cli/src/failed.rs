//! The command `opilio failed`: lists the failures of the crawl in a state directory.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;
use opilio::FailureRecord;
use opilio::frontier::{DiskFrontier, DiskOptions, Durability, Frontier, FrontierError};

use opilio_app::exit::{Exit, Failure};
use opilio_app::state::leave_panics_to_the_store;

/// Lists the failures of the crawl in a state directory, the oldest first, as JSON lines: url, reason, attempts,
/// and, if they are known, status, error and referrer (the page that links to the URL).
///
/// Does not work while the crawl runs, since the directory is locked then. `opilio crawl --resume --retry-failed`
/// tries the failed URLs again.
#[derive(Debug, Args)]
pub(crate) struct FailedArgs {
    /// State directory of the crawl
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
}

/// Runs `opilio failed`.
///
/// # Errors
/// When the directory holds no crawl, or the crawl cannot be read.
pub(crate) fn run(args: &FailedArgs) -> Result<Exit, Failure> {
    leave_panics_to_the_store();
    let options = DiskOptions { durability: Durability::Process, ..DiskOptions::default() };
    let store = DiskFrontier::open_any(&args.state, options).map_err(|error| match error {
        FrontierError::Missing { .. } | FrontierError::OtherFormat { .. } => Failure::usage(error),
        error => Failure::run(error),
    })?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    match list(&store, &mut out) {
        // The reader of the output has closed the pipe, which is not an error.
        Err(error) if error.downcast_ref().map(std::io::Error::kind) == Some(ErrorKind::BrokenPipe) => {
            Ok(Exit::Done)
        }
        result => result.map(|()| Exit::Done).map_err(Failure::Run),
    }
}

fn list(store: &DiskFrontier, out: &mut impl Write) -> anyhow::Result<()> {
    let mut from = 0;
    loop {
        let failures = store.failures(from, AT_ONCE)?;
        if failures.is_empty() {
            return Ok(out.flush()?);
        }
        from += failures.len() as u64;
        for failure in failures {
            let line = FailureRecord::from(failure);
            serde_json::to_writer(&mut *out, &line).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        }
    }
}

const AT_ONCE: usize = 4_096;
