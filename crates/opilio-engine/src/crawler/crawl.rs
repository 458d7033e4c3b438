//! A crawl that runs: its report to come, and what watches and stops it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use opilio_core::Host;
use opilio_spider::{CrawlError, CrawlReport, Progress, Snapshot, Stopped};
use tokio::sync::{mpsc, oneshot, watch};

use crate::message::OrderAnswer;
use crate::supervisor::Command;

/// A running crawl: a future of its report.
///
/// Dropping it stops the crawl gently.
#[must_use = "a crawl stops when its future is dropped"]
pub struct Crawl {
    pub(super) report: oneshot::Receiver<Result<CrawlReport, CrawlError>>,
    pub(super) handle: Handle,
}

impl Crawl {
    /// Something to watch and stop it with, from anywhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Future for Crawl {
    type Output = Result<CrawlReport, CrawlError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.report)
            .poll(cx)
            .map(|result| result.unwrap_or(Err(CrawlError::Died { name: "opilio" })))
    }
}

impl Drop for Crawl {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// Watches and stops a crawl from anywhere.
#[derive(Clone)]
pub struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(super) progress: watch::Receiver<Progress>,
}

impl Handle {
    /// The numbers of the crawl, as they were at most a fifth of a second ago.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Stops gently: nothing more starts, requests in flight end, everything is written, and the report says
    /// `interrupted`. This takes 10 s at the most; the report names a sink that did not write everything in that time.
    /// A crawl that waits for its sinks stops waiting.
    pub fn stop(&self) {
        let _ = self.commands.try_send(Command::Stop(Stopped::Interrupted));
    }

    /// Asks every actor of the crawl where it stands; `None` when the crawl has ended.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Snapshot(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Orders that a host is sent nothing for so long from now on, or for its longest hold if that is shorter.
    /// Such an order reaches hosts that are not live when they come alive in this run, and is kept with the
    /// host's memo then. It never shortens a hold. `None` when the crawl has ended.
    pub async fn hold(&self, host: &Host, span: Duration) -> Option<OrderAnswer> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Hold { host: host.clone(), span, reply }).await.ok()?;
        answer.await.ok()
    }

    /// Stops, and gives up the requests in flight. Nothing that was written is lost.
    pub fn abort(&self) {
        let _ = self.commands.try_send(Command::Abort);
    }
}

/// Commands that wait at the most; the same ones again change nothing.
pub(super) const COMMANDS: usize = 8;
