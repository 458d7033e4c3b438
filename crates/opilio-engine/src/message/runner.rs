//! The messages to a spider runner.

use actix::Message;
use opilio_core::Lease;
use opilio_core::host::Delivery;
use opilio_frontier::{Decided, Known};
use opilio_spider::Answer;
use opilio_spider::prepared::Prepared;
use url::Url;

use crate::backlog::WaitingPage;

/// A finished lease for the spider.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Deliver {
    pub(crate) lease: Lease,
    /// The request of the lease, for the spider's side alone.
    pub(crate) prepared: Prepared,
    pub(crate) delivery: Delivery,
    pub(crate) attempts: u16,
    pub(crate) answer: Option<Answer>,
    pub(crate) location: Option<Url>,
    pub(crate) error: Option<String>,
    /// If the lease was redirected to a known URL, its `location`: how that URL ended.
    pub(crate) known: Option<Known>,
    /// Counts the answer while it waits for the runner.
    pub(crate) waits: Option<WaitingPage>,
}

impl Deliver {
    /// For a redirected URL that ends as the known URL did that it led to.
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
