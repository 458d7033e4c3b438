//! Errands and orders for hosts, and the orders that wait until their host comes alive.

use std::collections::HashMap;

use opilio_core::{Host, Timestamp};

use crate::message::{Errand, HostOrder, OrderAnswer, OrderKind};

/// The errands and orders of one turn, and the orders that wait.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) errands: Vec<Errand>,
    pub(super) orders: Vec<HostOrder>,
    /// Hosts that are not live and have to be held, each with the end of the hold.
    standing: HashMap<Host, Timestamp>,
}

impl Outgoing {
    /// Takes in an order for a host that is live or is not.
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

    /// Keeps an order until its host comes alive.
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

    /// A host comes alive: sends it the order that waits for it.
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

/// Orders that wait for hosts at most.
const STANDING_MAX: usize = 10_000;
