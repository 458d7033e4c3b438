//! `--output` and `--format`: where pages go, and in which form.

use std::path::Path;

use opilio::{Crawler, Csv, JsonLines};

use crate::crawl::spider::PageSpider;
use opilio_app::settings::{Format, RunSettings};

/// The form of the output: what the flag says, or the ending of the file.
///
/// # Errors
/// When the ending is that of a format which is not written here.
pub(crate) fn format(run: &RunSettings) -> anyhow::Result<Format> {
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

/// An output that was opened.
pub(crate) enum PageOutput {
    Jsonl(JsonLines),
    Csv(Csv),
}

impl PageOutput {
    /// Opens what the flags say.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub(crate) fn open(run: &RunSettings, format: Format) -> anyhow::Result<Self> {
        Ok(match (format, &run.output) {
            (Format::Jsonl, Some(path)) => Self::Jsonl(JsonLines::create(path)?),
            (Format::Jsonl, None) => Self::Jsonl(JsonLines::stdout()),
            (Format::Csv, Some(path)) => Self::Csv(Csv::create(path)?),
            (Format::Csv, None) => Self::Csv(Csv::stdout()),
        })
    }

    /// Hands it to a crawler; `columns` are those of its items.
    pub(crate) fn apply(
        self,
        crawler: Crawler<PageSpider>,
        columns: Vec<String>,
        keep_formulas: bool,
    ) -> Crawler<PageSpider> {
        match self {
            Self::Jsonl(export) => crawler.export(export),
            Self::Csv(export) if keep_formulas => crawler.export(export.columns(columns).keep_formulas()),
            Self::Csv(export) => crawler.export(export.columns(columns)),
        }
    }
}

/// Endings that promise what would not be in the file.
const OTHERS: [&str; 16] = [
    "tsv", "tab", "xls", "xlsx", "ods", "xml", "html", "yaml", "yml", "parquet", "avro", "arrow", "feather",
    "db", "sqlite", "gz",
];
