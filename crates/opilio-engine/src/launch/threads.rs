//! The threads of a crawl: plain threads, threads with a tokio runtime, and the arbiters (actix threads) of the
//! shards.

use actix::Arbiter;
use opilio_spider::CrawlError;
use tokio::sync::oneshot;

/// The threads of the shards. When this value is dropped, the threads are told to stop, however the crawl ends.
/// They are not joined, so that a `parse` that never ends cannot delay the report.
#[derive(Default)]
pub(super) struct Arbiters(Vec<Arbiter>);

impl Arbiters {
    /// Calls a function on the thread of a new arbiter, and waits for its result.
    ///
    /// # Errors
    /// When the thread ends before the function returns.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CrawlError> {
        let arbiter = Arbiter::new();
        let (tell, told) = oneshot::channel();
        let spawned = arbiter.spawn_fn(move || {
            let _ = tell.send(work());
        });
        if !spawned {
            return Err(CrawlError::Died { name: "shard" });
        }
        self.0.push(arbiter);
        told.await.map_err(|_| CrawlError::Died { name: "shard" })
    }
}

impl Drop for Arbiters {
    fn drop(&mut self) {
        for arbiter in &self.0 {
            arbiter.stop();
        }
    }
}

/// Runs a future to its end on a new thread. The returned receiver gets the future's result.
pub(super) fn run_future<F, T>(
    name: &'static str,
    make: impl FnOnce() -> F + Send + 'static,
) -> Result<oneshot::Receiver<T>, CrawlError>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|source| CrawlError::Thread { name, source })?;
    run(name, move || runtime.block_on(make()))
}

/// Calls a function on a new thread, where the function may block. The returned receiver gets the function's
/// result.
pub(super) fn run<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, CrawlError> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            let _ = tell.send(work());
        })
        .map_err(|source| CrawlError::Thread { name, source })?;
    Ok(told)
}
