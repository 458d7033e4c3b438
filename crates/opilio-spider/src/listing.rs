//! Reads sitemaps: makes records for the URLs that a sitemap or a robots.txt lists.
//!
//! A small compressed file may list many URLs, so decompression and reading run on another thread than the shard's.
//! If a file is broken, the entries before the broken place are used, and the URL of the file ends as a failure.

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

/// A file that lists URLs (a sitemap or a robots.txt), with the facts that the records of these URLs need.
pub struct List<Step> {
    /// The way in which the file is read: as a sitemap or as a robots.txt.
    pub reads: Reads,
    /// The URL of the file.
    pub url: Url,
    /// The host of that URL.
    pub host: Host,
    /// The scheme of that URL.
    pub scheme: Scheme,
    /// The depth of the URLs that the file lists.
    pub depth: u16,
    /// The step of the URLs that the file lists.
    pub step: Step,
    /// The session of the file and of the URLs that it lists.
    pub session: Option<String>,
    /// The fingerprint of the file's record.
    pub fingerprint: Fingerprint,
    /// The body after removal of its `Content-Encoding`. It may still be a gzip file.
    pub body: Bytes,
    /// Whether the file is longer than the limit for bodies, so that its end is missing.
    pub cut: bool,
}

/// The result of reading a sitemap or a robots.txt.
#[derive(Debug, Default)]
pub struct Listing {
    /// The records of the URLs that the file lists.
    pub links: Links,
    /// The reason and the text of the error that stopped the reading; `None` if the end of the file was reached.
    pub broken: Option<(Reason, String)>,
}

impl<Step: Clone> List<Step> {
    /// Reads the file. `Spider::lists` chooses among the listed pages; the scope applies to all entries.
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
            // An entry has the same depth as a seed, since it was not found by following a link.
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

    /// Returns the sitemaps that a robots.txt names. If it names none, returns `/sitemap.xml`, the usual place.
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
                // Some entries were left out. All others were read, so the file does not count as broken.
                Err(error @ SitemapError::Skipped { .. }) => {
                    tracing::warn!(url = %self.url, %error, "a sitemap has entries that cannot be read: these entries are left out");
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

/// Returns the text of the error and of all its causes.
fn words_of(error: &SitemapError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
