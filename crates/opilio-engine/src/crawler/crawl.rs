//! A running crawl: the future of its report, and the handle to watch and stop it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use opilio_core::Host;
use opilio_spider::{CrawlError, CrawlReport, Progress, Snapshot, Stopped};
use tokio::sync::{mpsc, oneshot, watch};

use crate::message::OrderAnswer;
use crate::supervisor::Command;

/// A running crawl. It is a future, whose output is the report.
///
/// Dropping this value stops the crawl gently, as `Handle::stop` does.
#[must_use = "a crawl stops when its future is dropped"]
pub struct Crawl {
    pub(super) report: oneshot::Receiver<Result<CrawlReport, CrawlError>>,
    pub(super) handle: Handle,
}

impl Crawl {
    /// Returns a handle, which can watch and stop the crawl from any thread.
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

/// Watches and stops a crawl from any thread.
#[derive(Clone)]
pub struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(super) progress: watch::Receiver<Progress>,
}

impl Handle {
    /// Returns the progress of the crawl, as it was at most a fifth of a second ago.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Stops the crawl gently: no more requests start, requests in flight end, everything is written, and the report
    /// says `interrupted`. This takes 10 s at the most. If a sink did not write everything in that time, the report
    /// names it. A crawl that already waits only for its sinks stops waiting.
    pub fn stop(&self) {
        let _ = self.commands.try_send(Command::Stop(Stopped::Interrupted));
    }

    /// Asks every actor of the crawl for its current state. Returns `None` if the crawl has ended.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Snapshot(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Orders that nothing is sent to a host for this span from now on, or for the longest hold of the host if that
    /// is shorter. If the host is not live (in memory), it receives the order when it becomes live in this run.
    /// From then on the hold is a part of the saved state of the host. The order never shortens a hold. Returns
    /// `None` if the crawl has ended.
    pub async fn hold(&self, host: &Host, span: Duration) -> Option<OrderAnswer> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Hold { host: host.clone(), span, reply }).await.ok()?;
        answer.await.ok()
    }

    /// Stops the crawl at once, and gives up the requests in flight. Nothing that was written is lost.
    pub fn abort(&self) {
        let _ = self.commands.try_send(Command::Abort);
    }
}

/// The most commands of handles that wait until the crawl takes them.
pub(super) const COMMANDS: usize = 8;
