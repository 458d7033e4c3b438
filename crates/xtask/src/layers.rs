//! `cargo xtask layers`: crates depend downward only, and heavy libraries stay in their one room.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// From the ground up: a crate may use those of lower floors only.
const FLOORS: &[&[&str]] = &[
    &["opilio-core", "opilio-robots", "opilio-extract", "opilio-sandbox"],
    &["opilio-frontier", "opilio-fetch", "opilio-export"],
    &["opilio-engine"],
    &["opilio-app"],
    &["opilio"],
    &["opilio-cli", "opilio-bench"],
    &["xtask"],
];

/// What the pure crates may not reach, by whatever way.
const IMPURE: &[&str] =
    &["tokio", "mio", "actix", "actix-rt", "reqwest", "hyper", "socket2", "getrandom", "rand"];

/// Who alone may name a library in its manifest.
///
/// The benchmark measures what these libraries cost without Opilio.
const ROOMS: &[(&str, &[&str])] = &[
    ("actix", &["opilio-engine"]),
    ("reqwest", &["opilio-fetch", "opilio-bench"]),
    ("scraper", &["opilio-extract", "opilio-bench"]),
    ("xml5ever", &["opilio-extract"]),
    ("clap", &["opilio-app", "opilio-cli"]),
];

/// Reads the dependency graph and fails on the first edge that should not be.
///
/// # Errors
/// When cargo cannot tell the graph, or an edge breaks a rule.
pub(crate) fn run() -> Result<()> {
    let graph = Graph::read()?;
    graph.check_floors()?;
    graph.check_purity("opilio-core")?;
    graph.check_purity("opilio-robots")?;
    graph.check_rooms()?;
    println!("layers: {} crates of ours, no upward edge, the core reaches no runtime", graph.ours.len());
    Ok(())
}

/// Normal dependencies only: what tests use is their own affair.
struct Graph {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, BTreeSet<String>>,
    ours: BTreeSet<String>,
}

impl Graph {
    fn read() -> Result<Self> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let out = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--locked"])
            .output()
            .context("run cargo metadata")?;
        ensure!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
        let metadata: Value = serde_json::from_slice(&out.stdout).context("read what cargo metadata says")?;
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

    fn check_purity(&self, name: &str) -> Result<()> {
        let id =
            self.ours.iter().find(|id| self.name(id) == name).with_context(|| format!("no crate {name}"))?;
        let mut reached = BTreeSet::from([id]);
        let mut next = vec![id];
        while let Some(id) = next.pop() {
            for to in self.edges.get(id).into_iter().flatten() {
                if IMPURE.contains(&self.name(to)) {
                    bail!("{name} reaches {} through {}", self.name(to), self.name(id));
                }
                if reached.insert(to) {
                    next.push(to);
                }
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

fn floor_of(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
