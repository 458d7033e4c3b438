//! The settings whose value is one of a few words.

use clap::ValueEnum;
use opilio_engine::{Durability, Follow, Order};

/// The value of `--follow`: which links are followed, by the host they lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum FollowWord {
    /// No links: only the seeds are fetched
    None,
    /// Links to the hosts of the seeds
    SameHost,
    /// Links to the registrable domains of the seeds
    SameDomain,
    /// All links, wherever they lead
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
    /// URLs that are nearest to a seed first
    Bfs,
    /// URLs that are farthest from a seed first
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
    /// About the last 30 seconds, which the operating system has not yet written to the disk
    Process,
    /// The last second of the crawl
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
    /// One JSON object for each page, on a line of its own
    Jsonl,
    /// A header line, and one row for each page (RFC 4180)
    Csv,
}
