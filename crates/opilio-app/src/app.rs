//! Runs the program of a spider, so that its `main` needs only one line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use opilio_engine::{Crawler, Spider};
use opilio_extract::Extract;
use opilio_extract::typed::ExtractPlan;

use crate::command::{self, PreparedCommand, SpiderCommand, schema, seeds_of};
use crate::exit::{Exit, Failure};
use crate::program::{self, Ended, Program};
use crate::progress::Display;
use crate::settings::CrawlDraft;

/// Runs the program of a spider: `fn main() -> ExitCode { opilio::main(Shop) }`.
///
/// The program has the flags of `opilio crawl`: rates, state and resume, output, report, `opilio.toml`. It shows
/// the progress of the crawl, lets requests in flight end on a signal, and its exit code says how the crawl ended.
///
/// | command | does |
/// | --- | --- |
/// | `run` (or none) | crawls, and writes the items |
/// | `parse URL` | reads one page, and prints its items, or which fields cannot be read |
/// | `record` | crawls, and writes a cassette (a WARC file) for tests and for `check` |
/// | `check` | fetches a few pages, and names the fields that the cassette's pages have and these have no more |
/// | `schema` | prints which fields the items have, and where each is read |
///
/// In the directory of the project, `opilio parse URL` and the like call the program through cargo.
#[must_use]
pub fn main<S: Spider>(spider: S) -> ExitCode {
    App::new(spider).main()
}

/// Builds the program of a spider, with settings and flags of its own.
///
/// The program has the subcommands of [`SpiderCommand`]. Without a subcommand, it runs.
///
/// ```no_run
/// # mod opilio { pub use opilio_app::App; pub mod prelude { pub use opilio_engine::{Found, Page, ParseError, Request, Spider}; } }
/// use std::process::ExitCode;
///
/// use opilio::prelude::*;
///
/// struct Titles;
///
/// impl Spider for Titles {
///     type Item = String;
///     type Step = ();
///
///     fn seeds(&self) -> Vec<Request<()>> {
///         vec![Request::get("https://shop.example/", ())]
///     }
///
///     fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
///         found.item(page.title().unwrap_or_default().to_owned());
///         Ok(())
///     }
/// }
///
/// fn main() -> ExitCode {
///     // A polite default of this program; `--rate` and `opilio.toml` go before it.
///     opilio::App::new(Titles).settings("default.rate = '30/m'").output("titles.jsonl").main()
/// }
/// ```
pub struct App<S: Spider> {
    make: MakeSpider<S>,
    own: ProgramChoices,
    more: Vec<More<S>>,
}

/// The choices of a program's author, besides the spider: flags, lines of settings, the output, and the structs that
/// the spider reads.
#[derive(Default)]
struct ProgramChoices {
    flags: Vec<Arg>,
    settings: String,
    output: Option<PathBuf>,
    plans: Vec<&'static ExtractPlan>,
}

/// A function that makes the spider from the values of the program's own flags.
type MakeSpider<S> = Box<dyn FnOnce(&ArgMatches) -> anyhow::Result<S>>;
/// A function that makes the program's own changes to its crawler.
type More<S> = Box<dyn FnOnce(Crawler<S>) -> Crawler<S>>;

impl<S: Spider> App<S> {
    /// Builds the program of this spider.
    pub fn new(spider: S) -> Self {
        Self::with_flags([], |_| Ok(spider))
    }

    /// Builds the program of a spider that `make` creates from the values of the program's own flags.
    ///
    /// Each command has these flags, but for `schema`. Their names and ids must not be those of a flag that a command
    /// has already, such as `--rate`, `--pages` of `check`, or `--step` and `--from` of `parse`: the program then ends
    /// with a usage error that names the flag.
    pub fn with_flags(
        flags: impl IntoIterator<Item = Arg>,
        make: impl FnOnce(&ArgMatches) -> anyhow::Result<S> + 'static,
    ) -> Self {
        let own = ProgramChoices { flags: flags.into_iter().collect(), ..ProgramChoices::default() };
        Self { make: Box::new(make), own, more: Vec::new() }
    }

    /// Sets the program's own settings, written as in `opilio.toml`. Flags, environment variables and the file
    /// `opilio.toml` take precedence.
    #[must_use]
    pub fn settings(mut self, toml: impl Into<String>) -> Self {
        self.own.settings = toml.into();
        self
    }

    /// Sets the file for items that is used without the flag `--output`. The default is stdout.
    #[must_use]
    pub fn output(mut self, file: impl Into<PathBuf>) -> Self {
        self.own.output = Some(file.into());
        self
    }

    /// Names a struct that the spider reads from pages, usually its item. The command `schema` prints its fields, and
    /// those of structs in it.
    #[must_use]
    pub fn extracts<T: Extract>(mut self) -> Self {
        self.own.plans.push(T::PLAN);
        self
    }

    /// Makes changes to the crawler for which there is no setting: middleware, sessions, further exports. They are
    /// made after all settings are applied, so they override flags that set the same value.
    #[must_use]
    pub fn crawler(mut self, more: impl FnOnce(Crawler<S>) -> Crawler<S> + 'static) -> Self {
        self.more.push(Box::new(more));
        self
    }

    /// Runs the program with the arguments of the process.
    #[must_use]
    pub fn main(self) -> ExitCode {
        match self.run(std::env::args_os().skip(1)) {
            Ok(ended) => ended.tell().into(),
            Err(failure) => failure.report(),
        }
    }

    /// Runs the program with these arguments, which do not include the program's name. The caller has to print how
    /// the crawl ended.
    ///
    /// # Errors
    /// When a setting is wrong, the crawl fails, or the arguments ask for help. [`Failure::report`] prints each of
    /// these.
    pub fn run(self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Ended, Failure> {
        let asked = match self.own.read(args.into_iter().map(Into::into).collect())? {
            ProgramTask::Done(ended) => return Ok(*ended),
            ProgramTask::Command(asked) => *asked,
        };
        let spider = (self.make)(&asked.matches).map_err(Failure::Usage)?;
        let more = |crawler| self.more.into_iter().fold(crawler, |crawler, more| more(crawler));
        let AskedCommand { command, matches, draft, display } = asked;
        if command != SpiderCommand::Run {
            let prepared = PreparedCommand { matches, draft, spider, display, more: Box::new(more) };
            return prepared.carry_out(command);
        }
        let program = Program::open(draft, display)?;
        program.hint(&seeds_of(&spider));
        program.crawl(spider, None, more)
    }
}

/// The work that the arguments of a program ask for.
enum ProgramTask {
    /// The task needed no spider, and is done already.
    Done(Box<Ended>),
    Command(Box<AskedCommand>),
}

/// A subcommand that needs the spider, and its settings.
struct AskedCommand {
    command: SpiderCommand,
    matches: ArgMatches,
    draft: CrawlDraft,
    display: Display,
}

impl ProgramChoices {
    /// Reads the arguments of a program, and carries out the command `schema`.
    fn read(self, args: Vec<OsString>) -> Result<ProgramTask, Failure> {
        command::check_flags(&self.flags).map_err(Failure::Usage)?;
        let program = Command::new(program_name())
            .bin_name(program_name())
            .subcommand_required(true)
            .max_term_width(110);
        let program = program.about(PROGRAM_MARK);
        let commands = SpiderCommand::ALL.map(|command| command.clap(self.flags.clone()));
        let program = program.subcommands(commands).after_help(WITHOUT_SUBCOMMAND);
        let args = with_subcommand(args);
        let mut matches =
            program.no_binary_name(true).try_get_matches_from(args).map_err(Failure::Arguments)?;
        let command = matches
            .remove_subcommand()
            .and_then(|(name, matches)| Some((SpiderCommand::named(&name)?, matches)));
        // Clap requires a subcommand, and has only those of the list, so this error never occurs.
        let Some((command, matches)) = command else {
            return Err(Failure::usage(anyhow::anyhow!("a subcommand is missing")));
        };
        if command == SpiderCommand::Schema {
            schema::run(&self.plans, &matches)?;
            let ended = Ended::without_report(Exit::Done, Display::new(true, false));
            return Ok(ProgramTask::Done(Box::new(ended)));
        }
        let table = command.table(self.flags).with_defaults(&self.settings);
        let output = matches.try_get_one::<PathBuf>("output").ok().flatten().or(self.output.as_ref());
        let output = output.filter(|_| command == SpiderCommand::Run).cloned();
        let prints = command.prints() && output.is_none();
        let display = program::begin(matches.get_count("verbose"), matches.get_flag("quiet"), prints)?;
        let mut draft = table.read(&matches).map_err(Failure::Usage)?;
        draft.run.output = output;
        Ok(ProgramTask::Command(Box::new(AskedCommand { command, matches, draft, display })))
    }
}

/// Inserts the subcommand `run` if there are no arguments or the first one is a flag other than `--help`.
fn with_subcommand(mut args: Vec<OsString>) -> Vec<OsString> {
    let is_for_all = |arg: &OsString| ["-h", "--help"].iter().any(|flag| arg == flag);
    let is_flag = |arg: &OsString| arg.to_string_lossy().starts_with('-');
    if args.first().is_none_or(|arg| is_flag(arg) && !is_for_all(arg)) {
        args.insert(0, SpiderCommand::Run.name().into());
    }
    args
}

/// Returns the name of the program, for messages.
pub(crate) fn program_name() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name =
        path.as_ref().and_then(|path| path.file_stem()).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "spider".to_owned())
}

/// The text that each program of a spider contains, as the first lines of its help. The command `opilio` looks for it
/// in a program before it runs the program. It must not change, since `opilio` and the program may be of different
/// versions; and it must be long, since compilers take short texts apart.
pub const PROGRAM_MARK: &str = "\
Crawls with a spider that is built with Opilio. Each command below has flags of its own, which COMMAND --help lists. \
In the directory of the cargo project, the program opilio calls the same commands, as in: opilio check";
const WITHOUT_SUBCOMMAND: &str = "Without a subcommand it runs, with the flags of run.";

#[cfg(test)]
mod tests {
    use opilio_engine::EachPage;

    use super::*;

    #[test]
    fn a_flag_that_a_command_has_already_is_usage_for_every_command() {
        for args in [&["run"][..], &["schema"], &["check", "--pages", "3"], &["--help"]] {
            let flags = [Arg::new("pages").long("pages")];
            let app = App::<EachPage>::with_flags(flags, |_| Err(anyhow::anyhow!("not made")));
            let ended = app.run(args.iter().copied());
            assert!(matches!(ended, Err(Failure::Usage(_))), "{args:?}: {ended:?}");
        }
    }
}
