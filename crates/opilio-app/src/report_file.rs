//! The flag `--report FILE`: writes the report of a crawl to a file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use opilio_engine::CrawlReport;

/// The file for the report. It is opened before the crawl starts, so that a wrong path is found at once and not
/// after hours of crawling.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    file: File,
}

impl ReportFile {
    /// Opens the file for the report.
    ///
    /// # Errors
    /// When the file cannot be opened for writing.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("cannot open the report {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Replaces the file's content with the report.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(self, report: &CrawlReport) -> anyhow::Result<()> {
        let context = || format!("cannot write the report {}", self.path.display());
        // Only files can be cut: pipes and devices have no length.
        if self.file.metadata().is_ok_and(|meta| meta.is_file()) {
            self.file.set_len(0).with_context(context)?;
        }
        let mut out = BufWriter::new(&self.file);
        serde_json::to_writer(&mut out, report).with_context(context)?;
        out.write_all(b"\n").and_then(|()| out.flush()).with_context(context)
    }
}
