//! Looks leases up in the development cache. A lease that the cache has an answer for goes to the spider runner and not to
//! its host, since it needs no request.

use std::cell::RefCell;
use std::time::Duration;

use actix::Message;
use opilio_core::host::Delivery;
use opilio_core::{Host, Lease, Outcome};
use opilio_fetch::Fetcher;
use opilio_spider::data::Reads;

use crate::context::ShardContext;
use crate::fetcher::answer_of;
use crate::message::Deliver;
use crate::prepared::{LeaseRequest, PreparedLeases};

/// The leases of a batch that the cache has no answer for. An empty batch is sent too, since it answers the host's request
/// for leases.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Missing {
    pub(super) host: Host,
    pub(super) leases: Vec<Lease>,
}

/// Gives the answers that the cache has to the spider runner, and returns the other leases. Waits for memory while bodies
/// take all of it.
pub(super) async fn missing(
    cx: &ShardContext,
    cache: &Fetcher,
    host: &Host,
    prepared: &RefCell<PreparedLeases>,
    leases: Vec<Lease>,
) -> Vec<Lease> {
    let mut missing = Vec::new();
    for lease in leases {
        while cx.backlog.is_full() {
            // An answer of the cache takes no slot, whose grant would wait for the runner.
            tokio::time::sleep(PARSING).await;
        }
        let sent = prepared.borrow_mut().request(&lease, &cx.settings.scope);
        let answer = match sent {
            // Sitemaps are not looked up: they are read in another way, and there are few.
            Some(LeaseRequest { mut request, reads: Reads::Page, .. }) => {
                request.accept = cx.settings.accept();
                cx.settings.dress(host, &mut request);
                cache.cached(&request).await
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
        let answer = answer_of(fetched, cx.clock.unix_millis());
        let waits = answer.is_some().then(|| cx.backlog.wait());
        let prepared = prepared.borrow_mut().take(&lease);
        let (attempts, error, known) = (0, None, None);
        let deliver = Deliver { lease, prepared, delivery, attempts, answer, location, error, known, waits };
        cx.runner.send(deliver);
    }
    missing
}

/// How soon the runner's backlog is looked at again.
const PARSING: Duration = Duration::from_millis(1);
