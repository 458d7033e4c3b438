//! The command `opilio url canonicalize`: prints the key by which a crawl recognises a URL.

use clap::{Args, Subcommand};
use opilio::core::{canonicalize, strip_tracking, without_session_ids};

use crate::crawl::web_url;
use crate::output;
use opilio_app::exit::{Exit, Failure};

/// Shows how a crawl reads URLs.
#[derive(Debug, Args)]
pub(crate) struct UrlArgs {
    #[command(subcommand)]
    command: UrlCommand,
}

#[derive(Debug, Subcommand)]
enum UrlCommand {
    Canonicalize(CanonicalizeArgs),
}

/// Prints the dedup key of each URL, one on each line: URLs with equal keys are one URL to a crawl.
///
/// The key has no fragment, no default port, no user name and no session id; the host is lower-case punycode;
/// parameters of the query are sorted by name, then value; escapes of unreserved characters are decoded, other
/// escapes are upper-case. For a text that is not a URL that can be crawled, the line is "error", a tab and the
/// reason, and the exit code is 1.
#[derive(Debug, Args)]
struct CanonicalizeArgs {
    /// Removes well-known tracking parameters, such as utm_source, gclid and fbclid
    #[arg(long)]
    strip_tracking: bool,
    /// Keeps session ids, such as ;jsessionid= and PHPSESSID=
    #[arg(long)]
    keep_session_ids: bool,
    /// URLs whose keys are printed
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
}

/// Runs `opilio url canonicalize`.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(args: &UrlArgs) -> Result<Exit, Failure> {
    let UrlCommand::Canonicalize(args) = &args.command;
    let mut exit = Exit::Done;
    output::lines(|out| {
        args.urls.iter().try_for_each(|text| match web_url(text) {
            Ok(mut url) => {
                if args.strip_tracking {
                    strip_tracking(&mut url);
                }
                let key = if args.keep_session_ids {
                    canonicalize(&url)
                } else {
                    canonicalize(&without_session_ids(&url))
                };
                writeln!(out, "{key}")
            }
            Err(why) => {
                exit = Exit::Errors;
                writeln!(out, "error\t{why}")
            }
        })
    })?;
    Ok(exit)
}
