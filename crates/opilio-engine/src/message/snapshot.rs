//! The request for a snapshot, which every actor answers with a description of its current state.

use std::time::Duration;

use actix::Message;
use opilio_spider::PartSnapshot;
use tokio::sync::oneshot;

/// Asks an actor for its current state. The supervisor waits for the answer for at most 100 ms.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "PartSnapshot")]
pub(crate) struct AskSnapshot;

/// Asks the scheduler for its current state. The scheduler passes the question on to the exporter.
pub(crate) struct Question {
    pub(crate) scheduler: oneshot::Sender<PartSnapshot>,
    pub(crate) exporter: oneshot::Sender<PartSnapshot>,
}

/// The most hosts that a shard lists in a snapshot.
pub(crate) const HOSTS_LISTED: usize = 100;
/// The longest time that the supervisor waits for an actor's answer.
pub(crate) const ANSWER_MAX: Duration = Duration::from_millis(100);
