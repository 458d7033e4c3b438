//! Holds the errands and orders for hosts, and the orders that wait until their host becomes live.

use std::collections::HashMap;

use opilio_core::{Host, Timestamp};

use crate::message::{Errand, HostOrder, OrderAnswer, OrderKind};

/// The errands and orders of the current turn, and the orders that wait for their host.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) errands: Vec<Errand>,
    pub(super) orders: Vec<HostOrder>,
    /// The holds that wait until their host becomes live: the host, and the time at which its hold (no requests)
    /// ends.
    standing: HashMap<Host, Timestamp>,
}

impl Outgoing {
    /// Takes in an order for a host. If the host is not live (`is_live` is false), a hold waits until the host
    /// becomes live; any other order then has nothing to do and counts as obeyed.
    pub(super) fn order(&mut self, order: HostOrder, is_live: bool) {
        if is_live {
            return self.orders.push(order);
        }
        let answer = match order.what {
            OrderKind::Hold { until } => self.stand(order.host, until),
            // A host that is not live has no leases to give back.
            OrderKind::Leave | OrderKind::Lose => OrderAnswer::Obeyed,
        };
        if let Some(reply) = order.reply {
            let _ = reply.send(answer);
        }
    }

    /// Keeps a hold until its host becomes live. Refuses the hold if too many other hosts have one that waits.
    fn stand(&mut self, host: Host, until: Timestamp) -> OrderAnswer {
        if let Some(stands) = self.standing.get_mut(&host) {
            *stands = until.max(*stands);
        } else if self.standing.len() < STANDING_MAX {
            self.standing.insert(host, until);
        } else {
            return OrderAnswer::Refused;
        }
        OrderAnswer::Standing
    }

    /// Queues the hold that waits for this host, if there is any, because the host becomes live.
    pub(super) fn wake(&mut self, host: &Host) {
        if let Some(until) = self.standing.remove(host) {
            let what = OrderKind::Hold { until };
            self.orders.push(HostOrder { host: host.clone(), what, reply: None });
        }
    }

    pub(super) fn standing(&self) -> usize {
        self.standing.len()
    }
}

/// The most hosts for which a hold may wait.
const STANDING_MAX: usize = 10_000;
