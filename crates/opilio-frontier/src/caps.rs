//! The limits for one host: how many pages and bytes a crawl takes of it, and how deep it goes.
//!
//! The limit of depth applies when a URL is discovered. The limits of pages and bytes apply when URLs are leased,
//! because only then is it known how many URLs of the host have become pages. A host gets only as many leases as its
//! caps (limits) still allow. When a cap is reached, the queued URLs of the host and the URLs that are discovered
//! later end as [`Filtered::HostPages`] or [`Filtered::HostBytes`].

use std::collections::HashMap;

use opilio_core::Host;

use crate::batch::Filtered;

/// The limits of one host. `None` means that there is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostCaps {
    /// The most URLs of the host that may end as pages. The limit is never exceeded, however many fetches are in
    /// flight.
    pub pages: Option<u64>,
    /// The most bytes of page bodies, counted as fetched. Pages that are in flight when the limit is reached are
    /// still taken, so the sum may be larger.
    pub body_bytes: Option<u64>,
    /// The most links that may lie between a seed and a URL of the host.
    pub depth: Option<u16>,
}

/// The caps of all hosts: one value for every host, and other values for single hosts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Caps {
    every: HostCaps,
    of: HashMap<Host, HostCaps>,
}

impl Caps {
    /// Returns caps that are the same for every host.
    #[must_use]
    pub fn every_host(caps: HostCaps) -> Self {
        Self { every: caps, of: HashMap::new() }
    }

    /// Sets the caps of one host. They replace the caps for every host.
    #[must_use]
    pub fn with_host(mut self, host: Host, caps: HostCaps) -> Self {
        self.of.insert(host, caps);
        self
    }

    /// Returns the caps of a host.
    #[must_use]
    pub fn of(&self, host: &Host) -> HostCaps {
        self.of.get(host).copied().unwrap_or(self.every)
    }

    /// Returns whether at least one host has a limit of depth.
    #[must_use]
    pub fn limit_depth(&self) -> bool {
        self.every.depth.is_some() || self.of.values().any(|caps| caps.depth.is_some())
    }

    /// Returns whether no host has a cap.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.every == HostCaps::default() && self.of.values().all(|caps| *caps == HostCaps::default())
    }
}

impl From<HostCaps> for Caps {
    fn from(caps: HostCaps) -> Self {
        Self::every_host(caps)
    }
}

/// The numbers of pages and bytes that the crawl has taken of a host so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) pages: u64,
    pub(crate) body_bytes: u64,
}

/// How many more leases a host may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// The host may have this many more leases.
    Open(u64),
    /// The host gets no more leases, because it has reached the cap that this reason names.
    Closed(Filtered),
}

impl HostCaps {
    /// Returns how many more leases a host may have, if `out` leases of the host are not settled yet.
    pub(crate) fn room(&self, spent: Spent, out: u64) -> Room {
        if self.body_bytes.is_some_and(|max| spent.body_bytes >= max) {
            return Room::Closed(Filtered::HostBytes);
        }
        match self.pages {
            None => Room::Open(u64::MAX),
            Some(max) if spent.pages >= max => Room::Closed(Filtered::HostPages),
            // Each unsettled lease may still become a page, so it counts as one.
            Some(max) => Room::Open((max - spent.pages).saturating_sub(out)),
        }
    }
}

impl Spent {
    pub(crate) fn add(&mut self, body_bytes: u64) {
        self.pages += 1;
        self.body_bytes = self.body_bytes.saturating_add(body_bytes);
    }

    /// Subtracts a page, because the page is due again. It is counted anew when it ends again.
    pub(crate) fn take_back(&mut self, body_bytes: u64) {
        self.pages = self.pages.saturating_sub(1);
        self.body_bytes = self.body_bytes.saturating_sub(body_bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_out_may_become_a_page_and_takes_room() {
        let caps = HostCaps { pages: Some(10), ..HostCaps::default() };
        let spent = |pages| Spent { pages, body_bytes: 0 };
        assert_eq!(caps.room(spent(4), 0), Room::Open(6));
        assert_eq!(caps.room(spent(4), 6), Room::Open(0));
        assert_eq!(caps.room(spent(4), 9), Room::Open(0), "the cap was lowered");
        assert_eq!(caps.room(spent(10), 0), Room::Closed(Filtered::HostPages));
        assert_eq!(HostCaps::default().room(spent(u64::MAX), u64::MAX), Room::Open(u64::MAX));
    }

    #[test]
    fn bytes_close_a_host_whatever_is_out() {
        let caps = HostCaps { body_bytes: Some(100), ..HostCaps::default() };
        assert_eq!(caps.room(Spent { pages: 1, body_bytes: 99 }, 50), Room::Open(u64::MAX));
        assert_eq!(caps.room(Spent { pages: 1, body_bytes: 100 }, 50), Room::Closed(Filtered::HostBytes));
    }

    #[test]
    fn one_host_may_have_caps_of_its_own() {
        let host = |name: &str| Host::of(&url::Url::parse(name).unwrap()).unwrap();
        let of = |pages| HostCaps { pages: Some(pages), ..HostCaps::default() };
        let caps = Caps::every_host(of(5)).with_host(host("http://big.test/"), of(500));
        assert_eq!(caps.of(&host("http://big.test/")), of(500));
        assert_eq!(caps.of(&host("http://any.test/")), of(5));
        assert!(!caps.are_none() && Caps::default().are_none());
    }
}
