//! The requests of one host's leases. Each record is read once, when the cache, the gate or the spider runner needs it
//! first.

use std::collections::HashMap;

use opilio_core::{Lease, LeaseId, Record};
use opilio_fetch::FetchRequest;
use opilio_spider::Scope;
use opilio_spider::data::Reads;
use opilio_spider::prepared::{Prepared, PreparedRequest, SentRequest};

/// The prepared requests of the leases that were started or looked up in the cache, and have not ended. There are no more
/// of them than the host holds leases.
#[derive(Default)]
pub(crate) struct PreparedLeases(HashMap<LeaseId, Prepared>);

/// One attempt of a lease.
pub(crate) struct LeaseRequest {
    pub(crate) request: FetchRequest,
    /// The request's own number of retries, instead of the policy's.
    pub(crate) retries: Option<u16>,
    pub(crate) reads: Reads,
}

impl PreparedLeases {
    /// The request of a lease; `None` if its record cannot be read.
    pub(crate) fn request(&mut self, lease: &Lease, scope: &Scope) -> Option<LeaseRequest> {
        let prepared = self.0.entry(lease.id).or_insert_with(|| read(&lease.record)).as_ref().ok()?;
        let SentRequest { method, headers, body, session, proxy, came_back, repeatable } =
            prepared.sent(&lease.record, scope)?;
        let plain = FetchRequest::get(prepared.url().clone());
        let request = FetchRequest { method, headers, body, session, proxy, came_back, repeatable, ..plain };
        Some(LeaseRequest { request, retries: prepared.retries(), reads: prepared.reads() })
    }

    /// Takes the request of a lease that ends at the spider runner.
    pub(crate) fn take(&mut self, lease: &Lease) -> Prepared {
        self.0.remove(&lease.id).unwrap_or_else(|| read(&lease.record))
    }

    /// Drops the request of a lease that ends without the spider runner.
    pub(crate) fn forget(&mut self, lease: LeaseId) {
        self.0.remove(&lease);
    }
}

/// Reads a record.
pub(crate) fn read(record: &Record) -> Prepared {
    #[cfg(test)]
    READ.set(READ.get() + 1);
    PreparedRequest::read(record)
}

#[cfg(test)]
thread_local! {
    static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many records were read on this thread so far.
#[cfg(test)]
pub(crate) fn records_read() -> usize {
    READ.get()
}
