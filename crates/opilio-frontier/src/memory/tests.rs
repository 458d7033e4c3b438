//! What only this store promises; the rules of every store are in the conformance suite.
