//! The runner actor, and the work of its reader on other threads.
//!
//! Both are the same for every spider. What depends on the types of the spider is behind [`ReadPages`], so that the
//! program of a user does not compile the actor once more for each of its spiders.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, MessageResult, WeakAddr};
use opilio_export::FileStore;
use opilio_spider::reading::words_of_panic;
use tokio::sync::Semaphore;

use super::watch::ParseWatch;
use crate::backlog::ParseBacklog;
use crate::clock::Clock;
use crate::death::DeathWatch;
use crate::message::{AskSnapshot, Deliver, OutputRefused, PartSnapshot};
use crate::outbox::Outbox;
use crate::port::SchedulerPort;
use crate::settings::Settings;

/// Reads the answers to leases with a spider.
pub(crate) trait ReadPages: Any {
    /// Handles a lease according to its delivery. Gives the result of the lease to the scheduler, now or after work
    /// on another thread.
    fn read(&mut self, deliver: Deliver);
}

/// Makes the reader of a shard, on the thread of the shard.
pub(crate) type MakeReader = Box<dyn FnOnce(RunnerContext) -> Box<dyn ReadPages> + Send>;

/// The parts of a shard that a reader uses.
pub(crate) struct RunnerContext {
    pub(crate) shard: usize,
    pub(crate) clock: Clock,
    pub(crate) settings: Arc<Settings>,
    pub(crate) port: SchedulerPort,
    pub(crate) watch: ParseWatch,
    /// Counts the pages that are fetched but not yet given to the scheduler.
    pub(crate) backlog: ParseBacklog,
    /// Limits how many pages of the whole crawl are parsed on blocking threads at the same time.
    pub(crate) cores: Arc<Semaphore>,
    /// The place where the files of pages are stored, if the crawl stores files.
    pub(crate) files: Option<FileStore>,
    pub(crate) refused: Outbox<OutputRefused>,
    pub(crate) runner: WeakAddr<Runner>,
}

/// Gives the answers of a shard to its reader.
pub(crate) struct Runner {
    shard: usize,
    clock: Clock,
    backlog: ParseBacklog,
    reader: Box<dyn ReadPages>,
    _death: DeathWatch,
}

impl Runner {
    /// Starts the actor on this thread. `context` gets its address.
    pub(crate) fn start(
        make_reader: MakeReader,
        context: impl FnOnce(WeakAddr<Self>) -> RunnerContext,
        death: DeathWatch,
    ) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            let context = context(ctx.address().downgrade());
            let (shard, clock, backlog) = (context.shard, context.clock, context.backlog.clone());
            Self { shard, clock, backlog, reader: make_reader(context), _death: death }
        })
    }
}

impl Actor for Runner {
    type Context = Context<Self>;
}

impl Handler<AskSnapshot> for Runner {
    type Result = MessageResult<AskSnapshot>;

    fn handle(&mut self, _: AskSnapshot, _: &mut Self::Context) -> Self::Result {
        MessageResult(PartSnapshot::Runner { shard: self.shard, pages_waiting: self.backlog.pages() })
    }
}

impl Handler<Deliver> for Runner {
    type Result = ();

    fn handle(&mut self, mut deliver: Deliver, _: &mut Self::Context) {
        self.clock.fault("spider runner");
        drop(deliver.waits.take());
        self.reader.read(deliver);
    }
}

impl Handler<Resume> for Runner {
    type Result = ();

    fn handle(&mut self, Resume(go_on): Resume, _: &mut Self::Context) {
        go_on(&mut *self.reader);
    }
}

/// Goes on with the reader.
type GoOn = Box<dyn FnOnce(&mut dyn Any) + Send>;

/// Work of the reader that goes on because work on another thread has ended.
struct Resume(GoOn);

impl actix::Message for Resume {
    type Result = ();
}

/// Goes on with the reader after work that may have panicked with these words.
type Then = Box<dyn FnOnce(&mut dyn Any, Option<String>) + Send>;

/// Work for a blocking thread.
pub(super) struct BlockingWork {
    pub(super) work: Box<dyn FnOnce() + Send>,
    /// If these are given, the work waits until it gets one.
    pub(super) cores: Option<Arc<Semaphore>>,
    /// The page that is parsed. While the work goes on, warnings name it.
    pub(super) parses: Option<Arc<str>>,
    pub(super) then: Then,
}

impl BlockingWork {
    pub(super) async fn run(self, runner: Addr<Runner>) {
        let Self { work, cores, parses, then } = self;
        let _core = match cores {
            // The semaphore is never closed.
            Some(cores) => cores.acquire_owned().await.ok(),
            None => None,
        };
        let mut work = tokio::task::spawn_blocking(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                () = tokio::time::sleep(OVERDUE), if parses.is_some() => {
                    let url = parses.as_deref();
                    tracing::warn!(url, "the spider's `parse` is still running on this page");
                }
            }
        };
        let panicked = done.err().map(|error| match error.try_into_panic() {
            Ok(panic) => words_of_panic(&*panic),
            Err(error) => error.to_string(),
        });
        // The message is refused only when the crawl is over.
        let _ = runner.send(Resume(Box::new(move |reader| then(reader, panicked)))).await;
    }
}

/// The time after which a `parse` that is still running is named in a warning.
pub(crate) const OVERDUE: Duration = Duration::from_secs(10);
/// The most messages in the runner's mailbox. It is low, so that the other actors of the shard get a turn after a
/// few pages. Further pages wait with their senders.
const MAILBOX: usize = 4;
