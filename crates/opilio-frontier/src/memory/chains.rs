//! Where redirects led, and the redirected URLs that wait until a known URL has ended.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use opilio_core::{Fingerprint, Lease, LeaseId, Reason, Record};

use super::hosts::HostId;
use super::packed::Packed;
use super::queue::Rank;
use super::seen::{Folding, SeenKey};
use super::{LeasedRecord, MemoryFrontier};
use crate::chain::{Again, ChainEnd, Decided, Known, Redirect, Stop, UrlEnd, judge};

/// How URLs ended that did not end as pages, and the redirected URLs that wait for known URLs.
#[derive(Debug, Default)]
pub(super) struct Chains {
    ends: HashMap<SeenKey, UrlEnd, Folding>,
    /// The waiting URLs. The key is the fingerprint of the URL that is waited for, followed by the age (number of the
    /// admission) of the waiting URL.
    waiting: BTreeMap<(u128, u64), RedirectedUrl>,
    /// Ranges of keys of `waiting`. The URLs in them are checked next, since their waiting may be over: the URL for
    /// which they wait has ended or was redirected, or they began to wait.
    changed: VecDeque<((u128, u64), (u128, u64))>,
}

/// A redirected URL that waits for a known URL.
#[derive(Debug)]
struct RedirectedUrl {
    host: HostId,
    rank: Rank,
    packed: Packed,
    way: Way,
}

/// The redirect of a waiting URL. The URL that it waits for now may be further along the chain than the target of
/// this redirect.
#[derive(Clone, Debug)]
pub(super) struct Way {
    target: Fingerprint,
    url: Arc<str>,
    again: Again,
}

impl Chains {
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn failed(&mut self, url: Fingerprint, reason: Reason) {
        self.ends.insert(SeenKey::of(url), UrlEnd::Failed(reason));
        self.changed(url);
    }

    pub(super) fn led_on(&mut self, from: Fingerprint, to: Fingerprint, sets_cookie: bool) {
        self.ends.insert(SeenKey::of(from), UrlEnd::LedTo { to, sets_cookie });
        self.changed(from);
    }

    pub(super) fn has_led_on(&self, url: Fingerprint) -> bool {
        matches!(self.ends.get(&SeenKey::of(url)), Some(UrlEnd::LedTo { .. }))
    }

    /// Forgets how a URL ended, because the URL is queued again or became a page: `ends` has entries for neither.
    pub(super) fn forget(&mut self, url: Fingerprint) {
        if !self.ends.is_empty() {
            self.ends.remove(&SeenKey::of(url));
        }
    }

    /// Records that a URL ended or was redirected, so that the URLs that wait for this URL are checked again.
    pub(super) fn changed(&mut self, url: Fingerprint) {
        if !self.waiting.is_empty() && self.first_of((url.0, 0), (url.0, u64::MAX)).is_some() {
            self.changed.push_back(((url.0, 0), (url.0, u64::MAX)));
        }
    }

    /// Makes a later call check a waiting URL, because the URL began to wait, or its lease ended and it goes on
    /// waiting.
    fn look_later_at(&mut self, key: (u128, u64)) {
        match self.changed.back_mut() {
            // Most keys come in the order of their ages (the numbers of the admissions), and so only make the last
            // range longer.
            Some((_, last)) if last.0 == key.0 && last.1 <= key.1 => *last = key,
            _ => self.changed.push_back((key, key)),
        }
    }

    /// Returns the first key within a range that belongs to a waiting URL.
    fn first_of(&self, from: (u128, u64), to: (u128, u64)) -> Option<(u128, u64)> {
        if from > to {
            return None;
        }
        self.waiting.range(from..=to).next().map(|(key, _)| *key)
    }
}

impl MemoryFrontier {
    /// Makes a redirected URL wait for the end of its target, which the crawl knows already.
    pub(super) fn wait_for_target(&mut self, from: &LeasedRecord, redirect: &Redirect) {
        let Redirect { target: Record { fingerprint, ref url, .. }, again, attempts, .. } = *redirect;
        let record = Record { attempts, ..from.record.clone() };
        let way = Way { target: fingerprint, url: url.clone(), again };
        self.wait_on_way(from.host, from.age, &record, way);
    }

    pub(super) fn wait_on_way(&mut self, host: HostId, age: u64, record: &Record, way: Way) {
        let order = self.hosts.order();
        let (rank, packed) = (Rank::of(record, age, order), Packed::of(record, order));
        let target = way.target;
        self.chains.waiting.insert((target.0, age), RedirectedUrl { host, rank, packed, way });
        self.chains.look_later_at((target.0, age));
    }

    /// Leases at most `n` redirected URLs whose known URL has ended, and appends the leases to `out`. Returns whether
    /// there may be more such URLs.
    pub(super) fn decide(&mut self, n: usize, out: &mut Vec<Decided>) -> bool {
        let until = out.len() + n;
        while out.len() < until
            && let Some((mut from, to)) = self.chains.changed.pop_front()
        {
            while let Some(key) = self.chains.first_of(from, to) {
                if out.len() == until {
                    self.chains.changed.push_front((key, to));
                    return true;
                }
                from = (key.0, key.1 + 1);
                self.decide_one(key, out);
            }
        }
        !self.chains.changed.is_empty()
    }

    fn decide_one(&mut self, key: (u128, u64), out: &mut Vec<Decided>) {
        let Some(waiting) = self.chains.waiting.get(&key) else { return };
        match self.judge_way(&waiting.way) {
            ChainEnd::Open { at, .. } if at.0 == key.0 => {}
            ChainEnd::Open { at: url, .. } => {
                if let Some(waiting) = self.chains.waiting.remove(&key) {
                    self.chains.waiting.insert((url.0, key.1), waiting);
                }
            }
            ChainEnd::Is(known) => {
                if let Some(waiting) = self.chains.waiting.remove(&key) {
                    out.push(self.lease_decided(waiting, known));
                }
            }
        }
    }

    fn judge_way(&self, way: &Way) -> ChainEnd {
        let look_up = |url| {
            let end = self.chains.ends.get(&SeenKey::of(url));
            Ok::<_, Infallible>(match end {
                _ if self.seen.is_page(url) => Stop::Page,
                Some(end) => Stop::Ended(*end),
                // The URL was admitted, and later filtered because its host reached its caps.
                None if self.seen.is_filtered(url) => Stop::Ended(UrlEnd::Failed(Reason::OutOfScope)),
                None => Stop::Open,
            })
        };
        match judge(way.target, way.again, look_up) {
            Ok(judged) => judged,
            Err(never) => match never {},
        }
    }

    fn lease_decided(&mut self, waiting: RedirectedUrl, known: Known) -> Decided {
        let RedirectedUrl { host, rank, packed, way } = waiting;
        let record = packed.unpack(self.hosts.name(host), rank.band, self.hosts.order());
        let id = LeaseId(self.next_lease);
        self.next_lease += 1;
        let target = way.url.clone();
        let out = LeasedRecord { host, age: rank.age, record: record.clone(), way: Some(Box::new(way)) };
        self.out.insert(id, Box::new(out));
        Decided { lease: Lease { id, record }, target, known }
    }
}
