//! The settings whose value is one of a few words.

use clap::ValueEnum;
use opilio_engine::{Durability, Follow, Order};

/// The value of `--follow`: which links are followed, by the host they lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum FollowWord {
    /// Nowhere: only the seeds are fetched
    None,
    /// To a host that a seed names
    SameHost,
    /// To a registrable domain that a seed names
    SameDomain,
    /// Wherever they lead
    All,
}

impl From<FollowWord> for Follow {
    fn from(word: FollowWord) -> Self {
        match word {
            FollowWord::None => Self::None,
            FollowWord::SameHost => Self::SameHost,
            FollowWord::SameDomain => Self::SameDomain,
            FollowWord::All => Self::All,
        }
    }
}

/// The value of `--order`: which URLs of a host are fetched first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum OrderWord {
    /// The nearest to a seed
    Bfs,
    /// The farthest from a seed
    Dfs,
}

impl From<OrderWord> for Order {
    fn from(word: OrderWord) -> Self {
        match word {
            OrderWord::Bfs => Self::BreadthFirst,
            OrderWord::Dfs => Self::DepthFirst,
        }
    }
}

/// The value of `--durability`: how much of a crawl with a state directory a power cut may lose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DurabilityWord {
    /// What the operating system has not written by itself, some 30 seconds
    Process,
    /// The last second
    Interval,
    /// Nothing: every commit waits for the disk
    Commit,
}

impl From<DurabilityWord> for Durability {
    fn from(word: DurabilityWord) -> Self {
        match word {
            DurabilityWord::Process => Self::Process,
            DurabilityWord::Interval => Self::default(),
            DurabilityWord::Commit => Self::EveryCommit,
        }
    }
}

/// The format of the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// One JSON object a line
    Jsonl,
    /// A header, and one row a page (RFC 4180)
    Csv,
}
