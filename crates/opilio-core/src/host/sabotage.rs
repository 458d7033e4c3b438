//! Bugs that can be switched on, at least one per invariant, to prove that the tests find bugs.
//!
//! These bugs exist only with the feature `sabotage`, which only tests and the simulator enable.

use super::invariants::Invariant;

/// A bug that can be switched on. Each bug sits at the place where the host makes the decision that the bug
/// changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A host that was idle or held makes up for the missed starts.
    CatchUp,
    /// One request more than allowed is in flight.
    OneMoreInFlight,
    /// Retries start while the host is held.
    RetriesIgnoreHold,
    /// The probe starts a little before the hold's end.
    EarlyProbe,
    /// A lease is lost when its fetcher stops without a report.
    ForgetLostLease,
    /// After a refused slot the host never asks again.
    SulkAfterRefusedSlot,
    /// Each new wait sets the end of the hold, even to an earlier time.
    ShorterHold,
    /// Refusals and outages use up the URLs' attempts.
    OutageUsesAttempts,
    /// robots.txt does not spend the budget.
    RulesForFree,
    /// The probe is for the first URL in order, even if this URL was just refused.
    ProbeByRank,
    /// Each failure counts as the host's fault, so a URL never uses up an attempt.
    AttemptsForFree,
    /// A single refusal lowers the pace.
    PaceByChance,
}

impl Bug {
    /// All bugs.
    pub const ALL: [Self; 12] = [
        Self::CatchUp,
        Self::OneMoreInFlight,
        Self::RetriesIgnoreHold,
        Self::EarlyProbe,
        Self::ForgetLostLease,
        Self::SulkAfterRefusedSlot,
        Self::ShorterHold,
        Self::OutageUsesAttempts,
        Self::RulesForFree,
        Self::ProbeByRank,
        Self::AttemptsForFree,
        Self::PaceByChance,
    ];

    /// The invariant that this bug breaks.
    #[must_use]
    pub fn breaks(self) -> Invariant {
        match self {
            Self::CatchUp => Invariant::G1,
            Self::OneMoreInFlight => Invariant::G2,
            Self::RetriesIgnoreHold | Self::EarlyProbe => Invariant::G3,
            Self::ForgetLostLease => Invariant::G4,
            Self::SulkAfterRefusedSlot => Invariant::G5,
            Self::ShorterHold => Invariant::G6,
            Self::OutageUsesAttempts => Invariant::G7,
            Self::RulesForFree => Invariant::G8,
            Self::ProbeByRank => Invariant::G9,
            Self::AttemptsForFree => Invariant::G10,
            Self::PaceByChance => Invariant::G11,
        }
    }
}
