//! The messages to a spider runner.

use actix::Message;
use opilio_core::Lease;
use opilio_core::host::Delivery;
use opilio_frontier::{Decided, Known};
use opilio_spider::Answer;
use opilio_spider::prepared::Prepared;
use url::Url;

use crate::backlog::WaitingPage;

/// A lease that has ended, with everything that the runner needs to call the spider.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Deliver {
    pub(crate) lease: Lease,
    /// The request of the lease, with the data that only the spider needs.
    pub(crate) prepared: Prepared,
    pub(crate) delivery: Delivery,
    pub(crate) attempts: u16,
    pub(crate) answer: Option<Answer>,
    pub(crate) location: Option<Url>,
    pub(crate) error: Option<String>,
    /// Set if the lease was redirected to a known URL, which is in `location`: how that known URL ended.
    pub(crate) known: Option<Known>,
    /// Counts the answer in the parse backlog while the answer waits for the runner.
    pub(crate) waits: Option<WaitingPage>,
}

impl Deliver {
    /// Makes the message for a URL that was redirected to a known URL. The redirected URL ends in the same way as
    /// the known URL.
    pub(crate) fn decided(Decided { lease, target, known }: Decided, prepared: Prepared) -> Self {
        let (delivery, error) = match known {
            Known::Failed(reason) => (Delivery::Failure(reason), Some(format!("redirected to {target}"))),
            Known::Page | Known::Wall | Known::OwnWall => (Delivery::Redirect, None),
        };
        let (attempts, location) = (lease.record.attempts.requests, Url::parse(&target).ok());
        let (answer, known, waits) = (None, Some(known), None);
        Self { lease, prepared, delivery, attempts, answer, location, error, known, waits }
    }
}
