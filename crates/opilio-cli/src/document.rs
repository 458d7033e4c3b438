//! Reads a document from a file or stdin, for the tools that look at one document.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use opilio::extract::{Document, Kind};
use url::Url;

use opilio_app::exit::Failure;

/// The arguments that name a document, its URL and its content type.
#[derive(Debug, Args)]
pub(crate) struct DocumentArgs {
    /// File with the document, or - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// URL of the document (http or https), for its relative links
    #[arg(long, value_name = "URL", value_parser = crate::crawl::web_url)]
    base: Option<Url>,
    /// Content-Type of the document, as in 'text/html; charset=shift_jis' [default: HTML or XML by its
    /// content, with the encoding that it names or seems to have]
    #[arg(long, value_name = "VALUE")]
    content_type: Option<String>,
}

impl DocumentArgs {
    /// Reads the document.
    ///
    /// # Errors
    /// When the document cannot be read.
    pub(crate) fn read(&self) -> Result<Document, Failure> {
        let base = self.base.clone().or_else(|| Url::parse(NOWHERE).ok());
        self.read_from(base.ok_or_else(|| Failure::Usage(anyhow!("{NOWHERE} is no URL")))?)
    }

    /// Reads a document for a tool that prints its links.
    ///
    /// # Errors
    /// When the document cannot be read, or it has relative links and no URL to resolve them by.
    pub(crate) fn read_linked(&self) -> Result<Document, Failure> {
        let base = self.base.clone().context(
            "--base is missing: the URL that the document came from, which its links are relative to, as in --base https://shop.example/lamps",
        );
        self.read_from(base.map_err(Failure::Usage)?)
    }

    fn read_from(&self, base: Url) -> Result<Document, Failure> {
        let body = read_file(&self.file).map_err(Failure::Usage)?;
        let document = Document::new(base.clone(), self.content_type.as_deref(), body.into());
        // A part of an HTML page may begin with text, which makes it look like plain text: it is read as HTML.
        if self.content_type.is_none() && document.kind() == Kind::Text {
            return Ok(Document::new(base, Some("text/html"), document.body().clone()));
        }
        Ok(document)
    }

    /// Prints a warning on stderr if a part of the document was not read, or if the document differs from its
    /// Content-Type.
    pub(crate) fn warn(document: &Document) {
        let flaw = document.flaw().map(|flaw| flaw.to_string());
        let cut = document.cut().map(|cut| format!("it was not read to its end: {cut}"));
        for what in flaw.into_iter().chain(cut) {
            // Writing fails if stderr is closed. Then nobody can read the warning anyway.
            let _ = writeln!(std::io::stderr(), "opilio: the document: {what}");
        }
    }
}

/// Reads a whole file, or stdin if the path is `-`.
///
/// # Errors
/// When the file cannot be read, or is larger than 256 MiB.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let (from, name) = open(path)?;
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("read {name}"))?;
    ensure!(bytes.len() as u64 <= FILE_BYTES_MAX, "read {name}: it is larger than 256 MiB");
    Ok(bytes)
}

/// Opens a file, or stdin if the path is `-`. Also returns the name of the file for messages.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn open(path: &Path) -> anyhow::Result<(Box<dyn Read + Send>, String)> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), "stdin".to_owned()));
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    // On Unix a directory can be opened like a file, and only reading it would fail.
    ensure!(!file.metadata().is_ok_and(|meta| meta.is_dir()), "cannot open {name}: it is a directory");
    Ok((Box::new(file), name))
}

/// The URL that a document gets if its own URL is not known. No link is resolved by this URL.
const NOWHERE: &str = "http://document.invalid/";
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
