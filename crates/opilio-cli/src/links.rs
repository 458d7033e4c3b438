//! The command `opilio links`: prints the links of a document.

use clap::Args;
use opilio::fetch::USER_AGENT;
use serde::Serialize;

use crate::document::DocumentArgs;
use crate::output;
use opilio_app::exit::{Exit, Failure};

/// Prints the links of a document, one JSON object a line.
///
/// Fields: url (absolute, http or https, without fragment), text (of the link, white space collapsed; for a
/// picture its alt, for a feed's entry its title), rel (as written, or null), nofollow (the link or the page
/// asks not to follow it), kind. Lines are in document order, each URL once.
#[derive(Debug, Args)]
pub(crate) struct LinksArgs {
    #[command(flatten)]
    document: DocumentArgs,
}

/// One line of the output: one link.
#[derive(Serialize)]
struct Line<'a> {
    url: &'a str,
    text: &'a str,
    rel: Option<&'a str>,
    nofollow: bool,
    kind: &'a str,
}

/// Runs `opilio links`.
///
/// # Errors
/// When the document cannot be read, or stdout cannot be written.
pub(crate) fn run(args: &LinksArgs) -> Result<Exit, Failure> {
    let document = args.document.read_linked()?;
    let all_unfollowed = document.robots(USER_AGENT).nofollow;
    output::lines(|out| {
        document.links_with_text(|_| true).iter().try_for_each(|link| {
            let line = Line {
                url: link.url.as_str(),
                text: link.text.as_deref().unwrap_or_default(),
                rel: link.rel.as_deref(),
                nofollow: link.nofollow || all_unfollowed,
                kind: link.kind.as_str(),
            };
            output::json(out, &line)
        })
    })?;
    DocumentArgs::warn(&document);
    Ok(Exit::Done)
}
