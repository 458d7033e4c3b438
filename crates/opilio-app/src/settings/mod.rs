//! The settings of a crawl. They are listed in one table, from which all other code about settings follows.
//!
//! The module `table` has a row for each setting: its flag, its variable, its key in `opilio.toml`, its help, how
//! its value is read and what it changes. The flags, their help, the errors with file and line, the suggestions,
//! the precedence of the sources and `docs/opilio.toml` are made from the rows. A new setting needs a new row, and
//! `cargo xtask settings` then writes `docs/opilio.toml`.
//!
//! The module `reader` has the kinds of values, `row` the parts of a row, and `draft` the values that the rows
//! change. `file` reads `opilio.toml`, and `page` writes its documentation.

mod choice;
mod draft;
mod file;
mod flags;
mod page;
mod reader;
mod row;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};
use toml::de::DeValue;

pub use choice::Format;
pub use draft::{CrawlDraft, HostDraft, NoSpider, RunSettings};
pub use flags::{Flags, HasSettings};
pub use page::page;
pub use row::CommandKind;

use file::{File, SettingsText};
use row::{Applied, Given, Section, Setting, Shown};

/// The settings of one command, in the order in which its help lists them.
pub struct SettingsTable {
    entries: Vec<HelpEntry>,
    programs_own: Option<SettingsText>,
}

/// The description of one setting, for tools and tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// The name of the flag without `--`, or `None` if only the file can set this setting.
    pub flag: Option<&'static str>,
    /// The name of the environment variable, if one can set this setting.
    pub variable: Option<String>,
    /// The section of `opilio.toml` (`host` if only single hosts have the setting), and the key in that section.
    pub key: Option<(&'static str, String)>,
    /// The value that has the same effect in the file as leaving the key out.
    pub default: Option<&'static str>,
    /// A sample value as the flag's argument (`None` if the flag takes no value), and a sample value as in the
    /// file.
    pub sample: (Option<&'static str>, &'static str),
}

/// An entry of the help: a setting, or one of the command's own flags, which the command itself reads.
enum HelpEntry {
    Shared(Setting),
    Own(Arg),
}

impl SettingsTable {
    /// Returns the settings that this command has.
    #[must_use]
    pub fn of(command: CommandKind) -> Self {
        let has = |setting: &Setting| {
            command == CommandKind::Crawl || setting.names.commands.iter().any(|(other, _)| *other == command)
        };
        let entries =
            table::all().into_iter().filter(has).map(|setting| HelpEntry::Shared(setting.worded(command)));
        Self { entries: entries.collect(), programs_own: None }
    }

    /// Adds the command's own flags, in the order of the help: after the setting `behind`, or before all settings.
    #[must_use]
    pub fn with_own(mut self, behind: Option<&str>, flags: impl IntoIterator<Item = Arg>) -> Self {
        let is_it =
            |entry: &HelpEntry| matches!(entry, HelpEntry::Shared(setting) if setting.names.flag == behind);
        let at = match behind {
            None => 0,
            Some(_) => self.entries.iter().position(is_it).map_or(self.entries.len(), |at| at + 1),
        };
        self.entries.splice(at..at, flags.into_iter().map(HelpEntry::Own));
        self
    }

    /// Keeps the flags for which `wanted` returns true. Settings whose flag is removed can still be set by the settings
    /// file, so that all commands read one file.
    #[must_use]
    pub fn with_flags_that(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        for entry in &mut self.entries {
            if let HelpEntry::Shared(setting) = entry
                && setting.names.flag.is_some_and(|flag| !wanted(flag))
            {
                (setting.names.flag, setting.arg) = (None, None);
            }
        }
        self
    }

    /// Sets the program's own settings, written as in `opilio.toml`. All other sources take precedence over them.
    #[must_use]
    pub fn with_defaults(mut self, text: &str) -> Self {
        self.programs_own =
            Some(SettingsText { name: "the program's settings".to_owned(), text: text.to_owned() });
        self
    }

    /// Returns the description of each setting, for tools and tests.
    #[must_use]
    pub fn described(&self) -> Vec<Described> {
        let describe = |setting: &&Setting| Described {
            flag: setting.names.flag,
            variable: setting.names.variable(),
            key: setting.names.key.as_ref().map(|key| (key.part().section(), key.name.clone())),
            default: setting.names.key.as_ref().and_then(|key| match key.shown {
                Shown::Default(text) => Some(text),
                Shown::Usual(_) | Shown::Example(_) => None,
            }),
            sample: setting.sample,
        };
        self.settings().iter().map(describe).collect()
    }

    /// Adds the flags of all settings to a clap command.
    #[must_use]
    pub fn flags(&self, mut command: clap::Command) -> clap::Command {
        for entry in &self.entries {
            match entry {
                HelpEntry::Shared(Setting { arg: Some(arg), .. }) | HelpEntry::Own(arg) => {
                    command = command.arg(arg)
                }
                HelpEntry::Shared(_) => {}
            }
        }
        command
    }

    /// Reads all settings. If several sources set one, the first of these decides: the flag, the environment
    /// variable, `opilio.toml`, the program's own settings, the default.
    ///
    /// # Errors
    /// When the file cannot be read, or a setting is wrong.
    pub fn read(&self, matches: &ArgMatches) -> anyhow::Result<CrawlDraft> {
        let (asked, path) = match matches.try_get_one::<PathBuf>(CONFIG) {
            Ok(named) => (named.is_some(), file::path(named.map(PathBuf::as_path))),
            // This command has no flag for a settings file and reads none.
            Err(_) => (false, None),
        };
        let file = path.as_deref().map(SettingsText::read).transpose()?;
        let sources: Vec<&SettingsText> = file.iter().chain(&self.programs_own).collect();
        let mut draft = self.draft(matches, &sources)?;
        draft.run.unasked_file = path.filter(|_| !asked);
        Ok(draft)
    }

    /// Makes the draft of the crawl, which holds the values of all settings. A flag or its variable decides
    /// before the sources; of the sources that have the setting, the first decides.
    fn draft(&self, matches: &ArgMatches, sources: &[&SettingsText]) -> anyhow::Result<CrawlDraft> {
        let settings = self.settings();
        let files = sources.iter().map(|source| File::parse(source, &settings));
        let files = files.collect::<anyhow::Result<Vec<_>>>()?;
        let mut draft = CrawlDraft::default();
        for setting in &settings {
            if let Some(from) = setting.settle(matches, &files, &mut draft)? {
                let name = setting.names.flag.or(setting.key()).unwrap_or_default();
                // The value is not logged, since it may be a secret.
                tracing::debug!(name, %from, "this setting is set");
                draft.sources.push((name.to_owned(), from));
            }
        }
        // The sources are read from the weakest to the strongest. If several have a section for one host, the later
        // ones add to it.
        for file in files.iter().rev() {
            for (pattern, name) in &file.hosts {
                let known = draft.hosts.iter().position(|(other, _)| other == pattern);
                let at = known.unwrap_or_else(|| {
                    draft.hosts.push((pattern.clone(), draft.host.for_one_host()));
                    draft.hosts.len() - 1
                });
                let host = &mut draft.hosts[at].1;
                let login = host.login.take();
                for setting in &settings {
                    setting.settle_host(file, name, host)?;
                }
                host.login = host.login.take().or(login);
            }
        }
        for (pattern, host) in &draft.hosts {
            host.settings().map_err(|error| error.context(format!("[host.{pattern:?}]")))?;
        }
        draft.host.settings()?;
        Ok(draft)
    }

    fn settings(&self) -> Vec<&Setting> {
        let settings = self.entries.iter().filter_map(|entry| match entry {
            HelpEntry::Shared(setting) => Some(setting),
            HelpEntry::Own(_) => None,
        });
        settings.collect()
    }
}

impl Setting {
    fn key(&self) -> Option<&str> {
        self.names.key.as_ref().map(|key| &*key.name)
    }

    /// Returns the clap argument of a setting, with the help that this command shows for it.
    fn worded(mut self, command: CommandKind) -> Self {
        let words = self.names.commands.iter().find(|(other, _)| *other == command);
        if let Some((_, help)) = words {
            // A command with few flags needs no headings in its help.
            let unheaded = command == CommandKind::Explain;
            self.arg = self.arg.map(|arg| {
                let arg = arg.help(help);
                if unheaded { arg.help_heading(None::<&str>) } else { arg }
            });
        }
        self
    }

    /// Applies the value of the strongest source that sets a setting, and returns that source, or `None` if no
    /// source sets it and the default stays.
    fn settle(
        &self,
        matches: &ArgMatches,
        files: &[File<'_>],
        draft: &mut CrawlDraft,
    ) -> anyhow::Result<Option<String>> {
        let by_flag = |flag| matches.value_source(flag) == Some(ValueSource::CommandLine);
        if let (Some(flag), Some(other)) = (self.names.flag, self.names.same_as)
            && by_flag(flag)
            && by_flag(other)
        {
            anyhow::bail!("--{flag} cannot be used with --{other}, which says the same in another way");
        }
        if let Some(flag) = self.names.flag
            && self.apply(Given::Said(flag, matches), draft).map_err(|wrong| said_wrong(flag, &wrong))?
        {
            let by_variable = matches.value_source(flag) == Some(ValueSource::EnvVariable);
            let variable = self.names.variable().filter(|_| by_variable);
            return Ok(Some(variable.unwrap_or_else(|| format!("--{flag}"))));
        }
        let Some(key) = &self.names.key else { return Ok(None) };
        for file in files {
            if let Some(value) = file.value(key.part(), &key.name) {
                let applied = self.apply(Given::Written(value.get_ref()), draft);
                applied.map_err(|wrong| file.wrong(&key.name, value, wrong))?;
                return Ok(Some(file.place(value)));
            }
        }
        if let Shown::Default(text) = key.shown {
            let wrong = |what: String| anyhow::anyhow!("the default of {}: {what}", key.name);
            let value = DeValue::parse(text).map_err(|error| wrong(error.to_string()))?;
            self.apply(Given::Written(value.get_ref()), draft).map_err(|error| wrong(error.what))?;
        }
        Ok(None)
    }

    fn apply(&self, given: Given<'_>, draft: &mut CrawlDraft) -> Result<bool, reader::Wrong> {
        match &self.change {
            Applied::Host(apply) => apply(given, &mut draft.host),
            Applied::Crawl(apply) => apply(given, draft),
        }
    }

    /// Applies the values that a file's section for one host contains.
    fn settle_host(&self, file: &File<'_>, name: &str, host: &mut HostDraft) -> anyhow::Result<()> {
        if let (Some(key), Applied::Host(apply)) = (&self.names.key, &self.change)
            && matches!(key.part(), Section::Hosts | Section::OneHost)
            && let Some(value) = file.value_of_host(name, &key.name)
        {
            let applied = apply(Given::Written(value.get_ref()), host);
            applied.map_err(|wrong| file.wrong(&key.name, value, wrong))?;
        }
        Ok(())
    }
}

fn said_wrong(flag: &str, wrong: &reader::Wrong) -> anyhow::Error {
    anyhow::anyhow!("--{flag}: {}", wrong.what)
}

/// The name of the flag that names the settings file.
const CONFIG: &str = "config";
