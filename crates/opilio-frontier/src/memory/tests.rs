//! What this store promises by itself; the rules of every store are in the conformance suite.

use super::*;
use crate::conformance::Stores;

struct InMemory;

impl Stores for InMemory {
    fn open(&mut self) -> Box<dyn Frontier> {
        Box::new(MemoryFrontier::new())
    }

    fn reopen(&mut self, _killed: Box<dyn Frontier>) -> Option<Box<dyn Frontier>> {
        None
    }
}

mod conformance {
    use super::InMemory;

    crate::conformance_tests!(InMemory);
}
