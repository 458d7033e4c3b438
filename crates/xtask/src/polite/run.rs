//! Runs one scenario: real servers, the real crawler, and then the goals.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use opilio::export::Collect;
use opilio::{AddressPolicy, Crawler, Follow, HostSettings, Scope};
use opilio_sandbox::{HostConfig, Log, Sandbox};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::goals::{Evidence, Goal, everywhere};
use super::scenario::Scenario;
use super::spider::UrlList;

/// How a scenario went.
pub(super) struct Result_ {
    pub(super) name: String,
    pub(super) took: Duration,
    pub(super) lines: Vec<Line>,
    logs: Vec<Log>,
}

/// One goal and what was measured.
pub(super) struct Line {
    pub(super) goal: String,
    pub(super) measured: String,
    pub(super) holds: bool,
}
