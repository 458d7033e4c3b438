//! Seeded bugs, one and more for each invariant: the control of those who look for bugs.
//!
//! Only with the feature `sabotage`, which nothing but tests and the simulator turn on.

use super::invariants::Invariant;

/// A bug that can be planted at its real decision point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A host that was idle or held catches up on the starts that it missed.
    CatchUp,
    /// Off by one.
    OneMoreInFlight,
    /// Retries pass while the host is held.
    RetriesIgnoreHold,
    /// The probe goes a little before the hold's end.
    EarlyProbe,
    /// A lease whose fetcher died is forgotten.
    ForgetLostLease,
    /// After a refused slot none is asked for any more.
    SulkAfterRefusedSlot,
    /// The latest wait counts, also when it is shorter.
    ShorterHold,
    /// Refusals and outages use up the URLs' attempts.
    OutageUsesAttempts,
    /// robots.txt is not charged to the budget.
    RulesForFree,
    /// The probe is whatever stands first in order, like the URL that was just refused.
    ProbeByRank,
    /// Each failure counts as the host's.
    AttemptsForFree,
    /// A single refusal lowers the pace.
    PaceByChance,
}

impl Bug {
    /// Every bug that can be planted.
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

    /// The invariant that it breaks.
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
