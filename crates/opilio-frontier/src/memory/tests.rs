//! Tests of the guarantees that only the store in memory gives. The tests of the rules for all stores are in the
//! module `conformance`.

#![allow(clippy::unwrap_used, reason = "tests")]

use opilio_core::{Fingerprint, Scheme};
use url::Url;

use super::*;
use crate::conformance::Stores;

struct InMemory;

impl Stores for InMemory {
    fn open_with(&mut self, options: MemoryOptions) -> Box<dyn Frontier> {
        Box::new(MemoryFrontier::with(options))
    }

    fn reopen(&mut self, _killed: Box<dyn Frontier>) -> Option<Box<dyn Frontier>> {
        None
    }
}

mod conformance {
    use super::InMemory;

    crate::conformance_tests!(InMemory);
}

fn record(path: usize) -> Record {
    let url = Url::parse(&format!("http://a.test/{path}")).unwrap();
    Record {
        // Some records are as large as a chunk of a queue.
        extra: if path.is_multiple_of(97) { vec![7; 5000].into() } else { Bytes::new() },
        ..Record::new(url.as_str(), Fingerprint::of(&url), Host::of(&url).unwrap(), Scheme::Http)
    }
}

#[test]
fn a_queue_of_many_chunks_comes_out_as_it_went_in() {
    let mut store = MemoryFrontier::new();
    let (mut admitted, mut leased) = (0, 0);
    // In the first rounds more records are added than removed, and in the last ones more are removed. So chunks are
    // read while other chunks are written.
    for (more, n) in [(500, 3), (1, 200), (700, 500), (3, 1), (2000, 90), (0, 5000)] {
        let batch = (admitted..admitted + more).map(|path| Admission::Queue(record(path))).collect();
        store.admit(batch).unwrap();
        admitted += more;
        let want = Want { host: record(0).host, n };
        let mut leases = Vec::new();
        store.lease(&[want], Timestamp::EPOCH, &mut leases).unwrap();
        for lease in leases {
            assert_eq!(lease.record, record(leased));
            leased += 1;
        }
    }
    assert_eq!((leased, admitted), (3204, 3204));
}
