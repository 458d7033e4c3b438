//! `cargo xtask features`: checks that each crate compiles with none of its features, with each feature alone, and with
//! all of them.
//!
//! Other checks build all crates together, so that a crate gets each feature that any other crate needs. Code that
//! lacks its `#[cfg]` is found only when its crate is built without these features.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::layers::{array, cargo, text};

/// A crate with features.
#[derive(Debug, PartialEq, Eq)]
struct Featured {
    name: String,
    features: Vec<String>,
    /// Whether the crate has a library. A crate without one has programs.
    has_library: bool,
}

/// Checks every crate that has features, and prints the time that this took.
///
/// # Errors
/// When cargo cannot describe the workspace, or when a crate does not compile with some of its features. The error
/// contains the command line.
pub(crate) fn run() -> Result<()> {
    let out = cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked"])?;
    let metadata: Value = serde_json::from_str(&out).context("cannot read what cargo metadata says")?;
    let (crates, began) = (featured(&metadata), Instant::now());
    let mut checks = 0;
    for one in &crates {
        for features in choices(&one.features) {
            check(one, &features)?;
            checks += 1;
        }
    }
    let seconds = began.elapsed().as_secs();
    println!("features: {checks} checks of {} crates in {seconds} s", crates.len());
    Ok(())
}

fn featured(metadata: &Value) -> Vec<Featured> {
    let kinds = |package: &Value| -> Vec<String> {
        array(&package["targets"]).iter().flat_map(|target| array(&target["kind"])).map(text).collect()
    };
    let crates = array(&metadata["packages"]).iter().map(|package| Featured {
        name: text(&package["name"]),
        features: package["features"].as_object().into_iter().flat_map(|all| all.keys().cloned()).collect(),
        has_library: kinds(package).iter().any(|kind| kind == "lib"),
    });
    crates.filter(|one| !one.features.is_empty()).collect()
}

/// Returns the choices of features to check, as arguments for `--features`: none, each alone, all. The feature
/// `default` is left out, since it stands for others.
fn choices(features: &[String]) -> Vec<String> {
    let alone: Vec<String> = features.iter().filter(|name| *name != "default").cloned().collect();
    let all = alone.join(",");
    let mut choices = vec![String::new()];
    choices.extend(alone);
    if !choices.contains(&all) {
        choices.push(all);
    }
    choices
}

fn check(one: &Featured, features: &str) -> Result<()> {
    let target = if one.has_library { "--lib" } else { "--bins" };
    let mut arguments = vec!["check", "--quiet", "--package", &one.name, target, "--no-default-features"];
    if !features.is_empty() {
        arguments.extend(["--features", features]);
    }
    let line = format!("cargo {}", arguments.join(" "));
    let began = Instant::now();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo).args(&arguments).status();
    let status = status.with_context(|| format!("cannot run {line}"))?;
    ensure!(status.success(), "{line} failed: {status}");
    println!("$ {line}: {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn none_each_alone_and_all_are_chosen_once() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(choices(&names(&["disk"])), ["", "disk"]);
        assert_eq!(choices(&names(&["app", "default", "disk"])), ["", "app", "disk", "app,disk"]);
    }

    #[test]
    fn crates_without_features_are_left_out() {
        let lib = json!([{ "kind": ["lib"] }, { "kind": ["test"] }]);
        let metadata = json!({ "packages": [
            { "name": "a", "features": { "x": [] }, "targets": lib },
            { "name": "b", "features": {}, "targets": lib },
            { "name": "c", "features": { "y": [] }, "targets": [{ "kind": ["bin"] }] },
        ] });
        let one = |name: &str, feature: &str, has_library| Featured {
            name: name.to_owned(),
            features: vec![feature.to_owned()],
            has_library,
        };
        assert_eq!(featured(&metadata), [one("a", "x", true), one("c", "y", false)]);
    }
}
