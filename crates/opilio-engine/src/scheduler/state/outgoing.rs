//! Errands and orders for hosts, and the orders that wait for a host to come alive.

use std::collections::HashMap;

use opilio_core::{Host, Timestamp};

use crate::message::{Errand, HostOrder, OrderAnswer, OrderKind};

/// Errands and orders of one turn, and the orders that stand.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) errands: Vec<Errand>,
    pub(super) orders: Vec<HostOrder>,
    /// Until when hosts that are not live are to be held.
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
            // It is not here.
            OrderKind::Leave | OrderKind::Lose => OrderAnswer::Obeyed,
        };
        if let Some(reply) = order.reply {
            let _ = reply.send(answer);
        }
    }

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

    /// A host comes alive: the order that stands for it goes along.
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

/// Orders that wait for hosts to come alive, at the most.
const STANDING_MAX: usize = 10_000;
