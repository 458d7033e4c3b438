//! Holds the facts about a lease that is being fetched, until its result goes to the scheduler.

use std::sync::Arc;

use opilio_core::{Host, Lease, LeaseId, Record, Validators};
use opilio_frontier::Fetched;
use serde::de::DeserializeOwned;
use url::Url;

use crate::admission::{Parent, is_plain};
use crate::coverage::PageCoverage;
use crate::data::{Marks, Reads, RequestData, RequestOptions};
use crate::naming::Naming;
use crate::page::{Answer, PageFacts};
use crate::prepared::{Prepared, PreparedRequest};
use crate::spider::ParseError;
use crate::step;

/// The facts that are needed to report the end of a lease.
pub struct LeaseRef {
    /// The id of the lease.
    pub lease: LeaseId,
    /// The host of the lease.
    pub host: Host,
    /// The URL of the lease.
    pub url: Arc<str>,
    /// The number of attempts that the lease has used up.
    pub attempts: u16,
}

impl LeaseRef {
    /// Returns the facts of a lease whose record is not read yet.
    pub fn of(lease: &Lease, attempts: u16) -> Self {
        Self { lease: lease.id, host: lease.record.host.clone(), url: lease.record.url.clone(), attempts }
    }
}

/// A lease whose record or step cannot be read.
pub struct Unread {
    /// The lease.
    pub lease: Lease,
    /// The text of the error.
    pub error: String,
}

impl Unread {
    fn boxed(lease: Lease, error: String) -> Box<Self> {
        Box::new(Self { lease, error })
    }
}

/// A lease without its answer: the decoded record, and the known facts about the request.
pub struct PageContext<Step> {
    /// The id of the lease.
    pub lease: LeaseId,
    /// The record of the lease.
    pub record: Record,
    /// The parsed URL of the record.
    pub url: Url,
    /// The URL that was requested: the first URL of a chain of redirects. When the lease ends, the store records how
    /// this URL ended.
    pub requested_url: Arc<str>,
    /// The number of attempts that the lease has used up.
    pub attempts: u16,
    /// The step of the request, decoded.
    pub step: Step,
    /// The page on which the requested URL was found; `None` for a seed.
    pub referrer: Option<Box<str>>,
    /// The options of the request, if it is more than a plain GET.
    pub options: Option<Box<RequestOptions>>,
    /// The way in which the answer is read: as a page, a sitemap or a robots.txt.
    pub reads: Reads,
    /// The state of the chain of redirects that this lease belongs to.
    pub marks: Marks,
    /// A host to be added to the crawl, because a seed was redirected to it with this lease.
    pub grows: Option<Host>,
    /// Whether the host has sent the content of this page too often (see `TrapRules::same_content_max`).
    pub is_repeated: bool,
    /// The facts of the fetch that the store keeps.
    pub fetched: Fetched,
    /// What `parse` found for the fields of structs.
    pub coverage: PageCoverage,
}

impl<Step> PageContext<Step> {
    /// Makes the context of a lease from its parsed record. Decodes the step.
    ///
    /// # Errors
    /// When the record or the step cannot be read.
    pub fn open(lease: Lease, prepared: Prepared, attempts: u16) -> Result<Self, Box<Unread>>
    where
        Step: DeserializeOwned,
    {
        let PreparedRequest { url, data } = match prepared {
            Ok(prepared) => *prepared,
            Err(error) => return Err(Unread::boxed(lease, ParseError::from(error).to_string())),
        };
        let step = match step::decode(&data) {
            Ok(step) => step,
            Err(error) => return Err(Unread::boxed(lease, ParseError::from(error).to_string())),
        };
        let Lease { id, record } = lease;
        let referrer = data.found_on(&record.url);
        let RequestData { options, reads, marks, .. } = data;
        let chain = options.as_ref().and_then(|options| options.chain.as_ref());
        let requested_url = chain.map_or_else(|| record.url.clone(), |chain| chain.url.as_str().into());
        Ok(Self {
            lease: id,
            record,
            url,
            requested_url,
            attempts,
            step,
            referrer,
            options,
            reads,
            marks,
            grows: None,
            is_repeated: false,
            fetched: Fetched::default(),
            coverage: PageCoverage::default(),
        })
    }

    /// Returns the host of the record.
    pub fn host(&self) -> &Host {
        &self.record.host
    }

    /// Returns those facts of the page that are needed to turn its links into records.
    pub fn parent(&self) -> Parent<'_> {
        Parent {
            url: &self.url,
            host: self.host(),
            scheme: self.record.scheme,
            fingerprint: self.record.fingerprint,
            reads: Reads::Page,
            links_depth: self.record.depth.saturating_add(1),
            session: self.session(),
            is_repeated: self.is_repeated,
        }
    }

    /// Returns the facts that are needed to end the lease.
    pub fn lease_ref(&self) -> LeaseRef {
        LeaseRef {
            lease: self.lease,
            host: self.host().clone(),
            url: self.record.url.clone(),
            attempts: self.attempts,
        }
    }

    /// Returns the session of the request; `None` for the crawl's own session.
    pub fn session(&self) -> Option<&str> {
        self.options.as_ref()?.session.as_deref()
    }

    /// Returns how duplicates of this page are recognised. Answers to anything but a plain GET are not compared,
    /// since such an answer is not the page of its URL.
    pub fn naming(&self, by: Naming) -> Naming {
        // A URL that is requested again by `Request::again` gives another page, even if the content is the same.
        let content = by.content && !self.marks.again;
        if self.is_plain() { Naming { content, ..by } } else { Naming::default() }
    }

    /// Returns whether the URL was requested by a GET without a body.
    pub fn is_plain(&self) -> bool {
        is_plain(self.options.as_deref())
    }

    /// Returns the facts of the page that do not come from its answer.
    pub fn facts(&self, user_agent: &Arc<str>) -> PageFacts {
        PageFacts {
            requested_url: self.requested_url.clone(),
            depth: self.record.depth,
            attempts: self.attempts,
            referrer: self.referrer.clone(),
            user_agent: user_agent.clone(),
            session: self.session().map(Into::into),
            known_hash: self.record.validators.as_ref().and_then(|known| known.body_hash),
            is_repeated: self.is_repeated,
        }
    }

    /// Returns the facts of the fetch that the store keeps. If the answer is a 304, the validators of the request
    /// stay valid. Validators are read only if the crawl keeps a history.
    pub fn fetched(&self, answer: &Answer, keeps_history: bool) -> Fetched {
        let body_bytes = answer.body.len() as u64;
        if !keeps_history {
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
