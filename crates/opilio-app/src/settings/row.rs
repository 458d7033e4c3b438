//! One setting: its names, its help, how it is read and what it changes.

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

/// A setting in `opilio.toml`.
#[derive(Clone, Debug)]
pub(crate) struct FileKey {
    pub(crate) name: String,
    /// The section. By default it follows from what the setting changes.
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
    /// The default. It is read and applied as if the file had it.
    Default(&'static str),
    /// The usual value. It depends on other settings, so the application sets it.
    Usual(&'static str),
    /// An example. Without the setting there is no limit, or the default is another text.
    Example(&'static str),
}

impl Shown {
    pub(crate) fn toml(self) -> &'static str {
        match self {
            Self::Default(text) | Self::Usual(text) | Self::Example(text) => text,
        }
    }
}

/// The source of a value.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    /// The flag or its variable.
    Said(&'a str, &'a ArgMatches),
    /// A file.
    Written(&'a DeValue<'a>),
}

/// Reads a value and changes the target. Returns `false` if the source has no value.
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
    /// A sample value, for a flag and for the file.
    pub(crate) sample: (Option<&'static str>, &'static str),
}

/// The names of a setting, and the commands that have it.
pub(crate) struct SettingNames {
    /// The name without `--`; `None` for a setting of the file alone.
    pub(crate) flag: Option<&'static str>,
    pub(crate) key: Option<FileKey>,
    /// Whether the variable `OPILIO_…` can set it.
    pub(crate) has_variable: bool,
    /// A flag that sets the same in another way. Both together are refused.
    pub(crate) same_as: Option<&'static str>,
    /// The other commands that have it, each with its help.
    pub(crate) commands: Vec<(CommandKind, String)>,
}

impl SettingNames {
    /// The name of its environment variable.
    pub(crate) fn variable(&self) -> Option<String> {
        let flag = self.flag.filter(|_| self.has_variable)?;
        Some(format!("OPILIO_{}", flag.to_ascii_uppercase().replace('-', "_")))
    }
}

/// A setting without its effect.
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

/// A setting of `[host."…"]` alone.
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
    /// Lets the variable `OPILIO_…` set it.
    pub(crate) fn variable(mut self) -> Self {
        self.names.has_variable = true;
        self
    }

    /// Lets `opilio.toml` set it by the flag's name with `_`. The default is applied.
    pub(crate) fn key(self, default: &'static str, note: &'static str) -> Self {
        self.shown(Shown::Default(default), note)
    }

    /// Lets `opilio.toml` set it, with an example instead of a default.
    pub(crate) fn key_such_as(self, example: &'static str, note: &'static str) -> Self {
        self.shown(Shown::Example(example), note)
    }

    /// Lets `opilio.toml` set it, with a default that the application applies.
    pub(crate) fn key_usually(self, usual: &'static str, note: &'static str) -> Self {
        self.shown(Shown::Usual(usual), note)
    }

    fn shown(mut self, shown: Shown, note: &'static str) -> Self {
        let name = self.names.flag.unwrap_or_default().replace('-', "_");
        self.names.key = Some(FileKey { name, part: None, shown, note });
        self
    }

    /// Gives the key another name than the flag's.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.names.key = self.names.key.map(|key| FileKey { name: name.to_owned(), ..key });
        self
    }

    /// Puts the key below `[crawl]`, although it changes settings of hosts.
    pub(crate) fn of_the_crawl(mut self) -> Self {
        self.names.key = self.names.key.map(|key| FileKey { part: Some(Section::Crawl), ..key });
        self
    }

    /// Names another flag that sets the same in another way. This one takes precedence over the other's
    /// variable and key. Both flags together are refused.
    pub(crate) fn same_as(mut self, flag: &'static str) -> Self {
        self.names.same_as = Some(flag);
        self
    }

    /// States the default in words, for the help.
    pub(crate) fn otherwise(mut self, words: &'static str) -> Self {
        self.otherwise = Some(words);
        self
    }

    /// Adds the setting to another command, with the same help.
    pub(crate) fn also(self, command: CommandKind) -> Self {
        let help = self.help;
        self.also_as(command, help)
    }

    /// Adds the setting to another command, with other help.
    pub(crate) fn also_as(mut self, command: CommandKind, help: &'static str) -> Self {
        let help = self.help_of(help);
        self.names.commands.push((command, help));
        self
    }

    /// Adds what else clap needs: a short flag, an alias, the flags that it requires.
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

    /// Changes the settings of hosts, and may refuse the value.
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

    /// The help, with the default.
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

/// Calls a builder's method if the value is yes.
pub(crate) fn if_on<T>(set: impl Fn(T) -> T + Clone) -> impl Fn(T, bool) -> T + Clone {
    move |target, on| if on { set(target) } else { target }
}

/// Calls a builder's method if the value is no.
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
