//! One setting: its names, its words, how it is read and what it changes.

use clap::{Arg, ArgMatches};
use opilio_core::HostPolicy;
use opilio_engine::{Crawler, Scope, Spider};
use toml::de::DeValue;

use super::draft::{CrawlDraft, HostDraft, RunSettings};
use super::reader::{ValueReader, Wrong};

/// The commands that share settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommandKind {
    /// A whole crawl: `opilio crawl`, and the program of a spider. It has every setting.
    Crawl,
    /// `opilio fetch`: one request.
    Fetch,
    /// `opilio explain`: one decision.
    Explain,
}

/// The part of `opilio.toml` that a key belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    /// `[crawl]`
    Crawl,
    /// `[default]` and `[host."…"]`
    Hosts,
    /// `[host."…"]` alone
    OneHost,
}

impl Section {
    /// The section of the file.
    pub(crate) fn section(self) -> &'static str {
        match self {
            Self::Crawl => "crawl",
            Self::Hosts => "default",
            Self::OneHost => "host",
        }
    }
}

/// How a setting stands in `opilio.toml`.
#[derive(Clone, Debug)]
pub(crate) struct FileKey {
    pub(crate) name: String,
    /// By default that of what the setting changes.
    part: Option<Section>,
    pub(crate) shown: Shown,
    /// The comment in `docs/opilio.toml`.
    pub(crate) note: &'static str,
}

impl FileKey {
    pub(crate) fn part(&self) -> Section {
        self.part.unwrap_or(Section::Crawl)
    }
}

/// The value that `docs/opilio.toml` shows, as TOML.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shown {
    /// Holds where nothing else is said: it is read and applied as if the file had it.
    Default(&'static str),
    /// Holds where nothing else is said, unless another setting contradicts it. The application knows.
    Usual(&'static str),
    /// One that somebody may want; without it there is no such limit, or another text.
    Example(&'static str),
}

impl Shown {
    pub(crate) fn toml(self) -> &'static str {
        match self {
            Self::Default(text) | Self::Usual(text) | Self::Example(text) => text,
        }
    }
}

/// Where a value is read from.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    /// This flag, or its variable.
    Said(&'a str, &'a ArgMatches),
    /// A file.
    Written(&'a DeValue<'a>),
}

/// Reads a value and changes the target by it; false where there is no value.
type Apply<T> = Box<dyn Fn(Given<'_>, &mut T) -> Result<bool, Wrong>>;

/// The part of a crawl that a setting changes.
pub(crate) enum Applied<S: Spider> {
    /// The settings of hosts.
    Host(Apply<HostDraft>),
    /// The crawl.
    Crawl(Apply<CrawlDraft<S>>),
}

/// One setting.
pub(crate) struct Setting<S: Spider> {
    pub(crate) names: SettingNames,
    pub(crate) arg: Option<Arg>,
    pub(crate) change: Applied<S>,
    /// A value that can be read, for a flag and for the file.
    pub(crate) sample: (Option<&'static str>, &'static str),
}

/// The names of a setting, and the commands that have it.
pub(crate) struct SettingNames {
    /// Without `--`. A setting of the file alone has none.
    pub(crate) flag: Option<&'static str>,
    pub(crate) key: Option<FileKey>,
    /// Whether `OPILIO_…` can set it.
    pub(crate) has_variable: bool,
    /// The flag that says the same in another way: they are not given together.
    pub(crate) same_as: Option<&'static str>,
    /// Besides a crawl, with the help that each of them has.
    pub(crate) commands: Vec<(CommandKind, String)>,
}

impl SettingNames {
    /// The name of its environment variable.
    pub(crate) fn variable(&self) -> Option<String> {
        let flag = self.flag.filter(|_| self.has_variable)?;
        Some(format!("OPILIO_{}", flag.to_ascii_uppercase().replace('-', "_")))
    }
}

/// A setting that is written down, but for what it changes.
pub(crate) struct RowBuilder<R> {
    reader: R,
    names: SettingNames,
    help: &'static str,
    /// The default in words, if the file's default does not show it.
    otherwise: Option<&'static str>,
    arg: Option<Arg>,
}

/// A setting with a flag, without `--`.
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

/// A setting that only `[host."…"]` has.
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
    /// `OPILIO_…` sets it, too.
    pub(crate) fn variable(mut self) -> Self {
        self.names.has_variable = true;
        self
    }

    /// `opilio.toml` sets it, too, by the flag's name with `_`. The default is applied.
    pub(crate) fn key(self, default: &'static str, note: &'static str) -> Self {
        self.shown(Shown::Default(default), note)
    }

    /// The same, without a default of its own.
    pub(crate) fn key_such_as(self, example: &'static str, note: &'static str) -> Self {
        self.shown(Shown::Example(example), note)
    }

    /// The same, with a default that the application makes.
    pub(crate) fn key_usually(self, usual: &'static str, note: &'static str) -> Self {
        self.shown(Shown::Usual(usual), note)
    }

    fn shown(mut self, shown: Shown, note: &'static str) -> Self {
        let name = self.names.flag.unwrap_or_default().replace('-', "_");
        self.names.key = Some(FileKey { name, part: None, shown, note });
        self
    }

    /// Its key has another name than its flag.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.names.key = self.names.key.map(|key| FileKey { name: name.to_owned(), ..key });
        self
    }

    /// Its key is below `[crawl]`, although it changes what holds for hosts.
    pub(crate) fn of_the_crawl(mut self) -> Self {
        self.names.key = self.names.key.map(|key| FileKey { part: Some(Section::Crawl), ..key });
        self
    }

    /// Another flag says the same in another way. This one goes before the other's variable and key, and both
    /// are not given together.
    pub(crate) fn same_as(mut self, flag: &'static str) -> Self {
        self.names.same_as = Some(flag);
        self
    }

    /// States the default in words for the help.
    pub(crate) fn otherwise(mut self, words: &'static str) -> Self {
        self.otherwise = Some(words);
        self
    }

    /// Another command has it, with the same words.
    pub(crate) fn also(self, command: CommandKind) -> Self {
        let help = self.help;
        self.also_as(command, help)
    }

    /// Another command has it, with other words.
    pub(crate) fn also_as(mut self, command: CommandKind, help: &'static str) -> Self {
        let help = self.help_of(help);
        self.names.commands.push((command, help));
        self
    }

    /// What clap knows of it besides: a short flag, an alias, which flags it needs.
    pub(crate) fn clap(mut self, more: impl FnOnce(Arg) -> Arg) -> Self {
        self.arg = self.arg.map(more);
        self
    }

    /// Changes the settings of hosts.
    pub(crate) fn host<S: Spider>(self, set: impl Fn(&mut HostDraft, R::Value) + 'static) -> Setting<S> {
        self.host_or(move |host, value| {
            set(host, value);
            Ok(())
        })
    }

    /// Changes the settings of hosts, unless they contradict each other.
    pub(crate) fn host_or<S: Spider>(
        self,
        set: impl Fn(&mut HostDraft, R::Value) -> Result<(), String> + 'static,
    ) -> Setting<S> {
        self.finish(Section::Hosts, |reader| {
            Applied::Host(Box::new(move |given, host| apply(&reader, given, |value| set(host, value))))
        })
    }

    /// Changes the policy of hosts, by a method of its builder.
    pub(crate) fn policy<S: Spider>(
        self,
        set: impl Fn(HostPolicy, R::Value) -> HostPolicy + 'static,
    ) -> Setting<S> {
        self.host(move |host, value| host.policy = set(std::mem::take(&mut host.policy), value))
    }

    /// Changes the draft of a crawl.
    pub(crate) fn draft<S: Spider>(
        self,
        set: impl Fn(&mut CrawlDraft<S>, R::Value) -> Result<(), String> + 'static,
    ) -> Setting<S> {
        self.finish(Section::Crawl, |reader| {
            Applied::Crawl(Box::new(move |given, draft| apply(&reader, given, |value| set(draft, value))))
        })
    }

    /// Changes the crawler, by a method of its builder.
    pub(crate) fn crawler<S: Spider>(
        self,
        set: impl Fn(Crawler<S>, R::Value) -> Crawler<S> + Clone + 'static,
    ) -> Setting<S> {
        self.draft(move |draft, value| {
            let set = set.clone();
            draft.then(move |crawler| set(crawler, value));
            Ok(())
        })
    }

    /// Changes the scope, by a method of its builder.
    pub(crate) fn scope<S: Spider>(self, set: impl Fn(Scope, R::Value) -> Scope + 'static) -> Setting<S> {
        self.draft(move |draft, value| {
            draft.scope = set(std::mem::take(&mut draft.scope), value);
            Ok(())
        })
    }

    /// Changes how the program runs.
    pub(crate) fn run<S: Spider>(self, set: impl Fn(&mut RunSettings, R::Value) + 'static) -> Setting<S> {
        self.draft(move |draft, value| {
            set(&mut draft.run, value);
            Ok(())
        })
    }

    fn finish<S: Spider>(mut self, part: Section, change: impl FnOnce(R) -> Applied<S>) -> Setting<S> {
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

    /// The help, with what holds without the setting.
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

/// Calls a builder's method where the value is yes.
pub(crate) fn if_on<T>(set: impl Fn(T) -> T + Clone) -> impl Fn(T, bool) -> T + Clone {
    move |target, on| if on { set(target) } else { target }
}

/// Calls a builder's method where the value is no.
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
