//! Single operations of a crawl, each as a step that can be repeated.
//!
//! `cargo bench -p opilio-bench` measures their time, and `cargo xtask bench instructions` counts their instructions.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use opilio::core::host::{HostLimits, HostState, Input, Output, RulesMode};
use opilio::core::{
    Attempts, Fingerprint, Host, HostPolicy, Lease, LeaseId, Outcome, Priority, Record, RecordKind, Scheme,
    Score, Timestamp, canonicalize, per_second,
};
use opilio::core::{Hints, Proposal, Verdict};
use opilio::extract::Document;
use opilio::frontier::{Admission, Frontier, MemoryFrontier, Settlement, Want};
use opilio::robots::Robots;
use url::Url;

use crate::site::{Pages, SitePlan};

/// An operation that a crawl repeats many times.
#[derive(Clone, Copy)]
pub struct Operation {
    /// The operation's name.
    pub name: &'static str,
    /// A short text that says what one step of the operation does.
    pub about: &'static str,
    make: fn() -> Result<MicroStep>,
}

/// A function that performs one step of an operation.
pub type MicroStep = Box<dyn FnMut()>;

impl Operation {
    /// Prepares the data of the operation, and returns its step.
    ///
    /// # Errors
    /// When the data cannot be made.
    pub fn prepare(&self) -> Result<MicroStep> {
        (self.make)()
    }

    /// Returns the operation that has this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|operation| operation.name == name)
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All operations.
pub const ALL: &[Operation] = &[
    Operation {
        name: "gate",
        about: "one URL through a host's gate: leased, started, answered, settled",
        make: gate,
    },
    Operation { name: "admit-known", about: "the 33 links of a page, all known", make: admit_known },
    Operation {
        name: "url-through-store",
        about: "one URL through the memory store: admitted, leased, settled",
        make: through_store,
    },
    Operation { name: "canonicalize", about: "the canonical form of a URL with a query", make: canonical },
    Operation { name: "fingerprint", about: "the fingerprint of a URL with a query", make: fingerprint },
    Operation { name: "links", about: "title and links of a page of 20 kB, no tree", make: links },
    Operation {
        name: "tree",
        about: "title by a selector, and links, from the tree of a page of 20 kB",
        make: tree,
    },
    Operation { name: "robots", about: "one URL against 100 rules", make: robots },
];

fn gate() -> Result<MicroStep> {
    let policy = HostPolicy::new().rate(per_second(1_000_000)).in_flight(32);
    let mut now = Timestamp::from_secs(1);
    let mut host = HostState::new(policy, RulesMode::Off, HostLimits::default(), 1, now);
    let (first, mut id) = (record("http://www.shop.example/", 0)?, 0);
    let proposal = Proposal { verdict: Verdict::Done, hints: Hints::default(), repeatable: true };
    Ok(Box::new(move || {
        id += 1;
        now += Duration::from_millis(1);
        let lease = Lease { id: LeaseId(id), record: first.clone() };
        host.handle(now, Input::Assign(vec![lease]));
        while let Some(output) = host.poll(now) {
            let answer = match output {
                Output::AskSlot => Input::Granted { is_short: false },
                Output::Fetch(start) => {
                    Input::Report { lease: start.lease.id, outcome: Outcome::Answered(200), proposal }
                }
                Output::Deliver { lease, .. } => Input::Settled(vec![lease.id]),
                _ => continue,
            };
            host.handle(now, answer);
        }
        black_box(host.wake_at());
    }))
}

fn admit_known() -> Result<MicroStep> {
    let mut store = MemoryFrontier::new();
    let batch = (0..33).map(|n| record(&format!("http://www.shop.example/shelf-1/entry-{n}.html"), n));
    let batch: Vec<Admission> = batch.map(|record| record.map(Admission::Queue)).collect::<Result<_>>()?;
    store.admit(batch.clone())?;
    Ok(Box::new(move || {
        let _ = black_box(store.admit(batch.clone()));
    }))
}

fn through_store() -> Result<MicroStep> {
    let mut store = MemoryFrontier::new();
    let first = record("http://www.shop.example/shelf-1/entry-1.html", 0)?;
    let want = Want { host: first.host.clone(), n: 1 };
    let (mut n, mut leases) = (0, Vec::new());
    Ok(Box::new(move || {
        n += 1;
        let record = Record { fingerprint: spread(n), ..first.clone() };
        let _ = black_box(store.admit(vec![Admission::Queue(record)]));
        let _ = black_box(store.hosts_ready(Timestamp::EPOCH, 1));
        let _ = store.lease(std::slice::from_ref(&want), Timestamp::EPOCH, &mut leases);
        let ends = leases.drain(..).map(|lease| Settlement::page(lease.id)).collect();
        let _ = black_box(store.settle(ends, &[], Timestamp::EPOCH));
    }))
}

fn canonical() -> Result<MicroStep> {
    let url = Url::parse(ADDRESS)?;
    Ok(Box::new(move || {
        black_box(canonicalize(black_box(&url)));
    }))
}

fn fingerprint() -> Result<MicroStep> {
    let url = Url::parse(ADDRESS)?;
    Ok(Box::new(move || {
        black_box(Fingerprint::of(black_box(&url)));
    }))
}

fn links() -> Result<MicroStep> {
    let (url, body) = page()?;
    Ok(Box::new(move || {
        let document = Document::new(url.clone(), Some("text/html; charset=utf-8"), body.clone());
        black_box((document.title(), document.links().len()));
    }))
}

fn tree() -> Result<MicroStep> {
    let (url, body) = page()?;
    Ok(Box::new(move || {
        let document = Document::new(url.clone(), Some("text/html; charset=utf-8"), body.clone());
        let title = document.css("title").map(|matches| matches.text());
        black_box((title.ok(), document.links().len()));
    }))
}

fn robots() -> Result<MicroStep> {
    let rules = (0..100).map(|n| format!("Disallow: /private-{n}/*.cgi\n"));
    let rules = Robots::parse(format!("User-agent: *\n{}", rules.collect::<String>()).as_bytes(), "opilio");
    let url = Url::parse(ADDRESS)?;
    Ok(Box::new(move || {
        black_box(rules.allows_url(black_box(&url)));
    }))
}

fn page() -> Result<(Url, Bytes)> {
    let page = Pages::new(SitePlan::new(200, 100), 8_080).write(3, 45);
    Ok((Url::parse("http://127.0.0.4:8080/shelf-1/entry-45.html")?, page.into()))
}

/// Makes a record of this URL. Its fingerprint is [`spread`] of the number `n`.
pub(crate) fn record(url: &str, n: u64) -> Result<Record> {
    let parsed = Url::parse(url).with_context(|| format!("cannot parse {url}"))?;
    Ok(Record {
        url: url.into(),
        fingerprint: spread(n),
        host: Host::of(&parsed)?,
        scheme: Scheme::Http,
        depth: 1,
        priority: Priority::default(),
        score: Score::default(),
        attempts: Attempts::NONE,
        kind: RecordKind::Discovered,
        validators: None,
        extra: Bytes::new(),
    })
}

/// Makes a fingerprint of a number. The fingerprints are distributed evenly, like those of a hash function.
pub(crate) fn spread(n: u64) -> Fingerprint {
    let high = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let low = high.rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    Fingerprint(u128::from(high) << 64 | u128::from(low))
}

const ADDRESS: &str = "http://www.shop.example/catalogue/chairs/oak/item-12345.html?colour=red&size=4&page=2";
