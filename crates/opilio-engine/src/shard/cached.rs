//! What the cache has needs no start: it is handed to the spider before the lease comes to its host, so
//! that there is nothing to ask the gate for.

use std::time::Duration;

use actix::Message;
use opilio_core::host::Delivery;
use opilio_core::{Host, Lease, Outcome};
use opilio_fetch::Fetcher;
use opilio_spider::data::Reads;

use crate::context::ShardContext;
use crate::fetcher::answer_of;
use crate::host::request_of;
use crate::message::Deliver;

/// The leases of a batch that the cache has no answer for; to have none of them is an answer to the
/// host, too.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Missing {
    pub(super) host: Host,
    pub(super) leases: Vec<Lease>,
}

/// Hands what the cache has to the spider; gives back the other leases. Waits for memory where bodies
/// hold all that there is.
pub(super) async fn missing(
    cx: &ShardContext,
    cache: &Fetcher,
    host: &Host,
    leases: Vec<Lease>,
) -> Vec<Lease> {
    let mut missing = Vec::new();
    for lease in leases {
        while cx.backlog.is_full() {
            // What the cache has needs no slot, which would wait for the same.
            tokio::time::sleep(PARSING).await;
        }
        let answer = match request_of(&lease, &cx.settings.scope) {
            // Sitemaps are read another way, and rarely.
            Some((mut order, _, Reads::Page)) => {
                order.accept = cx.settings.accept();
                cx.settings.dress(host, &mut order);
                cache.cached(&order).await
            }
            _ => None,
        };
        let Some(fetched) = answer else {
            missing.push(lease);
            continue;
        };
        let delivery = match fetched.outcome {
            Outcome::Redirected(_) => Delivery::Redirect,
            Outcome::Answered(_) | Outcome::Refused(_) | Outcome::Failed(_) => Delivery::Page,
        };
        let location = fetched.location.clone();
        cx.count(|counts| counts.cached += 1);
        let answer = answer_of(fetched);
        let waits = answer.is_some().then(|| cx.backlog.wait());
        cx.runner.send(Deliver {
            lease,
            delivery,
            attempts: 0,
            answer,
            location,
            error: None,
            known: None,
            waits,
        });
    }
    missing
}

/// How soon to look again whether the runner has caught up.
const PARSING: Duration = Duration::from_millis(1);
