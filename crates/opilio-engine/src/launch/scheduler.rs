//! Makes the scheduler, and the channels between it and the other actors.

use std::collections::HashSet;
use std::sync::Arc;

use actix::Addr;
use opilio_export::{SinkAtWork, Written};
use opilio_fetch::KeptCookies;
use opilio_frontier::Frontier;
use opilio_spider::coverage::CrawlCoverage;
use opilio_spider::run_history::Totals;
use tokio::sync::{Notify, mpsc, watch};

use crate::clock::Clock;
use crate::exporter;
use crate::message::{ClosedHost, Question, ToExporter, ToScheduler};
use crate::port::SchedulerSenders;
use crate::scheduler::{
    QueuedScope, Scheduler, SchedulerChannels, SchedulerLoop, SchedulerSetup, ShardRoad, Syncing,
};
use crate::supervisor::Supervisor;

/// The scheduler's part of the plan of a crawl.
pub(crate) struct SchedulerPlan {
    pub(crate) frontier: Box<dyn Frontier>,
    pub(crate) pages_max: Option<u64>,
    pub(crate) hosts_max: u32,
    pub(crate) newcomers_max: u32,
    pub(crate) queued: Option<QueuedScope>,
    /// The cookies of the crawl, if the crawl keeps cookies for later runs.
    pub(crate) cookies: Option<KeptCookies>,
    /// The shapes (hashes of the names of variants and fields) of those steps of which the state directory keeps an
    /// example.
    pub(crate) shapes: HashSet<u64>,
    /// What earlier runs found for the fields of structs.
    pub(crate) coverage: CrawlCoverage,
    pub(crate) syncing: Syncing,
}

/// The receiving ends of the channels to the scheduler: see [`SchedulerSenders`].
pub(super) struct SchedulerEnds {
    inbox: mpsc::Receiver<ToScheduler>,
    closed_hosts: mpsc::Receiver<ClosedHost>,
    hurry: Arc<Notify>,
    questions: mpsc::Receiver<Question>,
}

/// The exporter's ends of its channels to and from the scheduler.
pub(super) struct ExporterEnds {
    pub(super) rows: mpsc::Receiver<ToExporter>,
    pub(super) written: mpsc::Sender<Written>,
    pub(super) at_work: watch::Sender<Option<SinkAtWork>>,
}

/// Makes the channels to the scheduler: their sending and their receiving ends.
pub(super) fn channels() -> (SchedulerSenders, SchedulerEnds) {
    let (messages, inbox) = mpsc::channel(MESSAGES);
    let (closed, closed_hosts) = mpsc::channel(MESSAGES);
    let (ask, questions) = mpsc::channel(QUESTIONS);
    let hurry = Arc::new(Notify::new());
    let senders = SchedulerSenders { messages, closed_hosts: closed, hurry: hurry.clone(), questions: ask };
    (senders, SchedulerEnds { inbox, closed_hosts, hurry, questions })
}

impl SchedulerPlan {
    /// Makes the scheduler, its inbox, and the exporter's ends of the channels between scheduler and exporter. The
    /// channel from the exporter has room for more batches than the channel to the exporter can hold, so that
    /// neither of the two actors ever waits for the other.
    pub(super) fn build(
        self,
        clock: Clock,
        before: Totals,
        supervisor: Addr<Supervisor>,
        ends: SchedulerEnds,
        shards: Vec<ShardRoad>,
    ) -> (SchedulerLoop, mpsc::Receiver<ToScheduler>, ExporterEnds) {
        let (rows, rows_inbox) = mpsc::channel(exporter::BATCHES_MAX);
        let (written, written_inbox) = mpsc::channel(exporter::BATCHES_MAX * 2);
        let (at_work, sink_at_work) = watch::channel(None);
        let Self { frontier, pages_max, hosts_max, newcomers_max, queued, cookies, .. } = self;
        let scheduler = Scheduler::new(SchedulerSetup {
            frontier,
            shards: shards.len(),
            clock,
            pages_max,
            hosts_max,
            newcomers_max,
            queued,
            cookies,
            shapes: self.shapes,
            before,
            coverage: self.coverage,
            syncing: self.syncing,
            sink_at_work,
        });
        let SchedulerEnds { inbox, closed_hosts, hurry, questions } = ends;
        let channels = SchedulerChannels {
            exporter: Some(rows),
            written: written_inbox,
            supervisor: supervisor.recipient(),
            shards,
            closed_hosts,
            hurry,
            questions,
        };
        let ends = ExporterEnds { rows: rows_inbox, written, at_work };
        (SchedulerLoop::new(scheduler, channels, clock), inbox, ends)
    }
}

/// The most messages that wait in a channel to the scheduler. If more would wait, the shards start no more fetches.
const MESSAGES: usize = 256;
/// The most requests for a snapshot that wait for the scheduler.
const QUESTIONS: usize = 8;
