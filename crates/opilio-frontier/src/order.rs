//! In which order a host's records go out.

use std::fmt;

use opilio_core::{Record, Score};
use serde::{Deserialize, Serialize};

/// What decides among records of one host and one priority; among equals the older goes first.
///
/// Hosts take turns whatever the order. It belongs to the crawl: a store that was made with one
/// does not open with another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Order {
    /// The fewest links from a seed first.
    #[default]
    #[serde(rename = "bfs")]
    BreadthFirst,
    /// The most links from a seed first: a page's links before its siblings, in the page's order.
    #[serde(rename = "dfs")]
    DepthFirst,
    /// The highest [`Score`] first.
    #[serde(rename = "score")]
    BestFirst,
}

impl Order {
    /// Every order; its place here is what durable stores write, so the list only grows at its end.
    pub const ALL: [Self; 3] = [Self::BreadthFirst, Self::DepthFirst, Self::BestFirst];

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BreadthFirst => "bfs",
            Self::DepthFirst => "dfs",
            Self::BestFirst => "score",
        }
    }

    /// A record's place among those of its host and priority: low ones go first.
    pub(crate) fn place(self, record: &Record) -> u16 {
        match self {
            Self::BreadthFirst => record.depth,
            Self::DepthFirst => !record.depth,
            Self::BestFirst => !record.score.sort_key(),
        }
    }

    /// The depth that a place says, if it says one.
    pub(crate) fn depth(self, place: u16) -> Option<u16> {
        match self {
            Self::BreadthFirst => Some(place),
            Self::DepthFirst => Some(!place),
            Self::BestFirst => None,
        }
    }

    /// The score that a place says, if it says one.
    pub(crate) fn score(self, place: u16) -> Option<Score> {
        (self == Self::BestFirst).then(|| Score::from_sort_key(!place))
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
