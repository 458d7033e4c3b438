//! Errands: fetches for somebody else's sake. Each passes this host's gate and spends its budget (G8), as a lease that no
//! store knows. The asker gets the facts of the fetch and decides what they mean.

use std::sync::Arc;

use opilio_core::{Fingerprint, Lease, LeaseId, Priority, Record, Scheme};
use opilio_fetch::{FetchRequest, Purpose};

use crate::message::{Asker, Errand, ErrandResult, FetchFacts, ToScheduler};
use crate::port::SchedulerPort;

/// The errands of one host that are not over: at most [`ERRANDS_MAX`] requests.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    open: Vec<OpenErrand>,
    count: u64,
}

#[derive(Debug)]
struct OpenErrand {
    id: LeaseId,
    request: FetchRequest,
    askers: Vec<Asker>,
}

/// How a new errand was admitted.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// The host gets a lease for it.
    New(Box<Lease>),
    /// Another errand fetches the same robots.txt already.
    Joined,
    /// There are too many errands: it is not fetched.
    Full(Asker),
}

impl Errands {
    /// Takes an errand in. A robots.txt is fetched once for all who ask for it meanwhile.
    pub(crate) fn admit(&mut self, Errand { host, request, asker }: Errand) -> Admitted {
        if let Some(errand) = self.open.iter_mut().find(|errand| is_same_robots(&errand.request, &request)) {
            errand.askers.push(asker);
            return Admitted::Joined;
        }
        let scheme = Scheme::of(&request.url).filter(|_| self.open.len() < ERRANDS_MAX);
        let Some(scheme) = scheme else { return Admitted::Full(asker) };
        self.count += 1;
        let (id, url) = (LeaseId::errand(self.count), Arc::from(request.url.as_str()));
        let record = Record {
            // A whole host may wait for it.
            priority: Priority(i8::MAX),
            ..Record::new(Arc::clone(&url), Fingerprint::of_text(&url), host, scheme)
        };
        self.open.push(OpenErrand { id, request, askers: vec![asker] });
        Admitted::New(Box::new(Lease { id, record }))
    }

    /// The request of an errand.
    pub(crate) fn request(&self, id: LeaseId) -> Option<FetchRequest> {
        self.open.iter().find(|errand| errand.id == id).map(|errand| errand.request.clone())
    }

    /// Ends an errand, and returns its askers.
    pub(crate) fn end(&mut self, id: LeaseId) -> Vec<Asker> {
        let place = self.open.iter().position(|errand| errand.id == id);
        place.map(|place| self.open.swap_remove(place).askers).unwrap_or_default()
    }
}

/// Gives the facts of an errand to an asker.
pub(crate) fn answer(port: &SchedulerPort, asker: Asker, facts: FetchFacts) {
    match asker {
        Asker::Rules(question) => {
            port.send(ToScheduler::ErrandResult(Box::new(ErrandResult { question, facts })));
        }
        Asker::Caller(reply) => {
            // A caller that waits no longer gets nothing.
            let _ = reply.send(facts);
        }
    }
}

/// Whether one fetch serves both requests. Two requests of another kind may differ in more than their URL.
fn is_same_robots(one: &FetchRequest, other: &FetchRequest) -> bool {
    [one, other].iter().all(|request| request.purpose == Purpose::Robots) && one.url == other.url
}

/// Requests that one host makes at a time for others. The rules of a further asker count as unavailable, so that it asks
/// again later.
const ERRANDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use opilio_core::Host;
    use opilio_spider::rules::RulesQuestion;
    use tokio::sync::oneshot;
    use url::Url;

    use super::*;
    use crate::host::rules::rules_request;

    fn url(n: usize) -> Url {
        Url::parse(&format!("http://b.example/{n}")).unwrap()
    }

    fn rules_errand(n: usize, number: u64) -> Errand {
        let host = Host::of(&url(n)).unwrap();
        let question = RulesQuestion { host: host.clone(), scheme: Scheme::Http, number };
        Errand { host, request: rules_request(url(n)), asker: Asker::Rules(question) }
    }

    fn numbers(askers: Vec<Asker>) -> Vec<u64> {
        let number = |asker| match asker {
            Asker::Rules(question) => question.number,
            Asker::Caller(_) => 0,
        };
        askers.into_iter().map(number).collect()
    }

    #[test]
    fn a_robots_txt_is_fetched_once_for_all_who_ask_meanwhile_and_there_are_not_too_many() {
        let mut errands = Errands::default();
        let Admitted::New(lease) = errands.admit(rules_errand(0, 1)) else { panic!("not new") };
        assert!(lease.id.is_errand() && lease.record.host.as_str() == "b.example");
        assert!(matches!(errands.admit(rules_errand(0, 2)), Admitted::Joined));
        for n in 1..ERRANDS_MAX {
            assert!(matches!(errands.admit(rules_errand(n, 3)), Admitted::New(_)));
        }
        assert!(matches!(errands.admit(rules_errand(ERRANDS_MAX, 4)), Admitted::Full(_)));
        assert_eq!(numbers(errands.end(lease.id)), [1, 2]);
        assert_eq!(numbers(errands.end(lease.id)), [0; 0]);
        assert!(matches!(errands.admit(rules_errand(0, 5)), Admitted::New(_)));
    }

    #[test]
    fn requests_of_another_kind_are_fetched_each_for_its_asker() {
        let mut errands = Errands::default();
        let host = Host::of(&url(0)).unwrap();
        let mut admit = || {
            let asker = Asker::Caller(oneshot::channel().0);
            errands.admit(Errand { host: host.clone(), request: FetchRequest::get(url(0)), asker })
        };
        assert!(matches!(admit(), Admitted::New(_)));
        assert!(matches!(admit(), Admitted::New(_)));
        assert!(matches!(errands.admit(rules_errand(0, 1)), Admitted::New(_)));
    }
}
