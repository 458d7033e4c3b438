//! Reads `opilio.toml` strictly. Each error begins with the file and the line.
//!
//! The file is read key by key, without serde. So the error about an unknown key has a line and a suggestion, and a
//! wrong value gets the same message as in the flag.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use opilio_core::{BadHostPattern, HostPattern};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::Wrong;
use super::row::{Section, Setting};

/// The value of the flag `--config` that means: read no file.
const NONE: &str = "none";
/// The file that is read if the flag `--config` is not given.
const FILE: &str = "opilio.toml";

/// Returns the path of the settings file: the named one, or else `opilio.toml` in the current directory if it
/// exists. The name `none` means no file.
pub(crate) fn path(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(name) if name == Path::new(NONE) => None,
        Some(name) => Some(name.to_owned()),
        None => Some(PathBuf::from(FILE)).filter(|file| file.is_file()),
    }
}

/// The text of a settings file, and the file's name for messages.
#[derive(Clone, Debug)]
pub(crate) struct SettingsText {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl SettingsText {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the configuration {name}"))?;
        Ok(Self { name, text })
    }

    /// Returns the number of the line (from 1) that contains the byte with this index.
    pub(crate) fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Makes an error about the place in the file that this byte index gives.
    fn wrong(&self, at: usize, what: &str) -> anyhow::Error {
        anyhow!("{}:{}: {what}", self.name, self.line(at))
    }
}

/// A settings file whose keys are all known. Its values are read later, one by one.
pub(crate) struct File<'a> {
    source: &'a SettingsText,
    root: DeTable<'a>,
    /// The patterns of hosts that have a section, each in two spellings: the engine's, and the file's.
    pub(crate) hosts: Vec<(String, String)>,
}

impl<'a> File<'a> {
    /// Parses the file and refuses every key that no setting has.
    ///
    /// # Errors
    /// When the text is not TOML, or holds an unknown key.
    pub(crate) fn parse(source: &'a SettingsText, settings: &[&Setting]) -> anyhow::Result<Self> {
        let root = DeTable::parse(&source.text)
            .map_err(|error| source.wrong(error.span().map_or(0, |span| span.start), error.message()))?;
        let mut file = Self { source, root: root.into_inner(), hosts: Vec::new() };
        let known = |parts: &[Section]| -> Vec<&str> {
            let keys = settings.iter().filter_map(|setting| setting.names.key.as_ref());
            keys.filter(|key| parts.contains(&key.part())).map(|key| &*key.name).collect()
        };
        let (crawl, host) = (known(&[Section::Crawl]), known(&[Section::Hosts, Section::OneHost]));
        file.allow(&file.root, "", &["crawl", "default", "host"], &[])?;
        if let Some(table) = file.table(&file.root, "crawl")? {
            file.allow(table, " in [crawl]", &crawl, &[("[default] or [host.\"…\"]", &host)])?;
        }
        if let Some(table) = file.table(&file.root, "default")? {
            file.allow(table, " in [default]", &host, &[("[crawl]", &crawl)])?;
            let secrets = known(&[Section::OneHost]);
            if let Some((key, value)) = table.iter().find(|(key, _)| secrets.contains(&&**key.get_ref())) {
                let key = key.get_ref();
                let what = format!("{key} is sent to one host only: write it below [host.\"…\"]");
                return Err(source.wrong(value.span().start, &what));
            }
        }
        let mut hosts = Vec::new();
        if let Some(table) = file.table(&file.root, "host")? {
            for key in table.keys() {
                let pattern: HostPattern = key
                    .get_ref()
                    .parse()
                    .map_err(|error: BadHostPattern| source.wrong(key.span().start, &error.to_string()))?;
                if let Some(section) = file.table(table, key.get_ref())? {
                    let place = format!(" in [host.{:?}]", key.get_ref());
                    file.allow(section, &place, &host, &[("[crawl]", &crawl)])?;
                }
                hosts.push((pattern.to_string(), key.get_ref().to_string()));
            }
        }
        file.hosts = hosts;
        Ok(file)
    }

    /// Returns the value of a key in the section `[crawl]` or `[default]`.
    pub(crate) fn value(&self, part: Section, key: &str) -> Option<&Spanned<DeValue<'a>>> {
        if part == Section::OneHost {
            return None;
        }
        self.root.get(part.section())?.get_ref().as_table()?.get(key)
    }

    /// Returns the value of a key in the section `[host."…"]`. `host` is spelt as in the file.
    pub(crate) fn value_of_host(&self, host: &str, key: &str) -> Option<&Spanned<DeValue<'a>>> {
        let hosts = self.root.get("host")?.get_ref().as_table()?;
        hosts.get(host)?.get_ref().as_table()?.get(key)
    }

    /// Returns the place of a value, as file and line, for messages.
    pub(crate) fn place(&self, value: &Spanned<DeValue<'a>>) -> String {
        format!("{}:{}", self.source.name, self.source.line(value.span().start))
    }

    /// Makes an error about a value, with its file, line and key.
    pub(crate) fn wrong(&self, key: &str, value: &Spanned<DeValue<'a>>, wrong: Wrong) -> anyhow::Error {
        let at = wrong.at.unwrap_or(value.span().start);
        self.source.wrong(at, &format!("{key}: {}", wrong.what))
    }

    fn table<'t>(&self, table: &'t DeTable<'a>, key: &str) -> anyhow::Result<Option<&'t DeTable<'a>>> {
        let Some(value) = table.get(key) else { return Ok(None) };
        let table = value.get_ref().as_table();
        table.map(Some).ok_or_else(|| self.wrong(key, value, "this is a table of keys".into()))
    }

    /// Returns an error if a section has an unknown key. If another section has a key of this name, the error names
    /// that section.
    fn allow(
        &self,
        table: &DeTable<'a>,
        place: &str,
        known: &[&str],
        elsewhere: &[(&str, &[&str])],
    ) -> anyhow::Result<()> {
        let Some(key) = table.keys().find(|key| !known.contains(&&**key.get_ref())) else {
            return Ok(());
        };
        let name: &str = key.get_ref();
        let belongs = elsewhere.iter().find(|(_, keys)| keys.contains(&name));
        let advice = match (belongs, suggestion(name, known)) {
            (Some((part, _)), _) => format!("it belongs below {part}"),
            (None, Some(near)) => format!("did you mean {near:?}?"),
            (None, None) => format!("the keys are {}", known.join(", ")),
        };
        Err(self.source.wrong(key.span().start, &format!("unknown key {name:?}{place}: {advice}")))
    }
}

/// Returns the known key that the user probably meant, if one is similar enough.
fn suggestion<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = |name: &&str| strsim::jaro_winkler(&key.to_ascii_lowercase().replace('-', "_"), name);
    let best = known.iter().copied().max_by(|a, b| near(a).total_cmp(&near(b)))?;
    (near(&best) >= SIMILAR).then_some(best)
}

/// The least similarity, from 0 to 1, of a key that is suggested. It allows for one letter that is missing, added,
/// wrong or swapped with the next, but not for another word.
const SIMILAR: f64 = 0.8;
