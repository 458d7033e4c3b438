//! Starts the supervisor, and leads the crawl from its first seed to its end: sends the seeds, passes on commands,
//! and calls the spider's methods `opened` and `closed`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use actix::Addr;
use opilio_frontier::Admission;
use opilio_spider::run_history::Totals;
use opilio_spider::{CrawlError, CrawlReport, Spider};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::message::ToScheduler;
use crate::port::SchedulerSenders;
use crate::supervisor::{Command, Ended, ShardLink, Supervisor, SupervisorPlan, SupervisorSetup};

/// Starts the supervisor on this thread. The returned receiver is told how the actors have ended.
pub(super) fn start(
    plan: SupervisorPlan,
    clock: Clock,
    before: Totals,
    scheduler: SchedulerSenders,
) -> (Addr<Supervisor>, oneshot::Receiver<Ended>) {
    let (tell, ended) = oneshot::channel();
    let supervisor = Supervisor::start(SupervisorSetup { plan, clock, before, scheduler, ended: tell });
    (supervisor, ended)
}

/// The methods of a spider that are called once in a crawl.
pub(crate) trait SpiderHooks: Send + Sync {
    fn name(&self) -> &str;
    fn opened(&self);
    fn closed(&self, report: &CrawlReport);
}

impl<S: Spider> SpiderHooks for S {
    fn name(&self) -> &str {
        Spider::name(self)
    }

    fn opened(&self) {
        Spider::opened(self);
    }

    fn closed(&self, report: &CrawlReport) {
        Spider::closed(self, report);
    }
}

/// Leads a crawl whose actors have started from its first seed to its end.
pub(super) struct Conductor {
    pub(super) spider: Arc<dyn SpiderHooks>,
    pub(super) supervisor: Addr<Supervisor>,
    pub(super) scheduler: SchedulerSenders,
    pub(super) ended: oneshot::Receiver<Ended>,
    pub(super) seeds: Vec<Admission>,
}

impl Conductor {
    /// Begins the crawl, gives the seeds to the scheduler, passes commands on, and waits for the end.
    ///
    /// # Errors
    /// When the supervisor panicked.
    pub(super) async fn conduct(
        self,
        mut commands: mpsc::Receiver<Command>,
        links: Vec<ShardLink>,
    ) -> Result<Ended, CrawlError> {
        let Self { spider, supervisor, scheduler, mut ended, seeds } = self;
        let died = CrawlError::Died { name: "supervisor" };
        if supervisor.send(Command::Begin(links)).await.is_err() {
            return Err(died);
        }
        tracing::info!(spider = spider.name(), seeds = seeds.len(), "the crawl begins");
        hook("opened", || spider.opened());
        let feeding = actix::spawn(feed(scheduler.messages.clone(), seeds));
        loop {
            tokio::select! {
                ended = &mut ended => {
                    feeding.abort();
                    if ended.is_err() {
                        // The supervisor has panicked, so nothing else tells the scheduler to close.
                        scheduler.hurry.notify_one();
                        let close = ToScheduler::Close { counts: None, drained: false };
                        let _ = scheduler.messages.send(close).await;
                    }
                    return ended.map_err(|_| died);
                }
                Some(command) = commands.recv() => {
                    let _ = supervisor.send(command).await;
                }
            }
        }
    }
}

/// Sends the seeds to the scheduler in batches. Returns early if the scheduler has ended: the supervisor knows why.
async fn feed(scheduler: mpsc::Sender<ToScheduler>, seeds: Vec<Admission>) {
    let mut seeds = seeds.into_iter().peekable();
    while seeds.peek().is_some() {
        let batch = seeds.by_ref().take(SEEDS_BATCH).collect();
        if scheduler.send(ToScheduler::Seeds(batch)).await.is_err() {
            return;
        }
    }
    let _ = scheduler.send(ToScheduler::Seeded).await;
}

/// Calls a hook (an optional method) of the spider. The crawl goes on if the hook panics.
pub(super) fn hook(name: &'static str, work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        tracing::error!("the spider's `{name}` panicked");
    }
}

/// The most seeds in one message to the scheduler.
const SEEDS_BATCH: usize = 512;
