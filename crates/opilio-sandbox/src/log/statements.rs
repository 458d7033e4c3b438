//! Evaluates a log: each function computes one fact about the arrivals, so that a test can check this fact.
//!
//! Windows are half-open: a window of length `w` that begins at `t` contains `t` but not `t + w`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Arrival, Counts, Log};

/// A time span in which the host had stated that it is closed. It begins when a refusal that states a wait is sent,
/// and lasts until the end of this wait. If waits overlap, they count as one closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// The time at which the first refusal of the closing was sent.
    pub from: Duration,
    /// The latest end of the waits that refusals stated.
    pub until: Duration,
}

/// The facts about a log that are used most, in one struct, for printing and for JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statements {
    /// The counts of all arrivals, recorded or not.
    #[serde(flatten)]
    pub counts: Counts,
    /// The value of [`Log::unkept`].
    pub unkept: u64,
    /// The time from the first to the last arrival.
    pub span_ms: u64,
    /// The value of [`Log::smallest_gap`].
    pub smallest_gap_ms: Option<f64>,
    /// The value of [`Log::max_in_window`] for 100 ms.
    pub max_in_100_ms: usize,
    /// The value of [`Log::max_in_window`] for a second.
    pub max_in_1_s: usize,
    /// The value of [`Log::max_in_window`] for a minute.
    pub max_in_60_s: usize,
    /// The number of [`Log::closings`].
    pub closings: usize,
    /// The value of [`Log::arrivals_while_closed`].
    pub arrivals_while_closed: usize,
    /// The value of [`Log::starts_after_hold`] for 250 ms.
    pub starts_after_hold_in_250_ms: usize,
    /// The number of paths in [`Log::served_twice`].
    pub served_twice: usize,
    /// The value of [`Log::first_try_ok`] for all paths.
    pub first_try_ok: Option<f64>,
}

impl Log {
    /// Returns the number of requests, whatever their answers.
    pub fn arrivals(&self) -> u64 {
        self.counts().arrivals
    }

    /// Returns the number of complete answers with a 2xx status.
    pub fn served(&self) -> u64 {
        self.counts().served
    }

    /// Returns the number of requests refused because of the limit.
    pub fn refused(&self) -> u64 {
        self.counts().refused
    }

    /// Returns whether the host banned the client.
    pub fn is_banned(&self) -> bool {
        self.counts().banned > 0
    }

    /// Returns the largest number of requests in flight at the same time. A request is in flight from the
    /// arrival of its head until the last byte of its answer is passed to the operating system.
    pub fn max_in_flight(&self) -> u32 {
        self.counts().max_in_flight
    }

    /// Returns the number of arrivals while the quota was used up, whatever their answers.
    pub fn arrivals_on_spent_quota(&self) -> u64 {
        self.counts().on_spent_quota
    }

    /// Returns the largest number of arrivals in any half-open window of this length; 0 for a window of length 0.
    /// If the result for a minute is at most `n`, a limit of `n` requests a minute was kept.
    pub fn max_in_window(&self, window: Duration) -> usize {
        let entries = self.entries();
        let (mut first, mut most) = (0, 0);
        for (last, arrival) in entries.iter().enumerate() {
            while first <= last && arrival.at - entries[first].at >= window {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most
    }

    /// Returns the same as [`Log::max_in_window`]. Use this name in tests that look for bursts.
    pub fn max_burst(&self, window: Duration) -> usize {
        self.max_in_window(window)
    }

    /// Returns the smallest time between two successive arrivals, or `None` if there are fewer than two arrivals.
    pub fn smallest_gap(&self) -> Option<Duration> {
        self.entries().windows(2).map(|pair| pair[1].at - pair[0].at).min()
    }

    /// Returns the time from the first to the last arrival, or zero if there are fewer than two arrivals.
    pub fn span(&self) -> Duration {
        match (self.entries().first(), self.entries().last()) {
            (Some(first), Some(last)) => last.at - first.at,
            _ => Duration::ZERO,
        }
    }

    /// Returns the number of arrivals in `[from, to)`.
    pub fn knocks_between(&self, from: Duration, to: Duration) -> usize {
        self.between(from, to).len()
    }

    /// Returns the first arrival at or after this time.
    pub fn first_arrival_after(&self, from: Duration) -> Option<&Arrival> {
        self.between(from, Duration::MAX).first()
    }

    /// Returns the time spans in which the host had stated that it is closed, in order.
    pub fn closings(&self) -> Vec<Closing> {
        let mut closings: Vec<Closing> = Vec::new();
        for (from, until) in self.stated_waits() {
            match closings.last_mut() {
                Some(last) if from <= last.until => last.until = last.until.max(until),
                _ => closings.push(Closing { from, until }),
            }
        }
        closings
    }

    /// Returns the number of arrivals during stated waits: after a refusal that states a wait was sent, and before
    /// the end of this wait. Requests that arrived before the refusal was sent do not count.
    pub fn arrivals_while_closed(&self) -> usize {
        self.arrivals_while_closed_grace(Duration::ZERO)
    }

    /// Returns the same as [`Log::arrivals_while_closed`], without the arrivals within `grace` after a refusal is
    /// sent: the client may have sent these requests before it read the refusal.
    pub fn arrivals_while_closed_grace(&self, grace: Duration) -> usize {
        let waits = self.stated_waits();
        let mut waits = waits.iter().peekable();
        let mut closed_until = Duration::ZERO;
        let mut count = 0;
        for arrival in self.entries() {
            while let Some((_, until)) = waits.next_if(|(sent, _)| sent.saturating_add(grace) < arrival.at) {
                closed_until = closed_until.max(*until);
            }
            count += usize::from(arrival.at < closed_until);
        }
        count
    }

    /// Returns the largest number of arrivals in a window of this length that begins with the first arrival after
    /// the end of a closing. The window does not begin at the end of the closing itself, so that a later burst is
    /// found, too. Returns 0 if no request came after a closing.
    pub fn starts_after_hold(&self, window: Duration) -> usize {
        self.closings()
            .iter()
            .filter_map(|closing| {
                let first = self.first_arrival_after(closing.until)?.at;
                Some(self.knocks_between(first, first.saturating_add(window)))
            })
            .max()
            .unwrap_or(0)
    }

    /// Returns the share of a rate of `n` requests in `per` that was used: (accepted arrivals − 1) divided by the
    /// number of requests that the rate allows between the first and the last arrival. Returns `None` if there is
    /// no time between these two.
    pub fn budget_used(&self, n: u32, per: Duration) -> Option<f64> {
        self.budget_used_after(Duration::ZERO, n, per)
    }

    /// Returns the same as [`Log::budget_used`], but counts only the arrivals at or after `from`, a time since the
    /// sandbox's start.
    pub fn budget_used_after(&self, from: Duration, n: u32, per: Duration) -> Option<f64> {
        let entries = self.between(from, Duration::MAX);
        let span = entries.last()?.at - entries.first()?.at;
        if span.is_zero() || per.is_zero() {
            return None;
        }
        let accepted = entries.iter().filter(|a| !a.refused && !a.banned).count();
        let permitted = f64::from(n) * span.as_secs_f64() / per.as_secs_f64();
        Some(accepted.saturating_sub(1) as f64 / permitted)
    }

    /// Returns each path and query that was answered completely by 200 more than once, with the number of these
    /// answers. Only GET requests count, and only answers that the client did not abort.
    pub fn served_twice(&self) -> Vec<(String, usize)> {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for arrival in self.entries() {
            let whole = arrival.is_success() && !arrival.abandoned;
            if whole && arrival.status == 200 && arrival.method == "GET" {
                *times.entry(&arrival.path).or_default() += 1;
            }
        }
        let twice = times.into_iter().filter(|(_, times)| *times > 1);
        twice.map(|(path, times)| (path.to_owned(), times)).collect()
    }

    /// Returns the number of arrivals of each path and query.
    pub fn tries(&self) -> BTreeMap<&str, usize> {
        let mut tries = BTreeMap::new();
        for arrival in self.entries() {
            *tries.entry(&*arrival.path).or_default() += 1;
        }
        tries
    }

    /// Returns each path and query that was requested but never had a complete answer with a 2xx status.
    pub fn never_served(&self) -> Vec<String> {
        let mut served: BTreeMap<&str, bool> = BTreeMap::new();
        for arrival in self.entries() {
            *served.entry(&arrival.path).or_default() |= arrival.is_success();
        }
        let never = served.into_iter().filter(|(_, served)| !served);
        never.map(|(path, _)| path.to_owned()).collect()
    }

    /// Returns the share of paths and queries whose first request got a complete answer with a 2xx status. Only
    /// those count for which `of` returns true. Returns `None` if there are none.
    pub fn first_try_ok(&self, of: impl Fn(&str) -> bool) -> Option<f64> {
        let mut first: BTreeMap<&str, bool> = BTreeMap::new();
        for arrival in self.entries().iter().filter(|arrival| of(&arrival.path)) {
            first.entry(&arrival.path).or_insert_with(|| arrival.is_success());
        }
        let ok = first.values().filter(|ok| **ok).count();
        (!first.is_empty()).then(|| ok as f64 / first.len() as f64)
    }

    /// Returns one struct with the results of the functions that tests use most.
    pub fn statements(&self) -> Statements {
        Statements {
            counts: self.counts(),
            unkept: self.unkept(),
            span_ms: u64::try_from(self.span().as_millis()).unwrap_or(u64::MAX),
            smallest_gap_ms: self.smallest_gap().map(|gap| gap.as_secs_f64() * 1e3),
            max_in_100_ms: self.max_in_window(Duration::from_millis(100)),
            max_in_1_s: self.max_in_window(Duration::from_secs(1)),
            max_in_60_s: self.max_in_window(Duration::from_secs(60)),
            closings: self.closings().len(),
            arrivals_while_closed: self.arrivals_while_closed(),
            starts_after_hold_in_250_ms: self.starts_after_hold(Duration::from_millis(250)),
            served_twice: self.served_twice().len(),
            first_try_ok: self.first_try_ok(|_| true),
        }
    }

    /// Returns each stated wait: its start (when the refusal was sent) and its end. The waits are sorted by their
    /// start.
    fn stated_waits(&self) -> Vec<(Duration, Duration)> {
        let stated = self.entries().iter().filter_map(|arrival| Some((arrival.sent, arrival.closed_until?)));
        let mut waits: Vec<_> = stated.filter(|(sent, until)| sent < until).collect();
        waits.sort_unstable();
        waits
    }

    fn between(&self, from: Duration, to: Duration) -> &[Arrival] {
        let entries = self.entries();
        let first = entries.partition_point(|arrival| arrival.at < from);
        let last = entries.partition_point(|arrival| arrival.at < to);
        entries.get(first..last).unwrap_or_default()
    }
}
