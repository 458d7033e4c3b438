//! The order in which a host's records are leased.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::{Record, Score};

/// The order of the records of one host and one priority. Among equal records the older one goes first.
///
/// Hosts take turns, whatever the order is. A store keeps the order that it was created with, and refuses to
/// open with another order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Order {
    /// Records with the fewest links from a seed go first.
    #[default]
    #[serde(rename = "bfs")]
    BreadthFirst,
    /// Records with the most links from a seed go first: the links of a page go before the page's siblings, in
    /// the order of the page.
    #[serde(rename = "dfs")]
    DepthFirst,
    /// Records with the highest [`Score`] go first.
    #[serde(rename = "score")]
    BestFirst,
}

impl Order {
    /// All orders. Durable stores save an order as its index in this list, so new orders may only be added at
    /// the end.
    pub const ALL: [Self; 3] = [Self::BreadthFirst, Self::DepthFirst, Self::BestFirst];

    /// Returns the name of the order, which never changes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BreadthFirst => "bfs",
            Self::DepthFirst => "dfs",
            Self::BestFirst => "score",
        }
    }

    /// Returns a record's sort key among the records of its host and priority: lower goes first.
    #[must_use]
    pub fn place(self, record: &Record) -> u16 {
        match self {
            Self::BreadthFirst => record.depth,
            Self::DepthFirst => !record.depth,
            Self::BestFirst => !record.score.sort_key(),
        }
    }

    /// Returns the depth that a sort key encodes, if the order is by depth.
    #[must_use]
    pub fn depth(self, place: u16) -> Option<u16> {
        match self {
            Self::BreadthFirst => Some(place),
            Self::DepthFirst => Some(!place),
            Self::BestFirst => None,
        }
    }

    /// Returns the score that a sort key encodes, if the order is by score.
    #[must_use]
    pub fn score(self, place: u16) -> Option<Score> {
        (self == Self::BestFirst).then(|| Score::from_sort_key(!place))
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_what_it_was_made_of() {
        for depth in [0, 1, 300, u16::MAX] {
            assert_eq!(Order::BreadthFirst.depth(depth), Some(depth));
            assert_eq!(Order::DepthFirst.depth(!depth), Some(depth));
            let score = Score::from_sort_key(depth);
            assert_eq!(Order::BestFirst.score(!score.sort_key()), Some(score));
            assert_eq!((Order::BestFirst.depth(depth), Order::DepthFirst.score(depth)), (None, None));
        }
    }
}
