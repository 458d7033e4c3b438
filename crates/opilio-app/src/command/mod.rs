//! The subcommands of a spider's program. All of them share the settings of a crawl, each with the flags that make
//! sense for it.

mod check;
mod parse;
mod record;
pub(crate) mod schema;
mod step;

use std::io::Write;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use opilio_engine::{Crawler, Spider};
use url::Url;

use crate::cache::DevelopmentCache;
use crate::exit::Failure;
use crate::program::Ended;
use crate::progress::Display;
use crate::settings::{CommandKind, CrawlDraft, NoSpider, SettingsTable};

/// A subcommand of a spider's program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpiderCommand {
    /// Crawls.
    Run,
    /// Reads one page, and prints its items.
    Parse,
    /// Compares a few pages of the site with those of a cassette.
    Check,
    /// Crawls, and records the requests and answers in a cassette.
    Record,
    /// Prints which fields the items have.
    Schema,
}

impl SpiderCommand {
    /// All subcommands, in the order of the help.
    pub const ALL: [Self; 5] = [Self::Run, Self::Parse, Self::Record, Self::Check, Self::Schema];

    /// Returns the name of the subcommand.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Parse => "parse",
            Self::Record => "record",
            Self::Check => "check",
            Self::Schema => "schema",
        }
    }

    /// Returns the first line of the help.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Run => "Crawls",
            Self::Parse => "Reads one page, and prints its items as JSON lines",
            Self::Record => "Crawls, and records requests and answers in a cassette, for tests and for check",
            Self::Check => {
                "Fetches a few pages, and names fields that the cassette has and the site has no more"
            }
            Self::Schema => "Prints which fields the items have, and where each is read",
        }
    }

    /// Returns whether the subcommand prints data on stdout, if the items have no file.
    pub(crate) fn prints(self) -> bool {
        self != Self::Record
    }

    /// Returns the subcommand with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.name() == name)
    }

    /// Returns the settings of the subcommand, with its own flags and those of the program.
    pub(crate) fn table(self, programs_own: Vec<Arg>) -> SettingsTable {
        let table = SettingsTable::of(CommandKind::Crawl);
        let (table, own) = match self {
            Self::Run => (table, Vec::new()),
            Self::Parse => (table.with_flags_that(|flag| FEW_FETCHES.contains(&flag)), parse::flags()),
            Self::Record => {
                (table.with_flags_that(|flag| !OF_OUTPUT_AND_STATE.contains(&flag)), record::flags())
            }
            Self::Check => {
                let wanted = |flag: &str| FEW_FETCHES.contains(&flag) && !flag.starts_with("cache");
                (table.with_flags_that(wanted), check::flags())
            }
            // It needs no spider and no settings, so it has none of the program's flags either.
            Self::Schema => return table.with_flags_that(|_| false).with_own(None, schema::flags()),
        };
        table.with_own(None, own.into_iter().chain(programs_own))
    }

    /// Returns the subcommand as clap reads it.
    pub(crate) fn clap(self, programs_own: Vec<Arg>) -> Command {
        let command = Command::new(self.name()).about(self.about());
        let command = match self {
            Self::Run => command.after_help(RUN_HELP),
            Self::Parse => command.long_about(parse::ABOUT).after_help(parse::HELP),
            Self::Record => command.long_about(record::ABOUT).after_help(record::HELP),
            Self::Check => command.long_about(check::ABOUT).after_help(check::HELP),
            Self::Schema => command.long_about(schema::ABOUT),
        };
        let command = self.table(programs_own).flags(command);
        if self == Self::Record {
            return command.mut_arg("max-pages", |arg| arg.help(record::MAX_PAGES_HELP));
        }
        command
    }
}

/// Makes a flag that only some commands have, not the table of settings.
fn own_flag(name: &'static str) -> Arg {
    Arg::new(own_id(name)).long(name)
}

/// Returns the id of such a flag. It has a prefix, so that a flag of the program may have the name as its id.
fn own_id(name: &str) -> String {
    format!("opilio.{name}")
}

/// Checks that the flags of a program have other names and ids than those of the commands. Clap panics otherwise.
///
/// # Errors
/// When a name or an id occurs twice. The error names the flag and the command.
pub(crate) fn check_flags(programs_own: &[Arg]) -> anyhow::Result<()> {
    // `schema` has none of the program's flags.
    for command in SpiderCommand::ALL.into_iter().filter(|command| *command != SpiderCommand::Schema) {
        let known = command.clap(Vec::new()).arg(Arg::new("help").short('h').long("help"));
        for (own, known) in
            programs_own.iter().flat_map(|own| known.get_arguments().map(move |known| (own, known)))
        {
            let name = command.name();
            if let Some(twice) = names(own).into_iter().find(|flag| names(known).contains(flag)) {
                anyhow::bail!(
                    "the command {name} has a flag {twice} already: give the program's flag another name"
                );
            }
            if own.get_id() == known.get_id() {
                let id = own.get_id();
                anyhow::bail!(
                    "a flag of the command {name} has the id {id} already: give the program's flag another id"
                );
            }
        }
    }
    Ok(())
}

/// Returns all names of a flag, short ones too, as they are written on the command line.
fn names(flag: &Arg) -> Vec<String> {
    let long = flag.get_long_and_visible_aliases().unwrap_or_default();
    let hidden = flag.get_all_aliases().unwrap_or_default();
    let short = flag.get_short_and_visible_aliases().unwrap_or_default();
    let hidden_short = flag.get_all_short_aliases().unwrap_or_default();
    let long = long.into_iter().chain(hidden).map(|name| format!("--{name}"));
    long.chain(short.into_iter().chain(hidden_short).map(|name| format!("-{name}"))).collect()
}

/// A subcommand whose settings are read.
pub(crate) struct PreparedCommand<S: Spider> {
    pub(crate) matches: ArgMatches,
    pub(crate) draft: CrawlDraft,
    pub(crate) spider: S,
    pub(crate) display: Display,
    /// Makes the program's own changes to the crawler.
    pub(crate) more: Box<dyn FnOnce(Crawler<S>) -> Crawler<S>>,
}

impl<S: Spider> PreparedCommand<S> {
    /// Carries out a subcommand other than `run` and `schema`.
    pub(crate) fn carry_out(self, command: SpiderCommand) -> Result<Ended, Failure> {
        match command {
            SpiderCommand::Parse => parse::run(self),
            SpiderCommand::Record => record::run(self),
            SpiderCommand::Check => check::run(self),
            SpiderCommand::Run | SpiderCommand::Schema => {
                Err(Failure::usage(anyhow::anyhow!("{} has a function of its own", command.name())))
            }
        }
    }

    /// Makes a crawler with the settings, which go before those that `begin` makes. Returns it with the spider and the
    /// display.
    fn crawler(
        self,
        begin: impl FnOnce(Crawler<NoSpider>) -> Crawler<NoSpider>,
    ) -> Result<(Crawler<S>, Arc<S>, Display), Failure> {
        let Self { draft, spider, display, more, .. } = self;
        let cache = DevelopmentCache::open(&draft.run).map_err(Failure::Usage)?;
        draft.run.hint(&seeds_of(&spider), &display);
        let spider = Arc::new(spider);
        let settings = draft.apply(begin(Crawler::new(NoSpider))).map_err(Failure::Usage)?;
        let crawler = cache.apply(more(settings.for_spider(spider.clone())));
        Ok((crawler, spider, display))
    }
}

/// Returns the URLs of the spider's seeds.
pub(crate) fn seeds_of<S: Spider>(spider: &S) -> Vec<Url> {
    spider.seeds().iter().filter_map(|seed| Url::parse(seed.target()).ok()).collect()
}

/// Returns a URL with the login that the spider has for its origin: a login belongs to the origin of its seed.
fn with_login<S: Spider>(spider: &S, mut url: Url) -> Url {
    let has_login = |seed: &Url| !seed.username().is_empty() || seed.password().is_some();
    let is_given = has_login(&url);
    let login = seeds_of(spider).into_iter().find(|seed| has_login(seed) && seed.origin() == url.origin());
    if let Some(login) = login.filter(|_| !is_given) {
        // The two calls fail only for URLs that cannot have a login, and those have no origin that is equal.
        let _ = url.set_username(login.username());
        let _ = url.set_password(login.password());
    }
    url
}

/// Prints data on stdout. A reader that has closed the pipe is no error.
fn print(data: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().write_all(data) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::run(error)),
        _ => Ok(()),
    }
}

/// The settings of commands that fetch a few pages, whose number is theirs to choose.
const FEW_FETCHES: [&str; 24] = [
    "rate",
    "delay",
    "max-crawl-delay",
    "max-hold",
    "retries",
    "min-backoff",
    "max-backoff",
    "slow-down",
    "retry-status",
    "timeout",
    "max-body",
    "max-redirects",
    "cache",
    "cache-for",
    "config",
    "user-agent",
    "header",
    "no-robots",
    "proxy",
    "no-cookies",
    "allow-private",
    "danger-accept-any-certificate",
    "verbose",
    "quiet",
];

const RUN_HELP: &str = "\
Times are written as 500ms, 30s, 5m, 1h or 2d; sizes as 500KB or 10MiB; rates as 2/s, 60/m or 1000/h.

Exit codes: 0 done; 1 not a single page, and at least one failure or all filtered, or not a single request, or a field filled \
less often than --expect asks for, or the output could not be written to its end, or --memory-limit ended it; 2 usage: nothing was fetched; 130 or 143 after a gentle stop \
by SIGINT or SIGTERM (a second signal stops at once).";

/// The settings of where items, the report and the state are kept. Commands that write no items have none of them.
const OF_OUTPUT_AND_STATE: [&str; 13] = [
    "expect",
    "output",
    "format",
    "keep-formulas",
    "cache",
    "cache-for",
    "report",
    "state",
    "resume",
    "retry-failed",
    "history",
    "refresh",
    "durability",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_subcommands_make_sense_to_clap_and_name_flags_that_exist() {
        for command in SpiderCommand::ALL {
            command.clap(Vec::new()).debug_assert();
            assert_eq!(SpiderCommand::named(command.name()), Some(command));
        }
        let all = SettingsTable::of(CommandKind::Crawl).described();
        for flag in FEW_FETCHES.into_iter().chain(OF_OUTPUT_AND_STATE) {
            assert!(all.iter().any(|setting| setting.flag == Some(flag)), "{flag}");
        }
    }
    #[test]
    fn a_programs_flag_that_a_command_has_is_an_error_that_names_both() {
        let refused = |flag: Arg| check_flags(&[flag]).map_err(|error| error.to_string()).unwrap_err();
        for (flag, words) in [
            (Arg::new("n").long("pages"), "the command check has a flag --pages already"),
            (Arg::new("n").long("from"), "the command parse has a flag --from already"),
            (Arg::new("n").long("rate"), "the command run has a flag --rate already"),
            (Arg::new("n").long("x").alias("proxy"), "the command run has a flag --proxy already"),
            (Arg::new("n").short('o'), "the command run has a flag -o already"),
            (Arg::new("n").long("help"), "the command run has a flag --help already"),
            (Arg::new("rate").long("speed"), "a flag of the command run has the id rate already"),
        ] {
            let error = refused(flag);
            assert!(error.starts_with(words), "{error}");
        }
        let own =
            || ["url", "step", "pages", "json"].map(|id| Arg::new(id).long(format!("my-{id}"))).to_vec();
        check_flags(&own()).unwrap();
        SpiderCommand::ALL.into_iter().for_each(|command| command.clap(own()).debug_assert());
    }
}
