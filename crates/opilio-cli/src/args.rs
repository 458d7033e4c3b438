//! The commands. The flags of each command are in its own module.

use clap::{Parser, Subcommand};

use crate::crawl::CrawlArgs;
use crate::explain::ExplainArgs;
use crate::extract::ExtractArgs;
use crate::failed::FailedArgs;
use crate::fetch::FetchArgs;
use crate::links::LinksArgs;
use crate::project::ProjectCommand;
use crate::robots::RobotsArgs;
use crate::sandbox::SandboxArgs;
use crate::sitemap::SitemapArgs;
use crate::urls::UrlArgs;

/// A polite crawler, and small tools for authors of crawlers.
///
/// Data goes to stdout; logs, progress and summaries go to stderr.
#[derive(Debug, Parser)]
#[command(name = "opilio", version, after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: ToolCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ToolCommand {
    // The arguments of this command are boxed, since they are far larger than those of the other commands.
    Crawl(Box<CrawlArgs>),
    Explain(ExplainArgs),
    Extract(ExtractArgs),
    Failed(FailedArgs),
    Links(LinksArgs),
    Fetch(Box<FetchArgs>),
    Robots(RobotsArgs),
    #[command(flatten)]
    Project(ProjectCommand),
    Sandbox(SandboxArgs),
    Sitemap(SitemapArgs),
    Url(UrlArgs),
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 finished, but its result holds errors; 2 wrong usage; \
130 or 143 after an orderly stop by SIGINT or SIGTERM.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_make_sense_to_clap() {
        Cli::command().debug_assert();
    }
}
