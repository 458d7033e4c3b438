//! The flags of `opilio crawl`: the flags of every crawl, and those that only this command has.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Args};
use opilio::extract::NamedField;
use opilio_app::settings::{CommandKind, CrawlDraft, Flags, HasSettings, SettingsTable};
use url::Url;

use crate::crawl::{seeds, spider};

/// Crawls from these URLs, politely, and prints each page as one JSON object or one CSV row.
///
/// Fields of a page: url (the requested one), final_url (after redirects), status, title (or null), depth (links
/// from a seed), bytes (of the body), links (number of links), and one for each --css: the text of the selector's
/// first match, null without a match, or what the field's words ask for. If a URL is redirected to a known page,
/// its line is {"url", "final_url", "alias": true}. With --merge-canonical a page also has the field canonical (the
/// canonical URL that the page names, or null), and an alias has that URL as its final_url.
///
/// In CSV (--output FILE.csv, or --format csv) these are the columns, in this order; the last one is alias,
/// true for aliases. Null is an empty cell, an empty text is "", a list is JSON.
///
/// Settings come from flags, then the environment, then opilio.toml (in this directory, or named by
/// --config). A [host."…"] section of that file is more exact than a flag for all hosts, and wins for its
/// host.
#[derive(Debug, Args)]
#[command(after_help = "\
Times are written as 500ms, 30s, 5m, 1h or 2d; sizes as 500KB or 10MiB; rates as 2/s, 60/m or 1000/h.

Exit codes: 0 done; 1 not a single page, and at least one failure or all filtered, or not a single request, or a field filled less often \
than --expect asks for, or the output could not be written to its end, or --memory-limit ended it; 2 usage: nothing was fetched; 130 or 143 after an orderly stop by SIGINT or SIGTERM (a second \
signal stops at once).")]
pub(crate) struct CrawlArgs {
    #[command(flatten)]
    flags: Flags<CrawlFlags>,
}

impl CrawlArgs {
    /// Reads the settings that this command has in common with the programs of spiders.
    ///
    /// # Errors
    /// When the settings file cannot be read, or a setting is wrong.
    pub(crate) fn settings(&self) -> anyhow::Result<CrawlDraft> {
        self.flags.read()
    }

    /// Returns how often -v was given, and whether -q was given.
    pub(crate) fn messages(&self) -> (u8, bool) {
        let matches = self.flags.matches();
        (matches.get_count("verbose"), matches.get_flag("quiet"))
    }

    /// Returns the file for pages, or `None` for stdout.
    pub(crate) fn output(&self) -> Option<&PathBuf> {
        self.flags.matches().get_one("output")
    }

    /// Returns the state directory of the crawl, if the crawl is to be resumed.
    pub(crate) fn resumed(&self) -> Option<&PathBuf> {
        let matches = self.flags.matches();
        matches.get_one("state").filter(|_| matches.get_flag(RESUME))
    }

    /// Returns the seeds, as the user wrote them.
    pub(crate) fn seeds(&self) -> Vec<&String> {
        self.flags.matches().get_many(SEEDS).into_iter().flatten().collect()
    }

    /// Returns the file with more seeds, if one is named.
    pub(crate) fn urls(&self) -> Option<&PathBuf> {
        self.flags.matches().get_one(URLS)
    }

    /// Returns the sitemaps that the user named: their pages are seeds.
    pub(crate) fn sitemap(&self) -> Vec<Url> {
        self.flags.matches().get_many(SITEMAP).into_iter().flatten().cloned().collect()
    }

    /// Returns whether the sitemaps of the seeds' hosts are read, in addition to the seeds.
    pub(crate) fn sitemaps(&self) -> bool {
        self.flags.matches().get_flag(SITEMAPS)
    }

    /// Returns the fields that are added to each page.
    pub(crate) fn css(&self) -> Vec<NamedField> {
        self.flags.matches().get_many(CSS).into_iter().flatten().cloned().collect()
    }

    /// Returns the directory for the bodies of pages, if bodies are kept.
    pub(crate) fn bodies(&self) -> Option<&PathBuf> {
        self.flags.matches().get_one(BODIES)
    }
}

/// The settings of a crawl with this command's own flags inserted among them: a type that is used only for its
/// trait.
#[derive(Debug)]
enum CrawlFlags {}

impl HasSettings for CrawlFlags {
    fn settings() -> SettingsTable {
        let path = |name: &'static str| Arg::new(name).long(name).value_parser(ValueParser::path_buf());
        let own = |name: &'static str| Arg::new(name).long(name).help_heading("What");
        SettingsTable::of(CommandKind::Crawl)
        .with_own(
            None,
            [
                Arg::new(SEEDS)
                    .value_name("URL")
                    .num_args(1..)
                    .action(ArgAction::Append)
                    .required_unless_present_any([URLS, SITEMAP, RESUME])
                    .help(
                        "Where to begin (http or https). A crawl that --resume goes on with has its own, and takes \
                         further ones",
                    ),
                path(URLS)
                    .value_name("FILE")
                    .help("Further URLs to begin at, one a line; # begins a comment line, - reads stdin"),
            ],
        )
        .with_own(
            Some("max-duration"),
            [
                own(SITEMAP)
                    .value_name("URL")
                    .action(ArgAction::Append)
                    .value_parser(ValueParser::new(seeds::web_url))
                    .help(
                        "Begins at the pages that this sitemap lists (or index, feed, list of URLs; gzipped or \
                         not); may be repeated",
                    ),
                own(SITEMAPS).action(ArgAction::SetTrue).help(
                    "Begins at the pages of the sitemaps, too, that the robots.txt of the seeds' hosts name, or \
                     at /sitemap.xml where it names none; sitemaps are counted apart from pages",
                ),
                own(CSS)
                    .value_name("NAME[WORDS]=SELECTOR")
                    .action(ArgAction::Append)
                    .value_parser(ValueParser::new(spider::field))
                    .help(CSS_HELP)
                    .long_help([CSS_HELP, CSS_LONG_HELP].join("\n\n")),
            ],
        )
        .with_own(
            Some("cache-for"),
            [path(BODIES).value_name("DIR").help_heading("Where").help(
                "Keeps each body as a file named by its SHA-256, and adds a field file: its path below DIR",
            )],
        )
    }
}

const SEEDS: &str = "seeds";
const URLS: &str = "urls";
const SITEMAP: &str = "sitemap";
const SITEMAPS: &str = "sitemaps";
const CSS: &str = "css";
const BODIES: &str = "bodies";
/// This name is also in the table of settings, where the flag is described.
const RESUME: &str = "resume";

const CSS_HELP: &str = "Adds a field: what a CSS selector matches, as text or as WORDS say; may be repeated";
/// The long help of the flag `--css`. A test parses the examples in this text.
pub(crate) const CSS_LONG_HELP: &str = "\
The words, parted by commas:
  attr=NAME  an attribute, of the first match that has it
  own_text   the text directly in the element, without that of the elements below
  raw        the text as it stands in the markup, white space and all
  html       the markup of the element
  all        of every match, as a list
  one        of the only match; a page where several match ends as parse_error

For example:
  --css price=.price                        the first price, as text
  --css 'image[attr=src]=img.product'       where its picture is
  --css 'tags[all]=.tag'                    all tags, as a list
  --css 'hrefs[attr=href, all]=main a'      all addresses of links
  --css 'description[html]=.description'    with its markup";
