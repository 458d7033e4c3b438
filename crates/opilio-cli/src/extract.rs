//! `opilio extract`: what a CSS selector matches in a document.

use anyhow::anyhow;
use clap::Args;
use opilio::extract::NotCss;

use crate::document::DocumentArgs;
use crate::output;
use opilio_app::exit::{Exit, Failure};

/// Prints the text, or an attribute, of each element that a CSS selector matches, one JSON string a line.
///
/// White space of texts is collapsed, with a space where a page breaks the line; scripts and styles are
/// left out. Attributes are printed as they stand there, entities decoded; elements without it print nothing.
/// XML is read as XML: names have their case, and a prefix is part of them ('dc\:creator').
#[derive(Debug, Args)]
pub(crate) struct ExtractArgs {
    #[command(flatten)]
    document: DocumentArgs,
    /// Which elements
    #[arg(long, value_name = "SELECTOR")]
    css: String,
    /// An attribute of the elements instead of their text
    #[arg(long, value_name = "NAME")]
    attr: Option<String>,
    /// The text as it stands in the markup, with all its white space, scripts and styles
    #[arg(long, conflicts_with = "attr")]
    raw: bool,
}

/// Runs the command.
///
/// # Errors
/// When the document cannot be read, the selector is none, or stdout cannot be written.
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
