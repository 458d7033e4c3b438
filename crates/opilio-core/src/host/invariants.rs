//! Lists the invariants G1 to G11, which must hold for every host at every step, and checks those that are
//! visible from inside the host.

use std::fmt;

use super::hold::Door;
use super::rules::SCHEMES;
use super::state::HostState;
use crate::time::Timestamp;

/// The invariants of the gate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Invariant {
    /// In any time span of length `w` there are at most burst + ⌊(w + τ) / spacing⌋ starts, where the burst
    /// is 1 and τ is the slack for late starts.
    G1,
    /// There are never more requests in flight than the limit allows.
    G2,
    /// Nothing starts while the host is held.
    G3,
    /// Each lease is in exactly one place: ready, waiting, in flight, parsed or settled.
    G4,
    /// If the host is open, the budget affords a start, a slot is free and a lease is ready, then a request
    /// starts at once.
    G5,
    /// A hold never becomes shorter.
    G6,
    /// Failures by the URL's own fault use up its attempts; failures by the host's fault do not. Failures in
    /// a row are the host's fault if no answer comes between them and a confirmed closing ends the row.
    G7,
    /// Fetches of redirect targets, robots.txt and sitemaps spend the budget of the host that is asked.
    G8,
    /// After a hold, the probe is for a URL that has not failed in this closing, if the host has such a URL.
    G9,
    /// A URL is started at most retries + 1 + c times, where c is the number of closings that another start
    /// of the host confirmed.
    G10,
    /// Neither does a URL end, nor does the pace fall, because of another URL's failures or because of
    /// chance.
    G11,
}

/// A violation of an invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The violated invariant.
    pub invariant: Invariant,
    /// A text that tells what was observed.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}

impl std::error::Error for Violation {}

impl HostState {
    /// Checks the invariants that are visible from inside the host. To be called after `poll` returned
    /// `None`.
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check(&self, now: Timestamp) -> Result<(), Violation> {
        let fail = |invariant, text: String| Err(Violation { invariant, text });
        let in_flight = self.in_flight();
        if in_flight > self.terms.policy.in_flight_max() as usize {
            return fail(Invariant::G2, format!("{in_flight} in flight"));
        }
        let probes = self.leases.in_flight().iter().filter(|flying| flying.probe).count()
            + SCHEMES
                .into_iter()
                .filter_map(|scheme| self.rules.fetching(scheme))
                .filter(|f| f.probe)
                .count();
        if self.hold.door == Door::Probing && probes == 0 {
            return fail(Invariant::G5, "waits for a probe that is not out".to_owned());
        }
        if let Some(lease) = self.leases.duplicate() {
            return fail(Invariant::G4, format!("{lease:?} is in two places"));
        }
        if self.demand.may_ask_slot(now, in_flight) && self.startable(now).is_some() {
            return fail(Invariant::G5, "a start is possible, and no slot was asked for".to_owned());
        }
        if self.start_due().is_some_and(|(at, _)| at <= now) {
            return fail(Invariant::G5, "the wake-up for a start lies in the past".to_owned());
        }
        Ok(())
    }
}
