//! Seeded bugs, at least one per invariant: they prove that the tests find bugs.
//!
//! Only with the feature `sabotage`, which only tests and the simulator enable.

use super::invariants::Invariant;

/// A bug that can be planted at the real place of decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A host that was idle or held makes up for the missed starts.
    CatchUp,
    /// Off by one: one request too many in flight.
    OneMoreInFlight,
    /// Retries start while the host is held.
    RetriesIgnoreHold,
    /// The probe starts a little before the hold's end.
    EarlyProbe,
    /// A lease is forgotten when its fetcher dies.
    ForgetLostLease,
    /// After a refused slot the host never asks again.
    SulkAfterRefusedSlot,
    /// The latest wait wins even if it is shorter.
    ShorterHold,
    /// Refusals and outages use up the URLs' attempts.
    OutageUsesAttempts,
    /// robots.txt does not spend the budget.
    RulesForFree,
    /// The probe is the first URL in order, even if it was just refused.
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
