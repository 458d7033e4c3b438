//! The errands of a host: fetches that another host or the caller of the crawl asked for. Each errand is subject to
//! this host's rate limits and spends from its budget (invariant G8). The asker gets the facts of the fetch and
//! decides what these facts mean.

use opilio_core::host::{Admitted, Errands};
use opilio_fetch::{FetchRequest, Purpose};

use crate::message::{Asker, Errand, ErrandResult, FetchFacts, ToScheduler};
use crate::port::SchedulerPort;

/// The errands of one host that have not ended.
pub(crate) type HostErrands = Errands<FetchRequest, Asker>;

/// Takes in an errand. If the same robots.txt is already being fetched or its fetch is queued, the asker gets
/// the result of that fetch, and no second request is sent.
pub(crate) fn admit(errands: &mut HostErrands, Errand { host, request, asker }: Errand) -> Admitted<Asker> {
    let url = request.url.clone();
    errands.admit(host, &url, request, asker, is_same_robots)
}

/// Sends the facts of an errand's fetch to an asker.
pub(crate) fn answer(port: &SchedulerPort, asker: Asker, facts: FetchFacts) {
    match asker {
        Asker::Rules(question) => {
            port.send(ToScheduler::ErrandResult(Box::new(ErrandResult { question, facts })));
        }
        Asker::Caller(reply) => {
            // If the caller no longer waits, the facts are dropped.
            let _ = reply.send(facts);
        }
    }
}

/// Returns whether one fetch can answer both requests: both must be for the same robots.txt. Requests for
/// anything else may differ in more than their URL.
fn is_same_robots(one: &FetchRequest, other: &FetchRequest) -> bool {
    [one, other].iter().all(|request| request.purpose == Purpose::Robots) && one.url == other.url
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::host::rules::rules_request;

    #[test]
    fn only_requests_for_the_same_robots_txt_are_one() {
        let url = |path| url::Url::parse(&format!("http://b.example/{path}")).unwrap();
        let rules = |path| rules_request(url(path));
        assert!(is_same_robots(&rules("a"), &rules("a")));
        assert!(!is_same_robots(&rules("a"), &rules("b")));
        let page = FetchRequest::get(url("a"));
        assert!(!is_same_robots(&page, &page) && !is_same_robots(&page, &rules("a")));
    }
}
