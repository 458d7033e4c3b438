//! The command `opilio sitemap`: prints the entries of a sitemap file while it reads the file.

use std::path::PathBuf;

use clap::Args;
use opilio::robots::sitemap::{self, Bounds};

use crate::document::open;
use crate::output;
use opilio_app::exit::{Exit, Failure};

/// Prints the entries of a sitemap, one JSON object a line: loc, lastmod, changefreq, priority, kind.
///
/// Reads XML sitemaps and indexes, RSS and Atom feeds, and lists of URLs, gzipped or not: the format is recognised
/// by the bytes. Values that the file does not state are null; kind is url, or sitemap for the entries of an index.
/// If a file is broken or too large, the entries before that place are printed, and the exit code is 1.
#[derive(Debug, Args)]
pub(crate) struct SitemapArgs {
    /// File with the sitemap, or - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs `opilio sitemap`.
///
/// # Errors
/// When the file cannot be opened, or stdout cannot be written.
pub(crate) fn run(args: &SitemapArgs) -> Result<Exit, Failure> {
    let (file, name) = open(&args.file).map_err(Failure::Usage)?;
    let mut broken = None;
    output::lines(|out| {
        for entry in sitemap::read(file, &Bounds::default()) {
            match entry {
                Ok(entry) => output::json(out, &entry)?,
                Err(error) => broken = Some(anyhow::Error::new(error).context(name.clone())),
            }
        }
        Ok(())
    })?;
    broken.map_or(Ok(Exit::Done), |error| Err(Failure::Run(error)))
}
