//! The requests of one host's leases. The record of a lease is read only once: when the cache, the host's actor or
//! the spider runner first needs the request.

use std::collections::HashMap;

use opilio_core::{Lease, LeaseId, Record};
use opilio_fetch::FetchRequest;
use opilio_spider::Scope;
use opilio_spider::data::Reads;
use opilio_spider::prepared::{Prepared, PreparedRequest, SentRequest};

/// The prepared requests of those leases that were started or looked up in the cache and have not ended. There are
/// at most as many as the host holds leases.
#[derive(Default)]
pub(crate) struct PreparedLeases(HashMap<LeaseId, Prepared>);

/// The request of one attempt at a lease.
pub(crate) struct LeaseRequest {
    pub(crate) request: FetchRequest,
    /// The number of retries that the request itself sets. It takes the place of the number in the retry policy.
    pub(crate) retries: Option<u16>,
    pub(crate) reads: Reads,
}

impl PreparedLeases {
    /// Returns the request of a lease, or `None` if the lease's record cannot be read.
    pub(crate) fn request(&mut self, lease: &Lease, scope: &Scope) -> Option<LeaseRequest> {
        let prepared = self.0.entry(lease.id).or_insert_with(|| read(&lease.record)).as_ref().ok()?;
        let SentRequest { method, headers, body, session, proxy, came_back, repeatable } =
            prepared.sent(&lease.record, scope)?;
        let plain = FetchRequest::get(prepared.url().clone());
        let request = FetchRequest { method, headers, body, session, proxy, came_back, repeatable, ..plain };
        Some(LeaseRequest { request, retries: prepared.retries(), reads: prepared.reads() })
    }

    /// Removes and returns the request of a lease, which ends now in the spider runner.
    pub(crate) fn take(&mut self, lease: &Lease) -> Prepared {
        self.0.remove(&lease.id).unwrap_or_else(|| read(&lease.record))
    }

    /// Drops the request of a lease that ends without the spider runner.
    pub(crate) fn forget(&mut self, lease: LeaseId) {
        self.0.remove(&lease);
    }
}

/// Reads a record, and prepares its request.
pub(crate) fn read(record: &Record) -> Prepared {
    #[cfg(test)]
    READ.set(READ.get() + 1);
    PreparedRequest::read(record)
}

#[cfg(test)]
thread_local! {
    static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns how many records were read on this thread so far.
#[cfg(test)]
pub(crate) fn records_read() -> usize {
    READ.get()
}
