//! The part of `cargo xtask layers` that reads source files. It checks that each module of the engine imports only
//! modules of lower layers, and that only one module reads the field `extra` of a record, which holds data of the
//! spider.
//!
//! The check searches the text for `crate::name`, for `crate::{name, …}`, and for as many `super::` as lead to the
//! root of the crate. It does not parse the source code.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::tidy::tracked;

/// The layers of the engine's modules, the lowest first. A module may import only modules of lower layers. So hosts,
/// fetchers and runners import neither the shard that starts them, nor the modules scheduler, supervisor and launch.
const FLOORS: &[&[&str]] = &[
    &["backlog", "clock", "memory", "outbox", "prepared", "settings", "signals"],
    &["message"],
    &["exporter"],
    &["death", "port"],
    &["context"],
    &["fetcher", "runner"],
    &["host"],
    &["scheduler", "shard"],
    &["supervisor"],
    &["launch"],
    &["crawler"],
    &["job"],
];

/// The imports of a higher layer that are allowed: the importing module, the imported module, and the reason. An
/// entry that is no longer needed is an error.
const UPWARD: &[(&str, &str, &str)] = &[];

/// The only module that decodes a record's `extra`.
const READER: &str = "crates/opilio-spider/src/data.rs";
/// Crates that keep and compare the bytes of `extra` without decoding them. They cannot decode the bytes, because
/// they may not depend on the crate that contains the decoder.
const CARRIERS: &[&str] = &["crates/opilio-core/", "crates/opilio-frontier/"];

/// Checks every source file that git tracks.
///
/// # Errors
/// When a module imports a module of a higher layer, or when another module reads `extra`.
pub(crate) fn run() -> Result<()> {
    let mut used = BTreeSet::new();
    for path in tracked("crates/*.rs")? {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let code = without_tests(&text);
        if let Some(file) = path.strip_prefix("crates/opilio-engine/src/").filter(|file| !is_test(file)) {
            check_imports(file, code, &mut used)?;
        }
        let may_read = path == READER || CARRIERS.iter().any(|crate_| path.starts_with(crate_));
        let line = code.lines().position(reads_extra).filter(|_| !may_read && !path.contains("/xtask/"));
        if let Some(line) = line {
            anyhow::bail!("{path}:{}: reads `extra`, which only {READER} may decode", line + 1);
        }
    }
    for (from, to, _) in UPWARD {
        ensure!(
            used.contains(&(*from, *to)),
            "{from} no longer imports {to}: take it off the list of UPWARD"
        );
    }
    println!("imports: no upward one in the engine but {} listed, one module reads `extra`", UPWARD.len());
    Ok(())
}

fn check_imports(file: &str, code: &str, used: &mut BTreeSet<(&'static str, &'static str)>) -> Result<()> {
    let module = file.split('/').next().unwrap_or(file).trim_end_matches(".rs");
    if module == "lib" {
        return Ok(());
    }
    let floor = floor_of(module)?;
    for name in imports(code, depth_of(file)) {
        if name == module || !is_module(&name) {
            continue;
        }
        if floor_of(&name)? < floor {
            continue;
        }
        let listed = UPWARD.iter().find(|(from, to, _)| *from == module && *to == name);
        let (from, to, _) =
            listed.with_context(|| format!("{file} imports {name}, which does not stand below it"))?;
        used.insert((from, to));
    }
    Ok(())
}

/// Returns whether a name in the root of the crate belongs to a module, and not to a type.
fn is_module(name: &str) -> bool {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../opilio-engine/src");
    engine.join(name).is_dir() || engine.join(format!("{name}.rs")).is_file()
}

fn floor_of(module: &str) -> Result<usize> {
    let floor = FLOORS.iter().position(|floor| floor.contains(&module));
    floor.with_context(|| format!("the engine's module {module} stands on no floor: add it"))
}

/// Returns how many `super::` lead from a file's module to the root of the crate.
fn depth_of(file: &str) -> usize {
    file.split('/').filter(|part| *part != "mod.rs").count()
}

/// Returns the names in the root of the crate that the code imports or mentions.
fn imports(code: &str, depth: usize) -> BTreeSet<String> {
    let to_root = "super::".repeat(depth);
    let mut names = BTreeSet::new();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    for start in ["crate::", &to_root] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            names.extend(names_at(&code[at + start.len()..]));
        }
    }
    names
}

/// Returns the first name of a path. If the path begins with braces, returns each name in the braces.
fn names_at(rest: &str) -> Vec<String> {
    let first = |text: &str| {
        let name: String = text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        Some(name).filter(|name| !name.is_empty())
    };
    match rest.strip_prefix('{') {
        // Names in inner braces are also returned, although they are not in the root. They are hardly ever equal to
        // the name of a module there.
        Some(group) => {
            let group = group.split(';').next().unwrap_or(group);
            group.split(['{', '}', ',']).filter_map(first).collect()
        }
        None => first(rest).into_iter().collect(),
    }
}

/// Returns whether a line reads a field named `extra`. The syntax `..extra` does not read such a field.
fn reads_extra(line: &str) -> bool {
    let code = line.trim_start();
    !code.starts_with("//")
        && code.match_indices(".extra").any(|(at, word)| {
            let after = code[at + word.len()..].chars().next();
            !code[..at].ends_with('.') && after.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '(')
        })
}

/// Returns the part of a file before its tests.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

fn is_test(file: &str) -> bool {
    file.starts_with("tests/") || file.contains("/tests/") || file.ends_with("tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_found_however_it_is_written() {
        let code = "use crate::shard::Shard;\nuse crate::{\n    host,\n    launch::{Plan, run},\n};\n// crate::comment\n\
                    let a = crate::signals::catch();\nuse super::super::scheduler::Port;\nuse super::near::Own;\n";
        let found: Vec<_> = imports(code, 2).into_iter().collect();
        assert_eq!(
            found,
            ["Plan", "host", "launch", "run", "scheduler", "shard", "signals"].map(str::to_owned)
        );
        assert_eq!((depth_of("host/actor.rs"), depth_of("host/mod.rs"), depth_of("launch.rs")), (2, 1, 1));
    }

    #[test]
    fn an_upward_import_fails_and_a_downward_one_does_not() {
        let check = |file: &str, code: &str| check_imports(file, code, &mut BTreeSet::new());
        assert!(check("host/actor.rs", "use crate::message::Fetch;\nuse super::rules::RulesTable;").is_ok());
        for parent in ["shard", "scheduler", "supervisor", "launch", "crawler"] {
            for child in ["host/actor.rs", "fetcher/answer.rs", "runner/watch.rs"] {
                assert!(check(child, &format!("use crate::{parent}::It;")).is_err(), "{child} {parent}");
            }
        }
        assert!(check("message/host.rs", "use super::super::host::HostActor;").is_err());
    }

    #[test]
    fn a_field_is_read_by_its_name_alone() {
        for line in ["decode(&record.extra)", "let x = failure.extra;", "record.extra.len()"] {
            assert!(reads_extra(line), "{line}");
        }
        for line in ["self.extra(1)", "// record.extra", "Self { a, ..extra }", "record.extras"] {
            assert!(!reads_extra(line), "{line}");
        }
    }
}
