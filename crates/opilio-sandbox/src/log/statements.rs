//! Evaluates a log: pure functions over the arrivals, each a claim that a test can check.
//!
//! Windows are half-open: one of length `w` that begins at `t` contains `t` but not `t + w`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Arrival, Counts, Log};

/// A span in which the host had stated that it is closed: from the sending of a refusal with a stated wait to
/// the end of that wait. Overlapping waits are one closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// When the first refusal of it was sent.
    pub from: Duration,
    /// The latest end that was stated.
    pub until: Duration,
}

/// The usual statements in one value, for printing and for JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statements {
    /// Counts of all arrivals, kept or not.
    #[serde(flatten)]
    pub counts: Counts,
    /// [`Log::unkept`].
    pub unkept: u64,
    /// From the first to the last arrival.
    pub span_ms: u64,
    /// [`Log::smallest_gap`].
    pub smallest_gap_ms: Option<f64>,
    /// [`Log::max_in_window`] of 100 ms.
    pub max_in_100_ms: usize,
    /// [`Log::max_in_window`] of a second.
    pub max_in_1_s: usize,
    /// [`Log::max_in_window`] of a minute.
    pub max_in_60_s: usize,
    /// Number of [`Log::closings`].
    pub closings: usize,
    /// [`Log::arrivals_while_closed`].
    pub arrivals_while_closed: usize,
    /// [`Log::starts_after_hold`] of 250 ms.
    pub starts_after_hold_in_250_ms: usize,
    /// Number of [`Log::served_twice`].
    pub served_twice: usize,
    /// [`Log::first_try_ok`] of all paths.
    pub first_try_ok: Option<f64>,
}

impl Log {
    /// The number of requests, whatever the answers.
    pub fn arrivals(&self) -> u64 {
        self.counts().arrivals
    }

    /// Requests answered by 2xx, complete.
    pub fn served(&self) -> u64 {
        self.counts().served
    }

    /// Requests refused because of the limit.
    pub fn refused(&self) -> u64 {
        self.counts().refused
    }

    /// Whether the host banned the client.
    pub fn is_banned(&self) -> bool {
        self.counts().banned > 0
    }

    /// The largest number of requests in flight at once, each counted from the arrival of its head to
    /// the handing over of the last byte of its answer.
    pub fn max_in_flight(&self) -> u32 {
        self.counts().max_in_flight
    }

    /// Arrivals after the quota was used up, whatever the answers.
    pub fn arrivals_on_spent_quota(&self) -> u64 {
        self.counts().on_spent_quota
    }

    /// The largest number of arrivals in any half-open window of this length. So a limit of `n` a
    /// minute is kept if this is at most `n` for a minute; 0 for an empty window.
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

    /// The same as [`Log::max_in_window`], under the name by which herds are looked for.
    pub fn max_burst(&self, window: Duration) -> usize {
        self.max_in_window(window)
    }

    /// The smallest time between two successive arrivals; `None` for fewer than two.
    pub fn smallest_gap(&self) -> Option<Duration> {
        self.entries().windows(2).map(|pair| pair[1].at - pair[0].at).min()
    }

    /// The time from the first to the last arrival; zero for fewer than two.
    pub fn span(&self) -> Duration {
        match (self.entries().first(), self.entries().last()) {
            (Some(first), Some(last)) => last.at - first.at,
            _ => Duration::ZERO,
        }
    }

    /// Arrivals in `[from, to)`.
    pub fn knocks_between(&self, from: Duration, to: Duration) -> usize {
        self.between(from, to).len()
    }

    /// The first arrival at or after this instant.
    pub fn first_arrival_after(&self, from: Duration) -> Option<&Arrival> {
        self.between(from, Duration::MAX).first()
    }

    /// The spans in which the host had stated that it is closed, in order of time.
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

    /// Arrivals after the sending of a refusal with a stated wait and before the end of that wait. Requests
    /// that had arrived when the refusal was sent do not count.
    pub fn arrivals_while_closed(&self) -> usize {
        self.arrivals_while_closed_grace(Duration::ZERO)
    }

    /// As [`Log::arrivals_while_closed`], but without arrivals within `grace` after the sending of the
    /// refusal: they may have been in flight then.
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

    /// The largest number of arrivals in a window of this length that begins with the first arrival
    /// after the end of a closing. It begins there, and not at the end itself, so that a herd that
    /// comes late is still seen. 0 if nothing came after a closing.
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

    /// The share of a rate of `n` in `per` that was used: (accepted arrivals − 1) over the rate's
    /// amount between the first and the last arrival. `None` if that span is zero.
    pub fn budget_used(&self, n: u32, per: Duration) -> Option<f64> {
        self.budget_used_after(Duration::ZERO, n, per)
    }

    /// Like [`Log::budget_used`], of the arrivals at or after `from` (since the sandbox's start).
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

    /// Paths and queries whose GET was answered by 200 completely more than once, and how often. An answer
    /// that the client aborted does not count.
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

    /// Arrivals of each path and query.
    pub fn tries(&self) -> BTreeMap<&str, usize> {
        let mut tries = BTreeMap::new();
        for arrival in self.entries() {
            *tries.entry(&*arrival.path).or_default() += 1;
        }
        tries
    }

    /// Paths and queries that came at least once and were never answered by 2xx, complete.
    pub fn never_served(&self) -> Vec<String> {
        let mut served: BTreeMap<&str, bool> = BTreeMap::new();
        for arrival in self.entries() {
            *served.entry(&arrival.path).or_default() |= arrival.is_success();
        }
        let never = served.into_iter().filter(|(_, served)| !served);
        never.map(|(path, _)| path.to_owned()).collect()
    }

    /// Of the paths and queries that `of` picks: the share whose first arrival was answered by 2xx,
    /// complete. `None` if there are none.
    pub fn first_try_ok(&self, of: impl Fn(&str) -> bool) -> Option<f64> {
        let mut first: BTreeMap<&str, bool> = BTreeMap::new();
        for arrival in self.entries().iter().filter(|arrival| of(&arrival.path)) {
            first.entry(&arrival.path).or_insert_with(|| arrival.is_success());
        }
        let ok = first.values().filter(|ok| **ok).count();
        (!first.is_empty()).then(|| ok as f64 / first.len() as f64)
    }

    /// The usual statements in one value.
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

    /// Sending and end of each stated wait, by sending.
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
