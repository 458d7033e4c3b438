//! Errands: fetches of robots.txt for other hosts, whose own robots.txt redirects here.
//!
//! This host's gate lets them through and its budget pays for them (G8), as leases that no store knows.
//! The asker gets the facts of the fetch, and decides what they mean.

use std::sync::Arc;

use opilio_core::{Fingerprint, Host, Lease, LeaseId, Priority, Record, Scheme};
use opilio_spider::rules::RulesQuestion;
use url::Url;

/// The errands of one host that are not over. Bounded by [`ERRANDS_MAX`] files, each of which is
/// fetched once for all who ask meanwhile; of those there is one for each live origin at the most.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    open: Vec<OpenErrand>,
    count: u64,
}

#[derive(Debug)]
struct OpenErrand {
    id: LeaseId,
    url: Arc<str>,
    askers: Vec<RulesQuestion>,
}

/// How a new errand was admitted.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// It is to be fetched.
    New(Box<Lease>),
    /// Somebody else has asked for the same file already.
    Joined,
    /// There are too many: it is not fetched.
    Full(RulesQuestion),
}

impl Errands {
    /// Takes an errand in.
    pub(crate) fn admit(&mut self, host: &Host, url: &Url, asker: RulesQuestion) -> Admitted {
        if let Some(errand) = self.open.iter_mut().find(|errand| *errand.url == *url.as_str()) {
            errand.askers.push(asker);
            return Admitted::Joined;
        }
        let scheme = Scheme::of(url).filter(|_| self.open.len() < ERRANDS_MAX);
        let Some(scheme) = scheme else { return Admitted::Full(asker) };
        self.count += 1;
        let (id, url) = (LeaseId::errand(self.count), Arc::from(url.as_str()));
        let record = Record {
            // A whole host waits for it.
            priority: Priority(i8::MAX),
            ..Record::new(Arc::clone(&url), Fingerprint::of_text(&url), host.clone(), scheme)
        };
        self.open.push(OpenErrand { id, url, askers: vec![asker] });
        Admitted::New(Box::new(Lease { id, record }))
    }

    /// An errand is over: tells who asked for it.
    pub(crate) fn end(&mut self, id: LeaseId) -> Vec<RulesQuestion> {
        let place = self.open.iter().position(|errand| errand.id == id);
        place.map(|place| self.open.swap_remove(place).askers).unwrap_or_default()
    }
}

/// Files that are awaited of one host at a time. Beyond, an asker's rules count as unavailable, and it
/// asks again later.
const ERRANDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_file_is_fetched_once_for_all_who_ask_meanwhile_and_there_are_not_too_many() {
        let url = |n: usize| Url::parse(&format!("http://b.example/{n}")).unwrap();
        let host = Host::of(&url(0)).unwrap();
        let asker = |number| RulesQuestion { host: host.clone(), scheme: Scheme::Http, number };
        let mut errands = Errands::default();
        let Admitted::New(lease) = errands.admit(&host, &url(0), asker(1)) else { panic!("not new") };
        assert!(lease.id.is_errand() && lease.record.host == host);
        assert!(matches!(errands.admit(&host, &url(0), asker(2)), Admitted::Joined));
        for n in 1..ERRANDS_MAX {
            assert!(matches!(errands.admit(&host, &url(n), asker(3)), Admitted::New(_)));
        }
        assert!(matches!(errands.admit(&host, &url(ERRANDS_MAX), asker(4)), Admitted::Full(_)));
        assert_eq!(errands.end(lease.id), [asker(1), asker(2)]);
        assert_eq!(errands.end(lease.id), []);
        assert!(matches!(errands.admit(&host, &url(0), asker(5)), Admitted::New(_)));
    }
}
