//! `cargo xtask tidy`: looks for things that make the code hard to read. Only files that git tracks are read.
//!
//! The check fails if a source file does not begin with `//!`, if a page of the documentation names a file that does
//! not exist, or if more than [`SHARED_NAMES_MAX`] names are used for two types each. It lists functions of more than
//! 70 lines, structs of more than 15 fields, files of more than 500 lines, and words for which `docs/lexicon.md` has
//! better words.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::sizes;

/// Reads every source file that git tracks, checks it, and prints what was found.
///
/// # Errors
/// When git fails, when a file cannot be read, or when one of the checks fails.
pub(crate) fn run() -> Result<()> {
    let lexicon = Lexicon::read()?;
    let mut found = Findings::default();
    let mut files = Vec::new();
    for path in tracked("*.rs")? {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        found.read(&lexicon, &path, &text);
        files.push((path, text));
    }
    let mut lost = Vec::new();
    for page in tracked("*.md")? {
        let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read {page}"))?;
        let gone = files_named(&text).filter(|file| !std::path::Path::new(file).exists());
        lost.extend(gone.map(|file| format!("{file} in {page}")));
    }
    let large = sizes::list(&files)?;
    found.print();
    println!("tidy: {large} large functions and structs");
    ensure!(lost.is_empty(), "pages that name files which are not there: {}", lost.join(", "));
    let silent = &found.silent;
    ensure!(silent.is_empty(), "files that do not begin with //!: {}", silent.join(", "));
    found.check_shared_names()
}

/// The words to avoid, each with the word to use instead. They are read from `docs/lexicon.md`.
struct Lexicon(Vec<(String, String)>);

impl Lexicon {
    fn read() -> Result<Self> {
        let text = std::fs::read_to_string(LEXICON).with_context(|| format!("cannot read {LEXICON}"))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let rows = text.lines().filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let (word, _, not) = (cells.next()?, cells.next()?, cells.next()?);
            (word != "word" && !word.starts_with("---")).then_some((word, not))
        });
        let words = rows.flat_map(|(word, not)| {
            let avoid = not.split(',').map(str::trim).filter(|avoid| !avoid.is_empty());
            avoid.map(|avoid| (avoid.to_owned(), word.to_owned())).collect::<Vec<_>>()
        });
        Self(words.collect())
    }

    /// Returns those words of a text that should be avoided.
    fn found<'a>(&'a self, prose: &'a str) -> impl Iterator<Item = &'a str> {
        let has = |word: &str| {
            prose.match_indices(word).any(|(at, _)| {
                let ends = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
                let bytes = prose.as_bytes();
                ends(at.checked_sub(1).and_then(|at| bytes.get(at))) && ends(bytes.get(at + word.len()))
            })
        };
        self.0.iter().map(|(avoid, _)| avoid.as_str()).filter(move |avoid| has(avoid))
    }
}

/// Everything that was found in all files.
#[derive(Default)]
struct Findings {
    /// The files that do not begin with `//!`.
    silent: Vec<String>,
    long: Vec<(usize, String)>,
    /// For each word to avoid, the places at which it was found.
    words: BTreeMap<String, Vec<String>>,
    /// For each name of a type, the places at which a type with this name is defined.
    names: BTreeMap<String, Vec<String>>,
}

impl Findings {
    fn read(&mut self, lexicon: &Lexicon, path: &str, text: &str) {
        if !text.starts_with("//!") {
            self.silent.push(path.to_owned());
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            self.long.push((lines, path.to_owned()));
        }
        let is_test = path.contains("/tests") || path.ends_with("tests.rs") || path.starts_with("examples/");
        for (line, text) in text.lines().enumerate() {
            if let Some(comment) = comment(text) {
                let prose = comment.to_lowercase();
                for word in lexicon.found(&prose) {
                    let places = self.words.entry(word.to_owned()).or_default();
                    places.push(format!("{path}:{}", line + 1));
                }
            } else if let Some(name) = type_name(text).filter(|_| !is_test) {
                self.names.entry(name.to_owned()).or_default().push(format!("{path}:{}", line + 1));
            }
        }
    }

    fn print(&self) {
        for (lines, path) in &self.long {
            println!("long: {path} has {lines} lines");
        }
        for (word, places) in &self.words {
            let first = places[..places.len().min(PLACES)].join(", ");
            println!("off the lexicon: \"{word}\", {} times: {first}", places.len());
        }
        for (name, places) in self.shared_names() {
            println!("one name for {} types: {name}: {}", places.len(), places.join(", "));
        }
        let twice = self.shared_names().count();
        let words: usize = self.words.values().map(Vec::len).sum();
        let (long, silent) = (self.long.len(), self.silent.len());
        println!(
            "tidy: {long} long files, {words} words off the lexicon, {twice} names of two types, \
             {silent} files without //!"
        );
    }

    /// Returns the names that two or more types have, except for the names in `SAME_MEANING`.
    fn shared_names(&self) -> impl Iterator<Item = (&str, &[String])> {
        let names = self.names.iter().map(|(name, places)| (name.as_str(), places.as_slice()));
        names.filter(|(name, places)| places.len() > 1 && !SAME_MEANING.contains(name))
    }

    /// Fails if more names are shared than `SHARED_NAMES_MAX` allows. If fewer are shared, asks to lower that number.
    fn check_shared_names(&self) -> Result<()> {
        let shared = self.shared_names().count();
        ensure!(
            shared <= SHARED_NAMES_MAX,
            "{shared} names stand for two types, {SHARED_NAMES_MAX} at most may: rename the new type"
        );
        if shared < SHARED_NAMES_MAX {
            println!("fewer names stand for two types: set SHARED_NAMES_MAX to {shared}");
        }
        Ok(())
    }
}

/// Returns the comment in a line of code. The two slashes of a URL in a string do not count as the begin of a
/// comment.
fn comment(line: &str) -> Option<&str> {
    let begins = |at: usize| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    line.match_indices("//").find(|(at, _)| begins(*at)).map(|(at, _)| &line[at + 2..])
}

/// Returns the name of the type that a line of code defines. Returns `None` for associated types.
fn type_name(line: &str) -> Option<&str> {
    // If the definition of a type is indented, the type is associated or local to a function, and is not counted.
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub(super) ")).unwrap_or(line);
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("pub(in crate::host) ").unwrap_or(line);
    let kinds = ["struct ", "enum ", "trait ", "type "];
    let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    rest.split(|c: char| !c.is_alphanumeric()).next().filter(|name| !name.is_empty())
}

/// Returns the source files that a page of the documentation names with their complete paths.
fn files_named(page: &str) -> impl Iterator<Item = &str> {
    let words = page.split(|c: char| c.is_whitespace() || "`()[]|,;".contains(c));
    words.filter(|word| word.starts_with("crates/") && word.ends_with(".rs"))
}

pub(crate) fn tracked(pattern: &str) -> Result<Vec<String>> {
    let out = Command::new("git").args(["ls-files", pattern]).output().context("cannot run git ls-files")?;
    ensure!(out.status.success(), "git ls-files: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

const LEXICON: &str = "docs/lexicon.md";
/// The most lines of a file. Files with more lines are listed, which is not an error.
const LINES_MAX: usize = 500;
/// The most places that are listed for one word to avoid.
const PLACES: usize = 8;
/// The most names that may be used for two types each. When the code gets better, this number is lowered; it is never
/// raised.
const SHARED_NAMES_MAX: usize = 22;
/// Names that the parts of both stores have. They mean the same thing in both stores, so they do not count as shared.
const SAME_MEANING: [&str; 4] = ["Chains", "HostId", "Hosts", "Queue"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_words_to_avoid_as_words() {
        let lexicon =
            Lexicon::parse("| word | means | not |\n| --- | --- | --- |\n| hold | x | cool-down, ban |\n");
        assert_eq!(lexicon.found("a ban, a cool-down").collect::<Vec<_>>(), ["cool-down", "ban"]);
        assert_eq!(lexicon.found("bans of a band").count(), 0);
    }

    #[test]
    fn an_empty_cell_names_no_word_to_avoid() {
        let lexicon = Lexicon::parse("| shard | one thread | |\n| lease | a URL | ticket, |\n");
        assert_eq!(lexicon.found("a shard, a ticket").collect::<Vec<_>>(), ["ticket"]);
    }

    #[test]
    fn a_url_in_a_string_is_no_comment() {
        assert_eq!(comment("let url = \"http://a.example/\"; // its site"), Some(" its site"));
        assert_eq!(comment("    /// Its site."), Some("/ Its site."));
        assert_eq!(comment("get(\"http://a.example/\")"), None);
    }

    #[test]
    fn tells_types_from_associated_ones() {
        assert_eq!(type_name("pub(crate) struct Ticket {"), Some("Ticket"));
        assert_eq!(type_name("enum Payer<T> {"), Some("Payer"));
        assert_eq!(type_name("    type Result = ();"), None);
        assert_eq!(type_name("let typed = 1;"), None);
    }

    #[test]
    fn counts_the_names_of_two_types_but_for_those_that_mean_the_same() {
        let mut found = Findings::default();
        for path in ["crates/a/src/a.rs", "crates/b/src/b.rs"] {
            found.read(&Lexicon(Vec::new()), path, "struct Answer;\nstruct HostId(u64);\n");
        }
        found.read(&Lexicon(Vec::new()), "crates/a/src/tests.rs", "struct Rig;\nstruct Rig;\n");
        assert_eq!(found.shared_names().map(|(name, _)| name).collect::<Vec<_>>(), ["Answer"]);
    }

    #[test]
    fn finds_the_files_that_a_page_names() {
        let page = "See `crates/a/src/b.rs`, [c](crates/a/src/c.rs) and `b.rs` of `crates/a`.";
        assert_eq!(files_named(page).collect::<Vec<_>>(), ["crates/a/src/b.rs", "crates/a/src/c.rs"]);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_for_is_named() {
        let mut found = Findings::default();
        found.read(&Lexicon(Vec::new()), "crates/a/src/a.rs", "use std::fmt;\n");
        assert_eq!(found.silent, ["crates/a/src/a.rs"]);
    }
}
