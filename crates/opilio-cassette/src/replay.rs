//! A transport that answers from a cassette, without a network.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::Version;
use opilio_core::Fault;
use opilio_fetch::{Answer, Phase, Progress, Sending, Transport, TransportError, TransportRequest};

use crate::exchange::{RecordedAnswer, RecordedExchange, RecordedFault};
use crate::tape::{MissingAnswer, Tape};

/// A cassette that is replayed. The transports of all threads share it.
#[derive(Clone)]
pub struct Replay(Arc<Mutex<Tape>>);

impl Replay {
    /// Replays a tape.
    #[must_use]
    pub fn of(tape: Tape) -> Self {
        Self(Arc::new(Mutex::new(tape)))
    }

    /// Returns a function that makes transports, for `Crawler::transport`. A request that is not in the cassette
    /// fails. Each answer takes the time that it took in the recording, by the clock of the tokio runtime.
    pub fn transports(&self) -> impl Fn() -> Rc<dyn Transport> + Send + Sync + use<> {
        let replay = self.clone();
        move || Rc::new(ReplayTransport(replay.clone()))
    }

    /// Returns the requests so far, in words, to which the cassette has no answer.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        self.lock().unknown()
    }

    fn lock(&self) -> MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct ReplayTransport(Replay);

impl Transport for ReplayTransport {
    fn send(&self, ask: TransportRequest) -> Sending<'_> {
        async move {
            let found = self.0.lock().answer(&ask);
            deliver(found?, &ask.progress).await
        }
        .boxed_local()
    }
}

/// Delivers a recorded answer or failure, after the time that it took in the recording.
///
/// # Errors
/// When the recorded request got no answer.
pub async fn deliver(exchange: RecordedExchange, progress: &Progress) -> Result<Answer, TransportError> {
    let error = |RecordedFault { phase, fault, words }| TransportError::new(phase, fault, words);
    progress.enter(exchange.result.as_ref().err().map_or(Phase::Head, |fault| fault.phase));
    if !exchange.latency.is_zero() {
        tokio::time::sleep(exchange.latency).await;
    }
    let answer = exchange.result.map_err(error)?;
    let end = answer.end();
    let RecordedAnswer { status, headers, body, .. } = answer;
    progress.enter(Phase::Body);
    let pieces: Vec<Result<Bytes, TransportError>> =
        Some(Ok(body)).into_iter().chain(end.map(|fault| Err(error(fault)))).collect();
    let body = stream::iter(pieces).boxed_local();
    Ok(Answer { status, version: Version::HTTP_11, headers, body, reused: false, remote: None })
}

impl From<MissingAnswer> for TransportError {
    fn from(missing: MissingAnswer) -> Self {
        // The crawl never retries after this fault (an address that it may not connect to), so the missing answer
        // ends the URL at once.
        Self::new(Phase::Waiting, Fault::BlockedAddress, missing.to_string())
    }
}
