//! The command `opilio extract`: prints the matches of a CSS selector in a document.

use anyhow::anyhow;
use clap::Args;
use opilio::extract::NotCss;

use crate::document::DocumentArgs;
use crate::output;
use opilio_app::exit::{Exit, Failure};

/// Prints the text, or an attribute, of each element that a CSS selector matches, one JSON string a line.
///
/// Collapses white space in texts, with a space at line breaks; leaves out scripts and styles. Prints
/// attributes as written, with entities decoded; skips elements without the attribute. Reads XML as XML:
/// names keep their case, and a prefix is part of the name ('dc\:creator').
#[derive(Debug, Args)]
pub(crate) struct ExtractArgs {
    #[command(flatten)]
    document: DocumentArgs,
    /// CSS selector of the elements
    #[arg(long, value_name = "SELECTOR")]
    css: String,
    /// Prints this attribute of the elements instead of their text
    #[arg(long, value_name = "NAME")]
    attr: Option<String>,
    /// Prints the text as in the markup, with all white space, scripts and styles
    #[arg(long, conflicts_with = "attr")]
    raw: bool,
}

/// Runs `opilio extract`.
///
/// # Errors
/// When the document or the selector cannot be read, or stdout cannot be written.
pub(crate) fn run(args: &ExtractArgs) -> Result<Exit, Failure> {
    let document = args.document.read()?;
    let matches = document.css(&args.css).map_err(|error| match NotCss::find(&args.css) {
        Some(NotCss::Attr { name, selector }) => {
            Failure::Usage(anyhow!("{error}, as in --css '{selector}' --attr {name}"))
        }
        _ => Failure::usage(error),
    })?;
    output::lines(|out| match &args.attr {
        Some(name) => matches.attrs(name).iter().try_for_each(|value| output::json(out, value)),
        None if args.raw => matches.iter().try_for_each(|element| output::json(out, &element.raw_text())),
        None => matches.iter().try_for_each(|element| output::json(out, &element.text())),
    })?;
    DocumentArgs::warn(&document);
    Ok(Exit::Done)
}
