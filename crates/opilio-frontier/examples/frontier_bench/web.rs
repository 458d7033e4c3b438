//! The synthetic web of the benchmark: each page has 50 links, whose paths have 48 bytes; four of five links lead to
//! the page's own host.

use opilio_core::{Fingerprint, Host, Record, Scheme};
use url::Url;

use crate::Result;

pub(crate) const LINKS_PER_PAGE: usize = 50;
/// The number of pages whose links are admitted in one batch, as in a busy crawl.
pub(crate) const PAGES_PER_BATCH: usize = 20;
pub(crate) const BATCH: usize = LINKS_PER_PAGE * PAGES_PER_BATCH;
/// The number of links that all pages of one host have in common, like the navigation of a real site.
const EVERYWHERE: usize = LINKS_PER_PAGE / 2;

pub(crate) struct Web {
    pub(crate) hosts: Vec<Host>,
}

impl Web {
    pub(crate) fn of(hosts: usize) -> Result<Self> {
        Ok(Self { hosts: (0..hosts).map(host).collect::<Result<_>>()? })
    }

    /// Returns the nth batch of links. No earlier batch has any of these links.
    pub(crate) fn batch(&self, batch: usize) -> impl Iterator<Item = Record> {
        self.numbered(batch).map(|(_, record)| record)
    }

    /// Returns a URL of this host that differs from all other URLs of the synthetic web.
    pub(crate) fn seed(&self, host: usize) -> Record {
        let url = format!("http://{}/", self.hosts[host]);
        record(url, self.hosts[host].clone())
    }

    /// Returns the nth batch of links, with the numbers of their hosts.
    pub(crate) fn numbered(&self, batch: usize) -> impl Iterator<Item = (u32, Record)> {
        let pages = batch * PAGES_PER_BATCH..(batch + 1) * PAGES_PER_BATCH;
        pages.flat_map(move |page| (0..LINKS_PER_PAGE).map(move |link| self.record(page, link)))
    }

    /// Returns a batch of links that are known after `batches` batches were admitted. Half of the links of a page are
    /// the same for each page of its host; the other links of the page are chosen among all known links.
    pub(crate) fn known(&self, batch: usize, batches: usize) -> impl Iterator<Item = (u32, Record)> {
        let pages = batches * PAGES_PER_BATCH;
        (batch * PAGES_PER_BATCH..(batch + 1) * PAGES_PER_BATCH).flat_map(move |page| {
            (0..LINKS_PER_PAGE).map(move |link| {
                let first = page % self.hosts.len().min(pages);
                let any = (page * LINKS_PER_PAGE + link).wrapping_mul(0x9E37_79B9_7F4A_7C15) % pages;
                self.record(if link < EVERYWHERE { first } else { any }, link)
            })
        })
    }

    /// Returns a link of a page, and the number of the host that the link leads to. Four of five links lead to the
    /// page's own host, and the other links are spread over all hosts.
    fn record(&self, page: usize, link: usize) -> (u32, Record) {
        let n = page * LINKS_PER_PAGE + link;
        let scattered = n.wrapping_mul(2_654_435_761) % self.hosts.len();
        let number = if link.is_multiple_of(5) { scattered } else { page % self.hosts.len() };
        let host = &self.hosts[number];
        let url = format!("http://{host}/products/category-{:04}/item-{n:010}/overview", page % 10_000);
        let record = record(url, host.clone());
        (number as u32, record)
    }
}

fn record(url: String, host: Host) -> Record {
    let fingerprint = Fingerprint::of_canonical(&url);
    Record { depth: 1, ..Record::new(url, fingerprint, host, Scheme::Http) }
}

fn host(n: usize) -> Result<Host> {
    Ok(Host::of(&Url::parse(&format!("http://www.shop-{n:06}.example/"))?)?)
}
