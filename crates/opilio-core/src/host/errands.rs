//! Errands are requests to a host that are made for another part of the crawler, such as robots.txt for
//! another host. The host gets them as leases that are not in the store.
//!
//! Like any lease, an errand passes the gate of the host that is asked, and spends that host's budget. The
//! host's actor keeps the request, and gives the result to the parts that asked for it (the askers).

use std::sync::Arc;

use url::Url;

use crate::{Fingerprint, Host, Lease, LeaseId, Priority, Record, Scheme};

/// The errands of one host that are not over: at most 64 requests `R`, each with its askers `A`.
#[derive(Debug)]
pub struct Errands<R, A> {
    open: Vec<OpenErrand<R, A>>,
    count: u64,
}

#[derive(Debug)]
struct OpenErrand<R, A> {
    id: LeaseId,
    request: R,
    askers: Vec<A>,
}

/// The result of admitting an errand.
#[derive(Debug)]
pub enum Admitted<A> {
    /// The errand is new: the caller has to give this lease to the host.
    New(Box<Lease>),
    /// The errand joined another errand with the same request.
    Joined,
    /// The host has too many errands: the request is not made, and the asker is returned.
    Full(A),
}

impl<R, A> Default for Errands<R, A> {
    fn default() -> Self {
        Self { open: Vec::new(), count: 0 }
    }
}

impl<R, A> Errands<R, A> {
    /// Adds an errand. If `is_same` finds an open errand with the same request, the asker joins that errand,
    /// and no further request is made.
    pub fn admit(
        &mut self,
        host: Host,
        url: &Url,
        request: R,
        asker: A,
        is_same: impl Fn(&R, &R) -> bool,
    ) -> Admitted<A> {
        if let Some(errand) = self.open.iter_mut().find(|errand| is_same(&errand.request, &request)) {
            errand.askers.push(asker);
            return Admitted::Joined;
        }
        let scheme = Scheme::of(url).filter(|_| self.open.len() < ERRANDS_MAX);
        let Some(scheme) = scheme else { return Admitted::Full(asker) };
        self.count += 1;
        let (id, url) = (LeaseId::errand(self.count), Arc::from(url.as_str()));
        let record = Record {
            // The priority is the highest, since all URLs of another host may wait for the result.
            priority: Priority(i8::MAX),
            ..Record::new(Arc::clone(&url), Fingerprint::of_text(&url), host, scheme)
        };
        self.open.push(OpenErrand { id, request, askers: vec![asker] });
        Admitted::New(Box::new(Lease { id, record }))
    }

    /// Whether there was no errand so far.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.count == 0
    }

    /// Returns the request of an errand that is not over.
    #[must_use]
    pub fn request(&self, id: LeaseId) -> Option<&R> {
        self.open.iter().find(|errand| errand.id == id).map(|errand| &errand.request)
    }

    /// Ends an errand, and returns its askers. Returns no askers if the errand is unknown.
    pub fn end(&mut self, id: LeaseId) -> Vec<A> {
        let place = self.open.iter().position(|errand| errand.id == id);
        place.map(|place| self.open.swap_remove(place).askers).unwrap_or_default()
    }
}

/// The most errands that a host has at a time. A further asker has to ask again later.
const ERRANDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn one_request_serves_all_who_ask_meanwhile_and_there_are_not_too_many() {
        let url = |n: usize| Url::parse(&format!("http://b.example/{n}")).unwrap();
        let host = Host::of(&url(0)).unwrap();
        let mut errands = Errands::default();
        let admit = |errands: &mut Errands<usize, u8>, n, asker| {
            errands.admit(host.clone(), &url(n), n, asker, |one, other| one == other)
        };
        let Admitted::New(lease) = admit(&mut errands, 0, 1) else { panic!("not new") };
        assert!(lease.id.is_errand() && lease.record.host == Host::of(&url(0)).unwrap());
        assert!(matches!(admit(&mut errands, 0, 2), Admitted::Joined));
        for n in 1..ERRANDS_MAX {
            assert!(matches!(admit(&mut errands, n, 3), Admitted::New(_)));
        }
        assert!(matches!(admit(&mut errands, ERRANDS_MAX, 4), Admitted::Full(4)));
        assert_eq!(errands.request(lease.id), Some(&0));
        assert_eq!(errands.end(lease.id), [1, 2]);
        assert_eq!(errands.end(lease.id), [0; 0]);
        assert!(matches!(admit(&mut errands, 0, 5), Admitted::New(_)));
    }
}
