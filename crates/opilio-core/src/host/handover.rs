//! Hands leases over to the spider or back to the store. When the host is parked, all leases that were not
//! started are handed to the spider as failures.

use super::leases::Pending;
use super::memo::Park;
use super::message::{Delivery, HostEvent, Output, ParkReason};
use super::state::HostState;
use crate::outcome::Reason;
use crate::record::Ending;
use crate::time::Timestamp;

impl HostState {
    /// Queues an event as an output.
    pub(super) fn say(&mut self, event: HostEvent) {
        self.outbox.push_back(Output::Event(event));
    }

    /// Hands a finished lease on to the spider.
    pub(super) fn deliver(&mut self, pending: Pending, delivery: Delivery) {
        self.leases.hand_on(pending.id());
        let attempts = pending.attempts.requests;
        self.outbox.push_back(Output::Deliver { lease: pending.lease, delivery, attempts });
    }

    /// Hands a lease on to the spider as a failure.
    pub(super) fn fail(&mut self, pending: Pending, reason: Reason) {
        self.deliver(pending, Delivery::Failure(reason));
    }

    /// Tells the store how a lease ends; the spider gets nothing.
    pub(super) fn settle(&mut self, pending: Pending, ending: Ending) {
        self.outbox.push_back(Output::Settle { lease: pending.lease, ending });
    }

    /// Gives a lease back to the store; the attempts that the lease used up at this host stay counted.
    pub(super) fn give_back(&mut self, pending: Pending, due: Option<Timestamp>) {
        let attempts = pending.attempts;
        let ending = match due {
            Some(due) if attempts != pending.lease.record.attempts => Ending::Retry { due, attempts },
            Some(_) | None => Ending::Return,
        };
        self.settle(pending, ending);
    }

    /// Parks the host until this time: leases that were not started end as failures.
    pub(super) fn park(&mut self, until: Timestamp, reason: ParkReason) {
        self.parked = Some(Park { until, reason });
        self.say(HostEvent::Parked { reason });
        while let Some((_, pending)) = self.leases.take_any_idle() {
            let reason = pending.fault.unwrap_or(self.contact.closed_reason());
            self.fail(pending, reason);
        }
    }
}
