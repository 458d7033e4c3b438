//! A synthetic site on loopback, in its own process: every page follows from its host and number.
//!
//! Host `h` is the address 127.0.0.1 + h, page `p` has one URL. All pages can be reached from page 0 of host
//! 0. Commands come on standard input, one word per line: `reset` forgets the requests so far, `stats` prints
//! them. The process ends with its input, so it never outlives its parent.

mod page;
mod server;

use std::net::Ipv4Addr;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::args::Args;

pub(crate) use page::{Pages, sku};

/// The shape of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Plan {
    /// Addresses that pages are at.
    pub(crate) hosts: usize,
    /// Pages of each host.
    pub(crate) pages: usize,
    /// About how large a page is.
    pub(crate) bytes: usize,
    /// Links of a page, duplicates included.
    pub(crate) links: usize,
    /// How long each answer takes, beside the work.
    pub(crate) latency_ms: u64,
    /// Whether pages are compressed for clients that accept it.
    pub(crate) gzip: bool,
}

impl Plan {
    /// A site with this many hosts and pages of 20 kB per host.
    pub(crate) const fn new(hosts: usize, pages: usize) -> Self {
        Self { hosts, pages, bytes: 20_000, links: 33, latency_ms: 0, gzip: false }
    }

    /// Pages in all.
    pub(crate) fn all(&self) -> usize {
        self.hosts * self.pages
    }

    /// The arguments that [`run`] reads as this plan.
    pub(crate) fn to_args(self) -> Vec<String> {
        let number = |name: &str, value: usize| [name.to_owned(), value.to_string()];
        [
            number("--hosts", self.hosts),
            number("--pages", self.pages),
            number("--bytes", self.bytes),
            number("--links", self.links),
            number("--latency-ms", self.latency_ms as usize),
            number("--gzip", self.gzip.into()),
        ]
        .concat()
    }

    /// Reads the arguments.
    ///
    /// # Errors
    /// When they are off.
    fn read(args: &[String]) -> Result<Self> {
        let mut plan = Self::new(1, 1_000);
        let mut args = Args::new(args);
        while let Some(name) = args.name() {
            match name {
                "--hosts" => plan.hosts = args.value()?,
                "--pages" => plan.pages = args.value()?,
                "--bytes" => plan.bytes = args.value()?,
                "--links" => plan.links = args.value()?,
                "--latency-ms" => plan.latency_ms = args.value()?,
                "--gzip" => plan.gzip = args.value::<u8>()? != 0,
                other => bail!("bench-site knows no {other}"),
            }
        }
        ensure!((1..=HOSTS_MAX).contains(&plan.hosts), "--hosts is 1 to {HOSTS_MAX}");
        ensure!(plan.pages > 0, "--pages is 0");
        ensure!(plan.links > CHILDREN + CHILD_HOSTS, "--links is more than {}", CHILDREN + CHILD_HOSTS);
        Ok(plan)
    }
}

/// The requests to a site since its last reset.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// Pages that were requested at least once.
    pub(crate) distinct: usize,
    /// Requests for a page beyond its first.
    pub(crate) duplicates: u64,
    /// Requests for missing pages.
    pub(crate) not_found: u64,
    /// Requests for a robots.txt.
    pub(crate) robots: u64,
    /// Connections that were accepted.
    pub(crate) connections: u64,
    /// Pages that are being answered just now.
    pub(crate) in_flight: u64,
    /// CPU seconds of the site's process since it was reset.
    pub(crate) cpu_s: f64,
}

/// The URL of a page.
pub(crate) fn url(port: u16, host: usize, page: usize) -> String {
    format!("http://{}:{port}{}", address(host), path(page))
}

/// The page of a URL.
pub(crate) fn locate(url: &str) -> Option<(usize, usize)> {
    let (authority, rest) = url.strip_prefix("http://")?.split_once('/')?;
    let address: Ipv4Addr = authority.split_once(':')?.0.parse().ok()?;
    let rest = rest.split('#').next()?;
    Some((host_of(address)?, page_of(&format!("/{rest}"))?))
}

fn address(host: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST.to_bits() + u32::try_from(host).unwrap_or(0))
}

fn host_of(address: Ipv4Addr) -> Option<usize> {
    address.to_bits().checked_sub(FIRST.to_bits()).map(|host| host as usize)
}

fn path(page: usize) -> String {
    if page == 0 { "/".to_owned() } else { format!("/shelf-{}/entry-{page}.html", page / SHELF) }
}

fn page_of(path: &str) -> Option<usize> {
    if path == "/" {
        return Some(0);
    }
    let (shelf, entry) = path.strip_prefix("/shelf-")?.split_once("/entry-")?;
    let (shelf, page): (usize, usize) = (shelf.parse().ok()?, entry.strip_suffix(".html")?.parse().ok()?);
    (page > 0 && page / SHELF == shelf).then_some(page)
}

/// Runs a site until standard input ends.
///
/// # Errors
/// When the arguments are off or nothing can be listened on.
pub(crate) fn run(args: &[String]) -> Result<()> {
    server::run(Plan::read(args)?)
}

const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const HOSTS_MAX: usize = 65_000;
/// Pages of one folder.
const SHELF: usize = 40;
/// Pages of its host that each page leads to first, so that all are reached.
const CHILDREN: usize = 5;
/// Hosts that page 0 of each host leads to first.
const CHILD_HOSTS: usize = 4;
