//! The numbers of events that happened in the simulation.

/// The numbers of events, as sums over all simulated hosts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LifeCounts {
    pub(super) hosts: u64,
    pub(super) urls: u64,
    pub(super) starts: u64,
    pub(super) rules: u64,
    pub(super) holds: u64,
    pub(super) probes: u64,
    pub(super) passivations: u64,
    pub(super) retries: u64,
    pub(super) parks: u64,
    pub(super) crashes: u64,
    pub(super) lost: u64,
    /// The number of URLs whose page works, but that were refused in every attempt, at random or by a limiter.
    pub(super) unlucky: u64,
    pub(super) steps: u64,
}

impl LifeCounts {
    pub(super) fn add(&mut self, other: &Self) {
        self.hosts += other.hosts;
        self.urls += other.urls;
        self.starts += other.starts;
        self.rules += other.rules;
        self.holds += other.holds;
        self.probes += other.probes;
        self.passivations += other.passivations;
        self.retries += other.retries;
        self.parks += other.parks;
        self.crashes += other.crashes;
        self.lost += other.lost;
        self.unlucky += other.unlucky;
        self.steps += other.steps;
    }
}
