//! The rules of a host, in virtual time.
