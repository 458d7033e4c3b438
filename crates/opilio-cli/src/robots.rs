//! The command `opilio robots`: prints what a robots.txt allows, as the parser of a crawl reads it.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use opilio::fetch::USER_AGENT;
use opilio::robots::{ROBOTS_BYTES_MAX, Robots};
use url::Url;

use crate::document::open;
use crate::output;
use opilio_app::exit::{Exit, Failure};

/// Reads a robots.txt file as a crawl does (RFC 9309).
#[derive(Debug, Args)]
pub(crate) struct RobotsArgs {
    #[command(subcommand)]
    command: RobotsCommand,
}

#[derive(Debug, Subcommand)]
enum RobotsCommand {
    Check(CheckArgs),
    Show(ShowArgs),
}

/// Prints allow or disallow, a tab and the URL, one line for each URL.
///
/// The exit code is 0 even if a URL is disallowed.
#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    whose: RobotsFile,
    /// URLs (http or https), or paths that begin with /
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
}

/// Prints one JSON object: crawl_delay_ms (or null), as the file states it, and sitemaps.
///
/// A crawl obeys the delay up to its --max-crawl-delay.
#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    whose: RobotsFile,
}

/// The robots.txt file, and the user agent whose rules are read from it.
#[derive(Debug, Args)]
struct RobotsFile {
    /// File with the robots.txt, or - for stdin
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Product token, or a whole User-Agent header that begins with one
    #[arg(long, value_name = "UA", default_value = USER_AGENT, env = "OPILIO_USER_AGENT")]
    user_agent: String,
}

/// Runs `opilio robots`.
///
/// # Errors
/// When the file cannot be read, an argument is not a URL, or stdout cannot be written.
pub(crate) fn run(args: &RobotsArgs) -> Result<Exit, Failure> {
    match &args.command {
        RobotsCommand::Check(args) => check(args),
        RobotsCommand::Show(args) => show(args),
    }
}

fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    // All arguments are read before any result is printed, so that a wrong one does not leave half of the results.
    let asked = args.urls.iter().map(|text| RuleQuery::read(text));
    let asked = asked.collect::<anyhow::Result<Vec<_>>>().map_err(Failure::Usage)?;
    let robots = args.whose.read()?;
    output::lines(|out| {
        args.urls.iter().zip(asked).try_for_each(|(text, asked)| {
            let allowed = match asked {
                RuleQuery::Url(url) => robots.allows_url(&url),
                RuleQuery::Path(path) => robots.allows(path),
            };
            writeln!(out, "{}\t{text}", if allowed { "allow" } else { "disallow" })
        })
    })?;
    Ok(Exit::Done)
}

fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let summary = args.whose.read()?.summary();
    output::lines(|out| output::json(out, &summary))?;
    Ok(Exit::Done)
}

impl RobotsFile {
    fn read(&self) -> Result<Robots, Failure> {
        let (file, name) = open(&self.file).map_err(Failure::Usage)?;
        let mut bytes = Vec::new();
        // One byte more is read than the parser uses, so that the parser notices a longer file.
        let read = file.take(ROBOTS_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
        read.with_context(|| format!("cannot read {name}")).map_err(Failure::Run)?;
        Ok(Robots::parse(&bytes, &self.user_agent))
    }
}

enum RuleQuery<'a> {
    Url(Url),
    Path(&'a str),
}

impl<'a> RuleQuery<'a> {
    fn read(text: &'a str) -> anyhow::Result<Self> {
        if text.starts_with('/') {
            return Ok(Self::Path(text));
        }
        let url = Url::parse(text).map_err(|error| anyhow!("{text:?} is not a URL: {error}"))?;
        match url.scheme() {
            "http" | "https" => Ok(Self::Url(url)),
            scheme => Err(anyhow!("{text:?}: robots.txt rules nothing of scheme {scheme}")),
        }
    }
}
