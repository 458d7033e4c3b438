//! The flags `--output` and `--format`: where pages are written, and in which format.

use std::path::Path;

use opilio_engine::{Crawler, Spider};
use opilio_export::{Csv, JsonLines};

use crate::settings::{Format, RunSettings};

/// Returns the format of the output: the one that `--format` names, or else the one of the file's ending.
///
/// # Errors
/// When the file's ending belongs to a format that Opilio cannot write.
pub fn format(run: &RunSettings) -> anyhow::Result<Format> {
    if let Some(format) = run.format {
        return Ok(format);
    }
    let ending = run.output.as_deref().and_then(Path::extension).unwrap_or_default();
    let ending = ending.to_string_lossy().to_ascii_lowercase();
    if OTHERS.contains(&&*ending) {
        anyhow::bail!(
            "--output: .{ending} is the ending of another format: pages are written as JSON Lines (.jsonl) or CSV \
             (.csv), and --format says which, whatever the file is called"
        );
    }
    Ok(if ending == "csv" { Format::Csv } else { Format::Jsonl })
}

/// An output that is open for writing.
pub enum Output {
    /// An output in the format JSON Lines.
    Jsonl(JsonLines),
    /// An output in the format CSV.
    Csv(Csv),
}

impl Output {
    /// Opens the output that the settings name.
    ///
    /// # Errors
    /// When the file cannot be opened for writing.
    pub fn open(run: &RunSettings, format: Format) -> anyhow::Result<Self> {
        Ok(match (format, &run.output) {
            (Format::Jsonl, Some(path)) => Self::Jsonl(JsonLines::create(path)?),
            (Format::Jsonl, None) => Self::Jsonl(JsonLines::stdout()),
            (Format::Csv, Some(path)) => Self::Csv(Csv::create(path)?),
            (Format::Csv, None) => Self::Csv(Csv::stdout()),
        })
    }

    /// Adds the output to a crawler. If no columns are given, CSV has the fields of the first item as its columns.
    #[must_use]
    pub fn apply<S: Spider>(
        self,
        crawler: Crawler<S>,
        columns: Option<Vec<String>>,
        keep_formulas: bool,
    ) -> Crawler<S> {
        match self {
            Self::Jsonl(export) => crawler.export(export),
            Self::Csv(export) => {
                let export = if keep_formulas { export.keep_formulas() } else { export };
                match columns {
                    Some(columns) => crawler.export(export.columns(columns)),
                    None => crawler.export(export),
                }
            }
        }
    }
}

/// File name endings of formats that Opilio cannot write. A file with another unknown ending gets JSON Lines.
const OTHERS: [&str; 16] = [
    "tsv", "tab", "xls", "xlsx", "ods", "xml", "html", "yaml", "yml", "parquet", "avro", "arrow", "feather",
    "db", "sqlite", "gz",
];
