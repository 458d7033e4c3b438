//! A lease without its answer: what is kept of it until all that it gave is handed on.

use std::sync::Arc;

use opilio_core::{Host, Lease, LeaseId, Record, Validators};
use opilio_frontier::Fetched;
use opilio_spider::admission::is_plain;
use opilio_spider::data::{Marks, More, Reads};
use opilio_spider::naming::Naming;
use opilio_spider::{Answer, PageFacts};

use crate::settings::Settings;

/// All that is needed to end a lease.
pub(super) struct LeaseRef {
    pub(super) lease: LeaseId,
    pub(super) host: Host,
    pub(super) url: Arc<str>,
    pub(super) attempts: u16,
}

impl LeaseRef {
    pub(super) fn of(lease: &Lease, attempts: u16) -> Self {
        Self { lease: lease.id, host: lease.record.host.clone(), url: lease.record.url.clone(), attempts }
    }
}

/// A lease without its answer: who it is and in whose name it ends.
pub(super) struct PageContext<Step> {
    pub(super) host: Host,
    pub(super) record: Record,
    pub(super) lease: LeaseId,
    pub(super) origin: Arc<str>,
    pub(super) attempts: u16,
    pub(super) step: Step,
    /// The page that it, or the origin of its chain, was found on.
    pub(super) referrer: Option<Box<str>>,
    pub(super) more: Option<Box<More>>,
    pub(super) reads: Reads,
    pub(super) marks: Marks,
    /// The host that a seed led to with it, and that was none of the crawl's before.
    pub(super) grows: Option<Host>,
    /// Its host has shown its content too often.
    pub(super) is_repeated: bool,
    /// How a page was fetched, for the store.
    pub(super) fetched: Fetched,
}

impl<Step> PageContext<Step> {
    pub(super) fn lease_ref(&self) -> LeaseRef {
        LeaseRef {
            lease: self.lease,
            host: self.host.clone(),
            url: self.record.url.clone(),
            attempts: self.attempts,
        }
    }

    pub(super) fn session(&self) -> Option<&str> {
        self.more.as_ref()?.session.as_deref()
    }

    /// What answers another request than a plain GET is no page of its URL.
    pub(super) fn naming(&self, settings: &Settings) -> Naming {
        let by = settings.merge;
        // Asked for again, it is meant as another page.
        let content = by.content && !self.marks.again;
        if self.is_plain() { Naming { content, ..by } } else { Naming::default() }
    }

    /// Whether it was asked for as a link is.
    pub(super) fn is_plain(&self) -> bool {
        is_plain(self.more.as_deref())
    }

    pub(super) fn facts(&self, settings: &Settings) -> PageFacts {
        PageFacts {
            origin: self.origin.clone(),
            depth: self.record.depth,
            attempts: self.attempts,
            referrer: self.referrer.clone(),
            user_agent: settings.user_agent.clone(),
            session: self.session().map(Into::into),
            known_hash: self.record.validators.as_ref().and_then(|known| known.body_hash),
            is_repeated: self.is_repeated,
        }
    }

    /// What the store is to know of how a page was fetched. What was asked with still holds when
    /// nothing has changed.
    pub(super) fn fetched(&self, answer: &Answer, settings: &Settings) -> Fetched {
        let body_bytes = answer.body.len() as u64;
        if !settings.keep_history {
            return Fetched { body_bytes, ..Fetched::default() };
        }
        let read = Validators::read(&answer.headers);
        let validators = if answer.status == 304 {
            let known = self.record.validators.as_deref().cloned().unwrap_or_default();
            Validators {
                etag: read.etag.or(known.etag),
                last_modified: read.last_modified.or(known.last_modified),
                body_hash: known.body_hash,
            }
        } else {
            Validators { body_hash: Some(xxhash_rust::xxh3::xxh3_64(&answer.body)), ..read }
        };
        Fetched { body_bytes, validators }
    }
}
