//! Looks leases up in the development cache. A lease for which the cache has an answer goes to the spider runner,
//! and not to its host, since no request is needed.

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

/// The leases of a batch for which the cache has no answer. An empty batch is sent too, since it answers the host's
/// request for leases.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Missing {
    pub(super) host: Host,
    pub(super) leases: Vec<Lease>,
}

/// Sends the cached answers to the spider runner, and returns the leases for which the cache has no answer. Waits
/// while the runner has no room, or the bodies of responses take all of the memory they may take.
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
            // A fetch gets its slot only while the runner has room. An answer from the cache takes no slot, so its
            // wait for the runner is here.
            tokio::time::sleep(PARSING).await;
        }
        let sent = prepared.borrow_mut().request(&lease, &cx.settings.scope);
        let answer = match sent {
            // Sitemaps are not looked up in the cache: the runner parses them differently, and there are few of
            // them.
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

/// The time until the look-up checks again whether the runner has room.
const PARSING: Duration = Duration::from_millis(1);
