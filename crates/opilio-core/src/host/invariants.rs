//! G1–G11: what must hold for every host at every step, as named predicates.

use std::fmt;

/// The invariants of the gate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Invariant {
    /// In any window `w`, starts ≤ burst + ⌊(w + τ) / spacing⌋.
    G1,
    /// In flight ≤ limit, always.
    G2,
    /// No start while held.
    G3,
    /// Each lease is in exactly one place: ready, waiting, in flight, parsed, settled.
    G4,
    /// Work-conserving: open, affordable, slot free and work ready ⇒ a start now.
    G5,
    /// A hold never becomes shorter.
    G6,
    /// A URL's own failures use up its attempts; the host's failures do not. A row of failures is the host's
    /// if it ends in a confirmed closing and no answer interrupts it.
    G7,
    /// Redirects, robots.txt and sitemap fetches spend the budget of the host that they go to.
    G8,
    /// After a hold the probe is a URL that has not failed in this closing, if the host has one.
    G9,
    /// Starts of a URL ≤ retries + 1 + closings that another start of the host confirmed.
    G10,
    /// Completeness: neither another URL's failures nor chance end a URL, or lower the pace.
    G11,
}

/// A violation of an invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The violated invariant.
    pub invariant: Invariant,
    /// What was observed.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}

impl std::error::Error for Violation {}
