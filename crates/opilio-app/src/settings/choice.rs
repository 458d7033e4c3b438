//! The settings whose value is one of a few words.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use opilio_engine::{Durability, Follow, Order};

/// An enum whose variants are the words of a flag, each with its help.
///
/// Clap's derive would do the same. It is not used in this crate, because each program around a spider would build it.
macro_rules! words {
    ($(#[$doc:meta])* $visibility:vis enum $name:ident { $($(#[doc = $help:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        $visibility enum $name { $($(#[doc = $help])+ $variant,)+ }

        impl ValueEnum for $name {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Self::$variant),+]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                let (word, help) = match self {
                    $(Self::$variant => ($word, concat!($($help),+)),)+
                };
                Some(PossibleValue::new(word).help(help.trim_ascii_start()))
            }
        }
    };
}

words! {
    /// The value of `--follow`: which links are followed, by the host they lead to.
    pub(crate) enum FollowWord {
        /// No links: only the seeds are fetched
        None = "none",
        /// Links to the hosts of the seeds
        SameHost = "same-host",
        /// Links to the registrable domains of the seeds
        SameDomain = "same-domain",
        /// All links, wherever they lead
        All = "all",
    }
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

words! {
    /// The value of `--order`: which URLs of a host are fetched first.
    pub(crate) enum OrderWord {
        /// URLs that are nearest to a seed first
        Bfs = "bfs",
        /// URLs that are farthest from a seed first
        Dfs = "dfs",
    }
}

impl From<OrderWord> for Order {
    fn from(word: OrderWord) -> Self {
        match word {
            OrderWord::Bfs => Self::BreadthFirst,
            OrderWord::Dfs => Self::DepthFirst,
        }
    }
}

words! {
    /// The value of `--durability`: how much of a crawl with a state directory a power cut may lose.
    pub(crate) enum DurabilityWord {
        /// About the last 30 seconds, which the operating system has not yet written to the disk
        Process = "process",
        /// The last second of the crawl
        Interval = "interval",
        /// Nothing: every commit waits for the disk
        Commit = "commit",
    }
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

words! {
    /// The format of the output.
    pub enum Format {
        /// One JSON object for each item (in opilio crawl: for each page), on a line of its own
        Jsonl = "jsonl",
        /// A header line, and one row for each item (in opilio crawl: for each page; RFC 4180)
        Csv = "csv",
    }
}
