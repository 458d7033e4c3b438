//! Sitemaps: an answer in, records for its URLs out.
//!
//! All of it, decompression included, runs on another thread than the shard's, since a small file may list
//! many URLs. Entries before a broken place count. The URL of a broken file ends as a failure.

use bytes::Bytes;
use opilio_core::{Fingerprint, Host, Reason, Scheme};
use opilio_robots::Robots;
use opilio_robots::sitemap::{self, Bounds, SitemapEntryKind, SitemapError};
use url::Url;

use crate::admission::{Converter, Links, Parent};
use crate::data::Reads;
use crate::request::Request;
use crate::scope::Scope;
use crate::spider::Spider;

/// A file that lists URLs, with the facts that their records need.
pub struct List<Step> {
    /// The kind of list.
    pub reads: Reads,
    /// The URL of the file.
    pub url: Url,
    /// Its host.
    pub host: Host,
    /// Its scheme.
    pub scheme: Scheme,
    /// The depth of its entries.
    pub depth: u16,
    /// The step of its entries.
    pub step: Step,
    /// The session of the file and its entries.
    pub session: Option<String>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The file, with its content coding removed. It may still be a gzip file.
    pub body: Bytes,
    /// The file is longer than bodies may be.
    pub cut: bool,
}

/// The result of reading a file.
#[derive(Debug, Default)]
pub struct Listing {
    /// Its entries as records.
    pub links: Links,
    /// The error that ended the reading.
    pub broken: Option<(Reason, String)>,
}

impl<Step: Clone> List<Step> {
    /// Reads the file. The spider chooses among the pages; the crawl's scope applies to all entries.
    pub fn read<S: Spider<Step = Step>>(self, spider: &S, scope: &Scope) -> Listing {
        let mut listing = Listing::default();
        let requests = match self.reads {
            Reads::SitemapsOf => self.sitemaps(),
            Reads::Sitemap { depth } => self.entries(spider, depth, &mut listing),
            Reads::Page => Vec::new(),
        };
        let parent = Parent {
            url: &self.url,
            host: &self.host,
            scheme: self.scheme,
            fingerprint: self.fingerprint,
            reads: self.reads,
            // An entry counts as a seed, since no link led to it.
            links_depth: self.depth,
            session: self.session.as_deref(),
            is_repeated: false,
        };
        let mut converter = Converter::default();
        match converter.links::<S>(requests, Vec::new(), &parent, scope) {
            Ok(admissions) => listing.links = Links { admissions, samples: converter.samples() },
            Err(error) => {
                listing.broken = Some((Reason::ParseError, crate::ParseError::from(error).to_string()))
            }
        }
        listing
    }

    /// The sitemaps that a robots.txt names. If it names none, the usual place.
    fn sitemaps(&self) -> Vec<Request<Step>> {
        let robots = Robots::parse(&self.body, "");
        let named = robots.sitemaps().iter().map(|loc| &**loc);
        let usual = robots.sitemaps().is_empty().then(|| Request::usual_sitemap(self.step.clone()));
        named.map(|loc| Request::sitemap(loc, self.step.clone())).chain(usual).collect()
    }

    fn entries<S: Spider<Step = Step>>(
        &self,
        spider: &S,
        depth: u8,
        listing: &mut Listing,
    ) -> Vec<Request<Step>> {
        let mut requests = Vec::new();
        for entry in sitemap::read(&self.body[..], &Bounds::default()) {
            match entry {
                Ok(entry) if entry.kind == SitemapEntryKind::Sitemap => {
                    requests.push(Request::nested_sitemap(entry.loc, self.step.clone(), depth + 1));
                }
                Ok(entry) if spider.lists(&entry) => {
                    requests.push(Request::get(entry.loc, self.step.clone()));
                }
                Ok(_) => {}
                // The other entries were read.
                Err(error @ SitemapError::Skipped { .. }) => {
                    tracing::warn!(url = %self.url, %error, "a sitemap has entries that cannot be read: they are left out");
                }
                Err(error) => listing.broken = Some((reason_of(&error), words_of(&error))),
            }
        }
        if self.cut {
            let text = "it is larger than a body may be: the entries up to there count".to_owned();
            listing.broken = Some((Reason::BodyTooLarge, text));
        }
        requests
    }
}

fn reason_of(error: &SitemapError) -> Reason {
    match error {
        SitemapError::Io(_) => Reason::Undecodable,
        SitemapError::TooManyBytes { .. } | SitemapError::TooManyEntries { .. } => Reason::BodyTooLarge,
        SitemapError::DecompressionBomb { .. } => Reason::DecompressionBomb,
        _ => Reason::ParseError,
    }
}

/// The error and its causes.
fn words_of(error: &SitemapError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
