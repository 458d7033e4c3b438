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
    /// In any window of length `w` there are at most burst + ⌊(w + τ) / spacing⌋ starts, where τ is the slack
    /// for late starts.
    G1,
    /// There are never more requests in flight than the limit allows.
    G2,
    /// Nothing starts while the host is held.
    G3,
    /// Each lease is in exactly one place: ready, waiting, in flight, parsed, settled.
    G4,
    /// If the host is open, a start is affordable, a slot is free and a lease is ready, a request starts now.
    G5,
    /// A hold never becomes shorter.
    G6,
    /// A URL's own failures use up its attempts; the host's failures do not. Failures in a row are the host's
    /// if the row ends in a confirmed closing and no answer interrupts it.
    G7,
    /// Redirects, robots.txt and sitemap fetches spend the budget of the host that they go to.
    G8,
    /// After a hold the probe is a URL that has not failed in this closing, if the host has one.
    G9,
    /// A URL is started at most retries + 1 + c times, where c is the number of closings that another start
    /// of the host confirmed.
    G10,
    /// A URL does not end, and the pace does not fall, because of another URL's failures or by chance.
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
        if self.demand.may_ask_slot(now) && self.startable(now).is_some() {
            return fail(Invariant::G5, "a start is possible, and no slot was asked for".to_owned());
        }
        if self.start_due().is_some_and(|(at, _)| at <= now) {
            return fail(Invariant::G5, "the wake-up for a start lies in the past".to_owned());
        }
        Ok(())
    }
}
