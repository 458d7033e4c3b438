//! The parts of a host that its actor holds itself. They are lost if the actor panics, and kept if the host sleeps.

use opilio_core::host::HostLoad;
use opilio_spider::attempts::Attempts;

use super::reports::Reports;

/// The facts about requests of a host that have started and have not ended.
#[derive(Default)]
pub(crate) struct HostProgress {
    pub(super) attempts: Attempts,
    pub(super) reports: Reports,
    /// The number of times in a row that a proxy of the crawl did not send on a request for robots.txt.
    pub(super) rules_uncarried: u16,
    /// The numbers of this host that are included in the counts of the shard.
    pub(super) counted: HostLoad,
}

impl HostProgress {
    /// Makes the progress of a host without requests. `readings` is the number of times that robots.txt rules of the
    /// host have been read so far.
    pub(crate) fn new(readings: u64) -> Self {
        let (attempts, reports) = (Attempts::new(readings), Reports::default());
        Self { attempts, reports, rules_uncarried: 0, counted: HostLoad::default() }
    }

    /// Whether there are no facts, so that nothing has to be kept.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { attempts, reports, rules_uncarried, counted } = self;
        attempts.is_empty() && reports.is_empty() && *rules_uncarried == 0 && *counted == HostLoad::default()
    }
}
