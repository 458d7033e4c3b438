//! `--output` and `--format`: where pages go, and in which form.

use std::path::Path;

use clap::ValueEnum;
use opilio::{Crawler, Csv, JsonLines};

use crate::crawl::args::CrawlArgs;
use crate::crawl::spider::PageSpider;

/// The form of the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line
    Jsonl,
    /// A header, and one row a page (RFC 4180)
    Csv,
}

impl Format {
    /// What the flag says, or the ending of the file.
    ///
    /// # Errors
    /// When the ending is that of a format which is not written here.
    pub(crate) fn of(args: &CrawlArgs) -> anyhow::Result<Self> {
        if let Some(format) = args.format {
            return Ok(format);
        }
        let ending = args.output.as_deref().and_then(Path::extension).unwrap_or_default();
        let ending = ending.to_string_lossy().to_ascii_lowercase();
        if OTHERS.contains(&&*ending) {
            anyhow::bail!(
                "--output: .{ending} is the ending of another format: pages are written as JSON Lines (.jsonl) or CSV \
                 (.csv), and --format says which, whatever the file is called"
            );
        }
        Ok(if ending == "csv" { Self::Csv } else { Self::Jsonl })
    }
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
    pub(crate) fn open(args: &CrawlArgs, format: Format) -> anyhow::Result<Self> {
        Ok(match (format, &args.output) {
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
