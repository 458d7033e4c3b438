//! The flags of `opilio crawl`.
//!
//! Flags that `opilio.toml` can set too have no default here: only `plan` knows whether a flag, the
//! file or the default holds. Their defaults are in the help texts.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum, value_parser};
use http::{HeaderName, HeaderValue};
use opilio::extract::NamedField;
use opilio::{AddressPolicy, Durability, Follow, Order, Rate};
use url::Url;

use crate::config::{self, IN_FLIGHT_MAX, STRIKES_MAX};
use crate::crawl::output::Format;
use crate::crawl::{seeds, spider};
use crate::explain::header;
use opilio_app::unit;

/// Crawls from these URLs, politely, and prints one JSON object, or one row of CSV, a page.
///
/// Fields of a page: url (what was asked for), final_url (after redirects), status, title (or null),
/// depth (links from a seed), bytes (of the body), links (how many the page has), and one for each
/// --css: the text of its first match, or null, or what its words say. A URL that leads to an already known one is the line
/// {"url", "final_url", "alias": true}. With --merge-canonical a page has the field canonical too (what it
/// names as its canonical URL, or null), and an alias of it has that URL as its final_url.
///
/// As CSV (--output FILE.csv, or --format csv) these are the columns, in this order, and alias is the last:
/// true on the rows of aliases. Null is an empty cell, an empty text is "", a list is written as JSON.
///
/// Settings come from flags, then the environment, then opilio.toml (in this directory, or where --config
/// says). A [host."…"] section of that
/// file is more exact than a flag for all hosts, and wins for its host.
#[derive(Debug, Args)]
#[command(after_help = "\
Times are written as 500ms, 30s, 5m, 1h or 2d; sizes as 500KB or 10MiB; rates as 2/s, 60/m or 1000/h.

Exit codes: 0 done; 1 not a single page, and at least one failure, or not a single request, or the output could not be written \
to its end, or --memory-limit ended it; 2 usage: nothing was fetched; 130 or 143 after a gentle stop by SIGINT or SIGTERM (a second \
signal stops at once).")]
pub(crate) struct CrawlArgs {
    /// Where to begin (http or https)
    #[arg(value_name = "URL", required_unless_present_any = ["urls", "sitemap"])]
    pub(crate) seeds: Vec<String>,
    /// Further URLs to begin at, one a line; # begins a comment line, - reads stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) urls: Option<PathBuf>,

    /// Which links are followed, by where they lead [default: same-host]
    #[arg(long, value_name = "WHERE", env = "OPILIO_FOLLOW", help_heading = "What")]
    pub(crate) follow: Option<FollowArg>,
    /// Only links that match; * stands for anything; may be repeated. A seed is fetched by being named
    #[arg(long, value_name = "PATTERN", help_heading = "What")]
    pub(crate) include: Vec<String>,
    /// No links that match; * stands for anything; may be repeated
    #[arg(long, value_name = "PATTERN", help_heading = "What")]
    pub(crate) exclude: Vec<String>,
    /// Takes tracking parameters, such as utm_source and gclid, out of every URL: it is fetched without
    #[arg(long, env = "OPILIO_STRIP_TRACKING", help_heading = "What", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) strip_tracking: bool,
    /// Tells URLs apart by their session ids, too (;jsessionid=, PHPSESSID=, sid= and the like); without
    /// this, URLs that differ in nothing else are one
    #[arg(long, env = "OPILIO_KEEP_SESSION_IDS", help_heading = "What", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) keep_session_ids: bool,
    /// Prints one page of all that name the same canonical URL, in a further field; the others are aliases of it
    #[arg(long, env = "OPILIO_MERGE_CANONICAL", help_heading = "What", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) merge_canonical: bool,
    /// Prints one page of all that have equal content, white space and session ids apart; the others are
    /// aliases of the first
    #[arg(long, env = "OPILIO_MERGE_DUPLICATES", help_heading = "What", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) merge_duplicates: bool,
    /// Follows links that only traps have, too: paths and queries that repeat themselves or have too
    /// many parts, months that are years ahead, links of a page that comes under one URL after another
    #[arg(long, env = "OPILIO_FOLLOW_TRAPS", help_heading = "What", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) follow_traps: bool,
    /// Ends after exactly so many pages [default: no limit]
    #[arg(long, value_name = "N", env = "OPILIO_MAX_PAGES", help_heading = "What", value_parser = value_parser!(u64).range(1..))]
    pub(crate) max_pages: Option<u64>,
    /// Links from a seed at the most; 0 fetches the seeds alone [default: no limit]
    #[arg(long, visible_alias = "depth", value_name = "N", env = "OPILIO_MAX_DEPTH", help_heading = "What")]
    pub(crate) max_depth: Option<u16>,
    /// Pages of each host at the most [default: no limit]
    #[arg(long, value_name = "N", env = "OPILIO_MAX_PAGES_PER_HOST", help_heading = "What", value_parser = value_parser!(u64).range(1..))]
    pub(crate) max_pages_per_host: Option<u64>,
    /// Bytes of each host's pages, after which nothing more is asked of it [default: no limit]
    #[arg(long, value_name = "SIZE", env = "OPILIO_MAX_BYTES_PER_HOST", help_heading = "What", value_parser = unit::bytes)]
    pub(crate) max_bytes_per_host: Option<u64>,
    /// Which URLs of a host go first, by how many links they are from a seed [default: bfs]
    #[arg(long, value_name = "ORDER", env = "OPILIO_ORDER", help_heading = "What")]
    pub(crate) order: Option<OrderArg>,
    /// Starts nothing more after this time [default: no limit]
    #[arg(long, value_name = "TIME", env = "OPILIO_MAX_DURATION", help_heading = "What", value_parser = unit::positive_duration)]
    pub(crate) max_duration: Option<Duration>,
    /// Begins at the pages that this sitemap lists (or index, feed, list of URLs; gzipped or not); may be
    /// repeated
    #[arg(long, value_name = "URL", help_heading = "What", value_parser = seeds::web_url)]
    pub(crate) sitemap: Vec<Url>,
    /// Begins at the pages of the sitemaps, too, that the robots.txt of the seeds' hosts name, or at
    /// /sitemap.xml where it names none; sitemaps are counted apart from pages
    #[arg(long, help_heading = "What")]
    pub(crate) sitemaps: bool,
    /// Adds a field: what a CSS selector matches, as text or as WORDS say; may be repeated
    ///
    /// The words, parted by commas:
    ///   attr=NAME  an attribute, of the first match that has it
    ///   own_text   the text directly in the element, without that of the elements below
    ///   raw        the text as it stands in the markup, white space and all
    ///   html       the markup of the element
    ///   all        of every match, as a list
    ///   one        of the only match; a page where several match ends as parse_error
    ///
    /// For example:
    ///   --css price=.price                        the first price, as text
    ///   --css 'image[attr=src]=img.product'       where its picture is
    ///   --css 'tags[all]=.tag'                    all tags, as a list
    ///   --css 'hrefs[attr=href, all]=main a'      all addresses of links
    ///   --css 'description[html]=.description'    with its markup
    #[arg(long, value_name = "NAME[WORDS]=SELECTOR", help_heading = "What", value_parser = spider::field, verbatim_doc_comment)]
    pub(crate) css: Vec<NamedField>,

    /// Requests of each host, per s, m, h or d [default: 60/m]
    #[arg(long, value_name = "RATE", env = "OPILIO_RATE", help_heading = "How fast")]
    pub(crate) rate: Option<Rate>,
    /// Time between two requests to a host, which is another way to say a rate: 2s is 30/m
    #[arg(long, value_name = "TIME", conflicts_with = "rate", help_heading = "How fast", value_parser = delay)]
    pub(crate) delay: Option<Rate>,
    /// Requests in flight at each host [default: 1]
    #[arg(long, value_name = "N", env = "OPILIO_IN_FLIGHT", help_heading = "How fast", value_parser = value_parser!(u32).range(1..=i64::from(IN_FLIGHT_MAX)))]
    pub(crate) in_flight: Option<u32>,
    /// Requests in flight in all [default: 64]
    #[arg(long, value_name = "N", env = "OPILIO_TOTAL_IN_FLIGHT", help_heading = "How fast", value_parser = value_parser!(u32).range(1..=i64::from(IN_FLIGHT_MAX)))]
    pub(crate) total_in_flight: Option<u32>,
    /// Starts less from 70 % of this memory on, and nothing near it until what is under way has ended; ends
    /// the crawl when that does not help; 16MiB at the least [default: no limit]
    #[arg(long, value_name = "SIZE", env = "OPILIO_MEMORY_LIMIT", help_heading = "How fast", value_parser = unit::memory_limit)]
    pub(crate) memory_limit: Option<u64>,
    /// Keeps to the rate after refusals, instead of lowering it (waits that a server states are kept)
    #[arg(long, env = "OPILIO_NO_ADAPT", help_heading = "How fast", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_adapt: bool,
    /// Keeps to a Crawl-delay of robots.txt up to this, and says so if it asks for more [default: 1m]
    #[arg(long, value_name = "TIME", env = "OPILIO_MAX_CRAWL_DELAY", help_heading = "How fast", value_parser = unit::duration)]
    pub(crate) max_crawl_delay: Option<Duration>,
    /// Gives a host up for this run that states a longer wait [default: 1h]
    #[arg(long, value_name = "TIME", env = "OPILIO_MAX_HOLD", help_heading = "How fast", value_parser = unit::duration)]
    pub(crate) max_hold: Option<Duration>,

    /// Retries after the first attempt [default: 3]
    #[arg(long, value_name = "N", env = "OPILIO_RETRIES", help_heading = "How patient")]
    pub(crate) retries: Option<u16>,
    /// First wait where the server states none; it doubles up to --max-backoff [default: 1s]
    #[arg(long, value_name = "TIME", env = "OPILIO_MIN_BACKOFF", help_heading = "How patient", value_parser = unit::positive_duration)]
    pub(crate) min_backoff: Option<Duration>,
    /// Longest wait where the server states none [default: 1m]
    #[arg(long, value_name = "TIME", env = "OPILIO_MAX_BACKOFF", help_heading = "How patient", value_parser = unit::positive_duration)]
    pub(crate) max_backoff: Option<Duration>,
    /// Gives a host up for this run after so many refusals or failures to reach it in a row [default: 12]
    #[arg(long, value_name = "N", env = "OPILIO_MAX_STRIKES", help_heading = "How patient", value_parser = value_parser!(u32).range(1..=i64::from(STRIKES_MAX)))]
    pub(crate) max_strikes: Option<u32>,
    /// The same for a host that has never answered in this run [default: 4, or --max-strikes if that is less]
    #[arg(long, value_name = "N", env = "OPILIO_MAX_STRIKES_UNANSWERED", help_heading = "How patient", value_parser = value_parser!(u32).range(1..=i64::from(STRIKES_MAX)))]
    pub(crate) max_strikes_unanswered: Option<u32>,
    /// Statuses that mean "slow down", as 429 and 503 do: the host is held, and the URL is tried again
    #[arg(long, value_name = "STATUS,…", env = "OPILIO_SLOW_DOWN", help_heading = "How patient", value_delimiter = ',', value_parser = unit::status)]
    pub(crate) slow_down: Vec<u16>,
    /// Statuses that are worth a retry, as a 500 is
    #[arg(long, value_name = "STATUS,…", env = "OPILIO_RETRY_STATUS", help_heading = "How patient", value_delimiter = ',', value_parser = unit::status)]
    pub(crate) retry_status: Vec<u16>,
    /// Time of a whole attempt, body included [default: 30s]
    #[arg(long, value_name = "TIME", env = "OPILIO_TIMEOUT", help_heading = "How patient", value_parser = unit::positive_duration)]
    pub(crate) timeout: Option<Duration>,
    /// A larger body is a failure, never a cut page [default: 10MiB]
    #[arg(long, value_name = "SIZE", env = "OPILIO_MAX_BODY", help_heading = "How patient", value_parser = unit::bytes)]
    pub(crate) max_body: Option<u64>,
    /// Redirects in a row [default: 10]
    #[arg(long, value_name = "N", env = "OPILIO_MAX_REDIRECTS", help_heading = "How patient")]
    pub(crate) max_redirects: Option<u16>,

    /// Where pages go; the file is begun anew, unless --resume goes on with it [default: stdout]
    #[arg(long, short, value_name = "FILE", help_heading = "Where")]
    pub(crate) output: Option<PathBuf>,
    /// In which form [default: csv for a file that ends in .csv, else jsonl]
    #[arg(long, value_name = "FORMAT", help_heading = "Where")]
    pub(crate) format: Option<Format>,
    /// In CSV, leaves texts that begin like a formula (=, +, -, @) as they are; otherwise they get an
    /// apostrophe in front, since a spreadsheet would run what a stranger wrote
    #[arg(long, help_heading = "Where")]
    pub(crate) keep_formulas: bool,
    /// Reads again from DIR what was fetched once and is still fresh, without a request: for trying things
    #[arg(long, value_name = "DIR", env = "OPILIO_CACHE", help_heading = "Where")]
    pub(crate) cache: Option<PathBuf>,
    /// Reads from the cache for this long, whatever servers say about it; robots.txt for a day at the
    /// most [default: as they say]
    #[arg(long, value_name = "TIME", requires = "cache", help_heading = "Where", value_parser = unit::duration)]
    pub(crate) cache_for: Option<Duration>,
    /// Keeps each body as a file named by its SHA-256, and adds a field file: its path below DIR
    #[arg(long, value_name = "DIR", help_heading = "Where")]
    pub(crate) bodies: Option<PathBuf>,
    /// Where the report goes, as JSON; written after a gentle stop too
    #[arg(long, value_name = "FILE.json", help_heading = "Where")]
    pub(crate) report: Option<PathBuf>,
    /// Keeps the crawl in this directory, so that nothing can lose it
    #[arg(long, value_name = "DIR", help_heading = "Where")]
    pub(crate) state: Option<PathBuf>,
    /// Goes on with the crawl in the --state directory; begins one if there is none. What is queued and
    /// out of the scope that the flags say now is filtered
    #[arg(long, requires = "state", help_heading = "Where")]
    pub(crate) resume: bool,
    /// Tries all failures of the resumed crawl again (opilio failed lists them), also of hosts that did
    /// not answer; those that asked for a wait longer than --max-hold are left alone until it is over
    #[arg(long, requires = "resume", help_heading = "Where")]
    pub(crate) retry_failed: bool,
    /// Keeps when each page was fetched and what to ask with next time, for --refresh in a later run
    #[arg(long, requires = "state", help_heading = "Where")]
    pub(crate) history: bool,
    /// Fetches pages again that are older than this; servers are asked whether they have changed (a
    /// page that has not is a line with status 304). Of pages with --history; implies it
    #[arg(long, value_name = "AGE", requires = "resume", help_heading = "Where", value_parser = unit::duration)]
    pub(crate) refresh: Option<Duration>,
    /// What a power cut may take of --state (a kill takes nothing) [default: interval]
    #[arg(long, value_name = "HOW", requires = "state", help_heading = "Where")]
    pub(crate) durability: Option<DurabilityArg>,
    /// Settings, also of single hosts; none reads no file [default: opilio.toml in this directory, if there
    /// is one]
    #[arg(long, value_name = "FILE.toml", env = "OPILIO_CONFIG", help_heading = "Where")]
    pub(crate) config: Option<PathBuf>,

    /// Who we say we are; should name a URL or a mail address where you can be reached
    #[arg(long, value_name = "UA", env = "OPILIO_USER_AGENT", help_heading = "As whom", value_parser = config::user_agent)]
    pub(crate) user_agent: Option<String>,
    /// A header field to send to every host, as in 'Accept-Language: de'; may be repeated. Logins belong to
    /// one host: opilio.toml, or user info in a seed
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header, help_heading = "As whom")]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Asks for no robots.txt: for servers of your own
    #[arg(long, env = "OPILIO_NO_ROBOTS", help_heading = "As whom", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_robots: bool,
    /// Fetches through a proxy: http://, https:// or socks5://, with user info for a login; several take
    /// turns
    // Read by the plan: clap would repeat a wrong one, and it may hold a password.
    #[arg(long, value_name = "URL", help_heading = "As whom")]
    pub(crate) proxy: Vec<String>,
    /// Neither keeps nor sends cookies; without this they are kept in the --state directory, too
    #[arg(long, env = "OPILIO_NO_COOKIES", help_heading = "As whom", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_cookies: bool,
    /// Visits private and loopback addresses: all, or those of the networks given
    #[arg(long, value_name = "CIDR,…", env = "OPILIO_ALLOW_PRIVATE", help_heading = "As whom", num_args = 0..=1, require_equals = true, default_missing_value = "all", value_parser = allow_private)]
    pub(crate) allow_private: Option<AddressPolicy>,
    /// Trusts any TLS certificate, so that whoever sits on the way can read and forge everything: for
    /// servers of your own
    #[arg(long, help_heading = "As whom")]
    pub(crate) danger_accept_any_certificate: bool,

    /// Says more on stderr; twice for still more (OPILIO_LOG=… says exactly what)
    #[arg(short, long, action = ArgAction::Count, help_heading = "Messages")]
    pub(crate) verbose: u8,
    /// Says nothing on stderr but warnings and errors
    #[arg(short, long, help_heading = "Messages")]
    pub(crate) quiet: bool,
}

/// What a power cut may take of a crawl with a state directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// What the operating system has not written by itself, some 30 seconds
    Process,
    /// The last second
    Interval,
    /// Nothing: every commit waits for the disk
    Commit,
}

impl From<DurabilityArg> for Durability {
    fn from(arg: DurabilityArg) -> Self {
        match arg {
            DurabilityArg::Process => Self::Process,
            DurabilityArg::Interval => Self::default(),
            DurabilityArg::Commit => Self::EveryCommit,
        }
    }
}

/// Which URLs of a host go first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum OrderArg {
    /// The nearest to a seed
    Bfs,
    /// The farthest from a seed
    Dfs,
}

impl From<OrderArg> for Order {
    fn from(arg: OrderArg) -> Self {
        match arg {
            OrderArg::Bfs => Self::BreadthFirst,
            OrderArg::Dfs => Self::DepthFirst,
        }
    }
}

/// Which links are followed, by where they lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum FollowArg {
    /// Nowhere: only the seeds are fetched
    None,
    /// To a host that a seed names
    SameHost,
    /// To a registrable domain that a seed names
    SameDomain,
    /// Wherever they lead
    All,
}

impl From<FollowArg> for Follow {
    fn from(arg: FollowArg) -> Self {
        match arg {
            FollowArg::None => Self::None,
            FollowArg::SameHost => Self::SameHost,
            FollowArg::SameDomain => Self::SameDomain,
            FollowArg::All => Self::All,
        }
    }
}

/// Reads the time between two requests.
fn delay(text: &str) -> Result<Rate, String> {
    let span = unit::positive_duration(text)?;
    Rate::new(1, span).map_err(|_| format!("{text:?} is longer than a day, which is the longest delay"))
}

/// Reads `all`, or a list of networks.
pub(crate) fn allow_private(text: &str) -> Result<AddressPolicy, String> {
    match text.trim() {
        "all" => Ok(AddressPolicy::allow_all()),
        networks => AddressPolicy::allow(networks.split(',')).map_err(|error| error.to_string()),
    }
}
