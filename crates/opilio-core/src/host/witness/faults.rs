//! Keeps track of whose fault failures were, as far as that is visible from outside the host. The invariants
//! about faults are checked with the counts kept here: which failures use up the attempts of a URL (G7, G10), which
//! URL may be the probe (G9), and that chance ends no URL and lowers no pace (G11).

use super::expect;
use super::leases::SeenLeases;
use crate::host::blame::CROWD_STARTS;
use crate::host::invariants::{Invariant, Violation};
use crate::time::Timestamp;

/// The facts that the answers and failures so far have shown about the host.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenFaults {
    pub(super) trouble: Option<SeenTrouble>,
    /// The time of the latest start that was answered.
    well: Option<Timestamp>,
    /// The number of refusals, failures, and answers 401 or 403 so far.
    unwelcome: u32,
    /// Whether the host was parked, and no probe has been answered since.
    reopened: bool,
    pub(super) door: SeenDoor,
    pub(super) crowd: SeenCrowd,
}

/// A row of failures. It ends when the host answers a start that came after the last failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenTrouble {
    /// The URL of the first failure (its fingerprint); `None` if robots.txt or a witness failed first.
    first: Option<u128>,
    /// Whether another URL, robots.txt or a witness failed, too.
    pub(super) others: bool,
    /// Whether a probe has shown that the host is at fault.
    pub(super) confirmed: bool,
    /// The time of the last failure.
    last: Timestamp,
}

/// Whether the host's door is open (all requests may start), and when it last closed, according to the host's
/// snapshots.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenDoor {
    pub(super) open: bool,
    closed_at: Option<Timestamp>,
}

impl SeenDoor {
    /// Whether a request that started at `started` belongs to a closing that is over.
    pub(super) fn is_old_news(&self, started: Timestamp) -> bool {
        self.open && self.closed_at.is_some_and(|closed_at| started <= closed_at)
    }
}

/// Finds URLs that are refused together, so that no single URL is at fault.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SeenCrowd {
    /// Twelve bits: for each of the twelve latest new URLs, whether its first request was refused (1) or not
    /// (0).
    first_asks: u16,
    /// The number of starts so far, robots.txt and witnesses included.
    starts: u32,
    /// The last two URLs whose first request was refused, each with the value of `starts` at that time.
    refused: [Option<(u128, u32)>; 2],
}

impl SeenCrowd {
    pub(super) fn note_start(&mut self) {
        self.starts += 1;
    }

    pub(super) fn note_first_ask(&mut self, refused: bool) {
        self.first_asks = (self.first_asks << 1 | u16::from(refused)) & ((1 << 12) - 1);
    }

    /// Records that the first request of a URL was refused.
    pub(super) fn note_refused(&mut self, url: u128) {
        self.refused = [Some((url, self.starts)), self.refused[0]];
    }

    /// Whether other URLs were refused together with this URL.
    fn is_around(&self, url: u128) -> bool {
        let lately = |(other, starts)| other != url && self.starts - starts < CROWD_STARTS * 3;
        self.first_asks.count_ones() > 2 || self.refused.into_iter().flatten().any(lately)
    }
}

impl SeenFaults {
    pub(super) fn new() -> Self {
        Self {
            trouble: None,
            well: None,
            unwelcome: 0,
            reopened: false,
            door: SeenDoor { open: true, closed_at: None },
            crowd: SeenCrowd::default(),
        }
    }

    /// Adds to the number of unwelcome outcomes.
    pub(super) fn note_unwelcome(&mut self, count: u32) {
        self.unwelcome += count;
    }

    /// Checks the invariant G11 when the host lowers its pace: a single refusal may be chance, so it must not
    /// lower the pace.
    pub(super) fn expect_paced(&self) -> Result<(), Violation> {
        expect(self.unwelcome > 1, Invariant::G11, || {
            "the pace falls for a single refusal, which may be chance".to_owned()
        })
    }

    /// Whether the host answered a start that was not earlier than one of these starts.
    pub(super) fn answered_since(&self, starts: impl IntoIterator<Item = Timestamp>) -> bool {
        self.well.is_some_and(|well| starts.into_iter().any(|started| well >= started))
    }

    /// Records whether the host's snapshot shows its door open.
    pub(super) fn compare_door(&mut self, leases: &mut SeenLeases, now: Timestamp, open: bool) {
        match (self.door.open, open) {
            (true, false) => self.door.closed_at = Some(now),
            // The host opened because an answer ended the case, so it is decided whose fault the failures
            // before were.
            (false, true) => leases.begin_new_row(),
            (true, true) | (false, false) => {}
        }
        self.door.open = open;
    }

    /// Records that a probe was answered.
    pub(super) fn opened(&mut self) {
        self.reopened = false;
    }

    pub(super) fn parked(&mut self, leases: &mut SeenLeases) {
        self.reopened = true;
        self.blur(leases);
    }

    /// Records that the host returns from passivation: it is unknown now whose fault earlier failures were.
    pub(super) fn resumed(&mut self, leases: &mut SeenLeases) {
        self.blur(leases);
        self.well = None;
    }

    /// Records the answer to a start. The answer shows that the host works, so the earlier failures of a URL
    /// were that URL's own fault and count for sure, unless other URLs failed as well. A 401 or 403
    /// (`welcome` is false) may come from a firewall, so it proves no fault of a URL.
    pub(super) fn answered(&mut self, leases: &mut SeenLeases, started: Timestamp, welcome: bool) {
        self.well = self.well.max(Some(started));
        let alone =
            !self.reopened && self.trouble.is_some_and(|trouble| !trouble.others && trouble.first.is_some());
        for seen in leases.iter_mut() {
            let Some((failed_start, failed)) = seen.failed.filter(|_| seen.open > 0) else { continue };
            if failed_start <= started {
                let open = std::mem::take(&mut seen.open);
                if welcome && alone && !self.crowd.is_around(seen.url) && failed < started {
                    seen.attempts.add_surely(open);
                }
            }
        }
        if self.door.open {
            leases.begin_new_row();
        }
        if let Some(trouble) = &mut self.trouble {
            // Later failures may have another cause than the failures so far, which were confirmed as the
            // host's fault.
            trouble.confirmed = false;
        }
        if welcome && self.trouble.is_some_and(|trouble| trouble.last < started) {
            self.trouble = None;
        }
    }

    /// Records that a URL failed, perhaps by its own fault.
    pub(super) fn fail_of_url(&mut self, now: Timestamp, url: u128) -> SeenTrouble {
        let first = SeenTrouble { first: Some(url), others: false, confirmed: false, last: now };
        let trouble = self.trouble.get_or_insert(first);
        trouble.last = now;
        trouble.others |= trouble.first != Some(url);
        *trouble
    }

    /// Records that robots.txt or a witness failed, which is the host's fault.
    pub(super) fn fail_of_host(&mut self, leases: &mut SeenLeases, now: Timestamp, probe: bool) {
        self.trouble.get_or_insert(SeenTrouble { first: None, others: true, confirmed: false, last: now });
        self.note_others();
        if let Some(trouble) = &mut self.trouble {
            trouble.last = now;
        }
        if probe && !self.door.open {
            self.confirm(leases);
        }
    }

    /// Records that more than one URL is concerned by the present failures.
    pub(super) fn note_others(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.others = true;
        }
    }

    /// Excuses the present failures, since they were the host's fault.
    pub(super) fn confirm(&mut self, leases: &mut SeenLeases) {
        if let Some(trouble) = &mut self.trouble {
            trouble.confirmed = true;
        }
        for seen in leases.iter_mut() {
            let open = std::mem::take(&mut seen.open);
            seen.attempts.excuse(open);
        }
    }

    /// Records that it can no longer be seen from outside whose fault the failures so far were.
    fn blur(&mut self, leases: &mut SeenLeases) {
        self.note_others();
        leases.begin_new_row();
    }
}
