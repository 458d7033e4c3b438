//! `cargo xtask layers`: checks that each crate depends only on crates of lower layers, and that only certain crates
//! use each heavy library.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The layers of the crates, the lowest first. A crate may depend only on crates of lower layers.
const FLOORS: &[&[&str]] = &[
    &["opilio-extract-grammar"],
    &["opilio-extract-derive"],
    &["opilio-core", "opilio-robots", "opilio-extract", "opilio-sandbox"],
    &["opilio-frontier", "opilio-fetch", "opilio-export"],
    &["opilio-spider", "opilio-cassette"],
    &["opilio-engine"],
    &["opilio-app"],
    &["opilio"],
    &["opilio-cli", "opilio-bench", "opilio-testkit"],
    &["xtask"],
];

/// Libraries that the crates that do no input or output must not depend on, directly or indirectly.
const IMPURE: &[&str] =
    &["tokio", "mio", "actix", "actix-rt", "reqwest", "hyper", "socket2", "getrandom", "rand"];

/// For each heavy library, the only crates that may name it in their manifests.
///
/// The benchmark is among these crates, because it measures what the libraries cost without Opilio.
const ROOMS: &[(&str, &[&str])] = &[
    ("actix", &["opilio-engine"]),
    ("reqwest", &["opilio-fetch", "opilio-bench"]),
    ("scraper", &["opilio-extract", "opilio-bench"]),
    ("xml5ever", &["opilio-extract"]),
    ("selectors", &["opilio-extract-grammar"]),
    ("cssparser", &["opilio-extract-grammar"]),
    ("clap", &["opilio-app", "opilio-cli"]),
];

/// Reads the dependency graph from cargo, and fails at the first forbidden dependency.
///
/// # Errors
/// When cargo cannot print the graph, or when a dependency breaks a rule.
pub(crate) fn run() -> Result<()> {
    let graph = Graph::read()?;
    graph.check_floors()?;
    for name in ["opilio-core", "opilio-robots", "opilio-spider"] {
        check_reach(name, IMPURE, "a runtime or chance")?;
    }
    // Programs that embed a crawl have a command line of their own or none, so they must not depend on `clap`.
    check_reach("opilio", &["clap"], "clap without its feature `app`")?;
    graph.check_rooms()?;
    println!("layers: {} crates of ours, no upward edge, core and spider reach no runtime", graph.ours.len());
    crate::imports::run()
}

/// The graph of normal dependencies. Dependencies that only tests need are not part of it.
struct Graph {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, BTreeSet<String>>,
    ours: BTreeSet<String>,
}

impl Graph {
    fn read() -> Result<Self> {
        let out = cargo(&["metadata", "--format-version", "1", "--locked"])?;
        let metadata: Value = serde_json::from_str(&out).context("cannot read what cargo metadata says")?;
        let mut names = BTreeMap::new();
        for package in array(&metadata["packages"]) {
            names.insert(text(&package["id"]), text(&package["name"]));
        }
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in array(&metadata["resolve"]["nodes"]) {
            let to = edges.entry(text(&node["id"])).or_default();
            for dep in array(&node["deps"]) {
                let normal = array(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
                if normal {
                    to.insert(text(&dep["pkg"]));
                }
            }
        }
        let ours = array(&metadata["workspace_members"]).iter().map(text).collect();
        Ok(Self { names, edges, ours })
    }

    fn check_floors(&self) -> Result<()> {
        for id in &self.ours {
            let name = self.name(id);
            let floor = floor_of(name).with_context(|| format!("{name} stands on no floor: add it"))?;
            for to in self.edges.get(id).into_iter().flatten().filter(|to| self.ours.contains(*to)) {
                let other = self.name(to);
                let below = floor_of(other).with_context(|| format!("{other} stands on no floor: add it"))?;
                ensure!(below < floor, "{name} uses {other}, which does not stand below it");
            }
        }
        Ok(())
    }

    fn check_rooms(&self) -> Result<()> {
        for id in &self.ours {
            let name = self.name(id);
            for to in self.edges.get(id).into_iter().flatten() {
                let rule = ROOMS.iter().find(|(library, _)| *library == self.name(to));
                if let Some((library, who)) = rule {
                    ensure!(who.contains(&name), "{name} names {library}, which only {who:?} may");
                }
            }
        }
        Ok(())
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }
}

/// Checks that a crate does not depend on the `forbidden` libraries when it is built alone. In the graph of the whole
/// workspace, the crate would have additional features, which only the tests of other crates need.
fn check_reach(name: &str, forbidden: &[&str], what: &str) -> Result<()> {
    let tree =
        ["tree", "--package", name, "--edges", "normal", "--target", "all", "--prefix", "depth", "--locked"];
    let tree = cargo(&tree)?;
    let mut way: Vec<&str> = Vec::new();
    for line in tree.lines() {
        let digits = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let depth: usize =
            line[..digits].parse().with_context(|| format!("cannot read {line:?} of cargo tree"))?;
        way.truncate(depth);
        way.push(line[digits..].split(' ').next().unwrap_or_default());
        if way.last().is_some_and(|last| forbidden.contains(last)) {
            bail!("{name} reaches {what}: {}", way.join(" > "));
        }
    }
    ensure!(way.first() == Some(&name), "cargo tree does not begin with {name}");
    Ok(())
}

/// Runs cargo with these arguments, and returns its standard output.
pub(crate) fn cargo(arguments: &[&str]) -> Result<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let command = arguments.first().copied().unwrap_or_default();
    let out = Command::new(cargo)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run cargo {command}"))?;
    ensure!(out.status.success(), "cargo {command}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).with_context(|| format!("cannot read what cargo {command} says"))
}

fn floor_of(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
