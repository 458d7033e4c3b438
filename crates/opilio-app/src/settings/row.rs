//! A row of the table: the names of one setting, its help, how its value is read, and what the value changes.

use clap::{Arg, ArgMatches};
use opilio_core::HostPolicy;
use opilio_engine::{Crawler, Scope};
use toml::de::DeValue;

use super::draft::{CrawlDraft, HostDraft, NoSpider, RunSettings};
use super::reader::{ValueReader, Wrong};

/// The commands that share settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommandKind {
    /// A whole crawl: `opilio crawl`, and the program of a spider. It has every setting.
    Crawl,
    /// The command `opilio fetch`, which sends one request.
    Fetch,
    /// The command `opilio explain`, which prints how a crawl would decide about one attempt, such as an answer 429.
    Explain,
}

/// The part of `opilio.toml` that a key belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    /// The section `[crawl]`.
    Crawl,
    /// The sections `[default]` and `[host."…"]`.
    Hosts,
    /// Only the section `[host."…"]`.
    OneHost,
}

impl Section {
    /// Returns the name of the section in the file.
    pub(crate) fn section(self) -> &'static str {
        match self {
            Self::Crawl => "crawl",
            Self::Hosts => "default",
            Self::OneHost => "host",
        }
    }
}

/// The key of a setting in `opilio.toml`.
#[derive(Clone, Debug)]
pub(crate) struct FileKey {
    pub(crate) name: String,
    /// The section, if it is not the usual one for what the setting changes.
    part: Option<Section>,
    pub(crate) shown: Shown,
    /// The comment on this key in `docs/opilio.toml`.
    pub(crate) note: &'static str,
}

impl FileKey {
    pub(crate) fn part(&self) -> Section {
        self.part.unwrap_or(Section::Crawl)
    }
}

/// The value that `docs/opilio.toml` shows for a key, written as TOML.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shown {
    /// The default value. It is applied to each draft as if the file contained it.
    Default(&'static str),
    /// The usual value, for documentation only. It depends on other settings, so other code applies it.
    Usual(&'static str),
    /// An example. Without this setting there is no limit, or the default cannot be written as a value.
    Example(&'static str),
}

impl Shown {
    pub(crate) fn toml(self) -> &'static str {
        match self {
            Self::Default(text) | Self::Usual(text) | Self::Example(text) => text,
        }
    }
}

/// The source from which a value is read.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    /// A flag or its environment variable: the flag's name, and the parsed arguments.
    Said(&'a str, &'a ArgMatches),
    /// The value of a key in a settings file.
    Written(&'a DeValue<'a>),
}

/// Reads a value and changes the target with it. Returns false if the source has no value.
type Apply<T> = Box<dyn Fn(Given<'_>, &mut T) -> Result<bool, Wrong>>;

/// The part of a crawl's draft that a setting changes, and the function that changes it.
pub(crate) enum Applied {
    /// Changes the settings of hosts.
    Host(Apply<HostDraft>),
    /// Changes the other parts of the draft (`CrawlDraft`, the values of all settings).
    Crawl(Apply<CrawlDraft>),
}

/// One setting: a row of the table.
pub(crate) struct Setting {
    pub(crate) names: SettingNames,
    pub(crate) arg: Option<Arg>,
    pub(crate) change: Applied,
    /// A sample value as the flag's argument, and a sample value as in the file.
    pub(crate) sample: (Option<&'static str>, &'static str),
}

/// The names of a setting, and the commands that have this setting.
pub(crate) struct SettingNames {
    /// The name of the flag without `--`, or `None` if only the file can set this setting.
    pub(crate) flag: Option<&'static str>,
    pub(crate) key: Option<FileKey>,
    /// Whether the environment variable `OPILIO_…` can set this setting.
    pub(crate) has_variable: bool,
    /// Another flag that sets the same value in another way. Giving both flags is an error.
    pub(crate) same_as: Option<&'static str>,
    /// The commands other than `opilio crawl` that have this setting, each with the help that it shows.
    pub(crate) commands: Vec<(CommandKind, String)>,
}

impl SettingNames {
    /// Returns the name of the environment variable `OPILIO_…`, if the setting has one.
    pub(crate) fn variable(&self) -> Option<String> {
        let flag = self.flag.filter(|_| self.has_variable)?;
        Some(format!("OPILIO_{}", flag.to_ascii_uppercase().replace('-', "_")))
    }
}

/// A setting that is not complete: it has its names, its help and its reader, but not yet the function that applies
/// the value. The methods `host`, `policy`, `draft`, `crawler`, `scope` and `run` add that function.
pub(crate) struct RowBuilder<R> {
    reader: R,
    names: SettingNames,
    help: &'static str,
    /// The default in words, for the help, if the default in the file does not show it.
    otherwise: Option<&'static str>,
    arg: Option<Arg>,
}

/// Begins a setting that has this flag, named without `--`.
pub(crate) fn flag<R: ValueReader>(flag: &'static str, reader: R, help: &'static str) -> RowBuilder<R> {
    let arg = reader.arg(Arg::new(flag).long(flag));
    let names = SettingNames {
        flag: Some(flag),
        key: None,
        has_variable: false,
        same_as: None,
        commands: Vec::new(),
    };
    RowBuilder { reader, names, help, otherwise: None, arg: Some(arg) }
}

/// Begins a setting that exists only in the section `[host."…"]` and has no flag.
pub(crate) fn key_of_one_host<R: ValueReader>(
    name: &'static str,
    reader: R,
    shown: Shown,
    note: &'static str,
) -> RowBuilder<R> {
    let key = FileKey { name: name.to_owned(), part: Some(Section::OneHost), shown, note };
    let names =
        SettingNames { flag: None, key: Some(key), has_variable: false, same_as: None, commands: Vec::new() };
    RowBuilder { reader, names, help: "", otherwise: None, arg: None }
}

impl<R: ValueReader> RowBuilder<R> {
    /// Allows the environment variable `OPILIO_…` to set this setting.
    pub(crate) fn variable(mut self) -> Self {
        self.names.has_variable = true;
        self
    }

    /// Allows `opilio.toml` to set this setting. The key is the flag's name with `_` for `-`. The default is
    /// applied to each new `CrawlDraft`.
    pub(crate) fn key(self, default: &'static str, note: &'static str) -> Self {
        self.shown(Shown::Default(default), note)
    }

    /// Allows `opilio.toml` to set this setting. The documentation shows an example, since there is no default
    /// value.
    pub(crate) fn key_such_as(self, example: &'static str, note: &'static str) -> Self {
        self.shown(Shown::Example(example), note)
    }

    /// Allows `opilio.toml` to set this setting. The documentation shows the usual value, which other code applies.
    pub(crate) fn key_usually(self, usual: &'static str, note: &'static str) -> Self {
        self.shown(Shown::Usual(usual), note)
    }

    fn shown(mut self, shown: Shown, note: &'static str) -> Self {
        let name = self.names.flag.unwrap_or_default().replace('-', "_");
        self.names.key = Some(FileKey { name, part: None, shown, note });
        self
    }

    /// Gives the key in the file a name that differs from the flag's.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.names.key = self.names.key.map(|key| FileKey { name: name.to_owned(), ..key });
        self
    }

    /// Puts the key into the section `[crawl]`, although the setting changes the settings of hosts.
    pub(crate) fn of_the_crawl(mut self) -> Self {
        self.names.key = self.names.key.map(|key| FileKey { part: Some(Section::Crawl), ..key });
        self
    }

    /// Names another flag that sets the same value in another way. The flag of this setting takes precedence over
    /// the variable and the key of the other setting. Giving both flags is an error.
    pub(crate) fn same_as(mut self, flag: &'static str) -> Self {
        self.names.same_as = Some(flag);
        self
    }

    /// Sets the words that state the default in the help.
    pub(crate) fn otherwise(mut self, words: &'static str) -> Self {
        self.otherwise = Some(words);
        self
    }

    /// Adds this setting to another command, with the same help.
    pub(crate) fn also(self, command: CommandKind) -> Self {
        let help = self.help;
        self.also_as(command, help)
    }

    /// Adds this setting to another command, with this help.
    pub(crate) fn also_as(mut self, command: CommandKind, help: &'static str) -> Self {
        let help = self.help_of(help);
        self.names.commands.push((command, help));
        self
    }

    /// Makes further changes to the clap argument: a short flag, an alias, the flags that this flag requires.
    pub(crate) fn clap(mut self, more: impl FnOnce(Arg) -> Arg) -> Self {
        self.arg = self.arg.map(more);
        self
    }

    /// Completes a setting that changes the settings of hosts.
    pub(crate) fn host(self, set: impl Fn(&mut HostDraft, R::Value) + 'static) -> Setting {
        self.host_or(move |host, value| {
            set(host, value);
            Ok(())
        })
    }

    /// Completes a setting that changes the settings of hosts, and that may refuse the value.
    pub(crate) fn host_or(
        self,
        set: impl Fn(&mut HostDraft, R::Value) -> Result<(), String> + 'static,
    ) -> Setting {
        self.finish(Section::Hosts, |reader| {
            Applied::Host(Box::new(move |given, host| apply(&reader, given, |value| set(host, value))))
        })
    }

    /// Completes a setting that changes the policy of hosts, by a method of the policy's builder.
    pub(crate) fn policy(self, set: impl Fn(HostPolicy, R::Value) -> HostPolicy + 'static) -> Setting {
        self.host(move |host, value| host.policy = set(std::mem::take(&mut host.policy), value))
    }

    /// Completes a setting that changes the draft of a crawl (`CrawlDraft`, the values of all settings).
    pub(crate) fn draft(
        self,
        set: impl Fn(&mut CrawlDraft, R::Value) -> Result<(), String> + 'static,
    ) -> Setting {
        self.finish(Section::Crawl, |reader| {
            Applied::Crawl(Box::new(move |given, draft| apply(&reader, given, |value| set(draft, value))))
        })
    }

    /// Completes a setting that changes the crawler, by a method of the crawler's builder.
    pub(crate) fn crawler(
        self,
        set: impl Fn(Crawler<NoSpider>, R::Value) -> Crawler<NoSpider> + Clone + 'static,
    ) -> Setting {
        self.draft(move |draft, value| {
            let set = set.clone();
            draft.then(move |crawler| set(crawler, value));
            Ok(())
        })
    }

    /// Completes a setting that changes the scope, by a method of the scope's builder.
    pub(crate) fn scope(self, set: impl Fn(Scope, R::Value) -> Scope + 'static) -> Setting {
        self.draft(move |draft, value| {
            draft.scope = set(std::mem::take(&mut draft.scope), value);
            Ok(())
        })
    }

    /// Completes a setting that changes the settings of the program itself.
    pub(crate) fn run(self, set: impl Fn(&mut RunSettings, R::Value) + 'static) -> Setting {
        self.draft(move |draft, value| {
            set(&mut draft.run, value);
            Ok(())
        })
    }

    fn finish(mut self, part: Section, change: impl FnOnce(R) -> Applied) -> Setting {
        if let Some(key) = &mut self.names.key {
            key.part.get_or_insert(part);
        }
        let help = self.help_of(self.help);
        let arg = self.arg.map(|arg| match self.names.variable() {
            Some(variable) => arg.help(help).env(variable),
            None => arg.help(help),
        });
        let sample = self.reader.sample();
        Setting { names: self.names, arg, change: change(self.reader), sample }
    }

    /// Returns the help of the flag, with the default added.
    fn help_of(&self, help: &str) -> String {
        let default = match self.names.key.as_ref().map(|key| key.shown) {
            Some(Shown::Default(text) | Shown::Usual(text)) if !matches!(text, "true" | "false" | "[]") => {
                Some(text.trim_matches('"'))
            }
            _ => None,
        };
        match self.otherwise.or(default) {
            Some(default) => format!("{help} [default: {default}]"),
            None => help.to_owned(),
        }
    }
}

/// Returns a function that calls the builder's method `set` if the value is true, and otherwise changes nothing.
pub(crate) fn if_on<T>(set: impl Fn(T) -> T + Clone) -> impl Fn(T, bool) -> T + Clone {
    move |target, on| if on { set(target) } else { target }
}

/// Returns a function that calls the builder's method `set` if the value is false, and otherwise changes nothing.
pub(crate) fn if_off<T>(set: impl Fn(T) -> T + Clone) -> impl Fn(T, bool) -> T + Clone {
    move |target, on| if on { target } else { set(target) }
}

fn apply<R: ValueReader>(
    reader: &R,
    given: Given<'_>,
    set: impl FnOnce(R::Value) -> Result<(), String>,
) -> Result<bool, Wrong> {
    let value = match given {
        Given::Said(flag, matches) => reader.said(flag, matches)?,
        Given::Written(value) => Some(reader.written(value)?),
    };
    match value {
        Some(value) => Ok(set(value).map(|()| true)?),
        None => Ok(false),
    }
}
