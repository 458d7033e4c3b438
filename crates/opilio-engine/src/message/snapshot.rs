//! The question where an actor stands, which every actor answers with values.

use std::time::Duration;

use actix::Message;
use opilio_spider::PartSnapshot;
use tokio::sync::oneshot;

/// Asks an actor where it stands. The supervisor waits for the answer for at most 100 ms.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "PartSnapshot")]
pub(crate) struct AskSnapshot;

/// The question for the scheduler, which passes it on to the exporter.
pub(crate) struct Question {
    pub(crate) scheduler: oneshot::Sender<PartSnapshot>,
    pub(crate) exporter: oneshot::Sender<PartSnapshot>,
}

/// Hosts that a shard lists in a snapshot.
pub(crate) const HOSTS_LISTED: usize = 100;
/// How long an actor may take to answer.
pub(crate) const ANSWER_MAX: Duration = Duration::from_millis(100);
