//! A synthetic site on loopback addresses, in a process of its own. The content of a page depends only on its host
//! and its number.
//!
//! Host `h` has the address 127.0.0.1 + h, and each page `p` has one URL. All pages can be reached from page 0 of
//! host 0. The process reads commands from standard input, one word per line: `reset` sets the counts of requests to
//! 0, `stats` prints the counts, and `arrivals` prints the times of the requests. The process ends when its input is
//! closed, so it never outlives its parent process.

mod page;
mod server;

use std::net::Ipv4Addr;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::args::Args;

pub(crate) use page::{Pages, sku};

/// The number of hosts of a site, and the number and size of its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct SitePlan {
    /// The number of hosts of the site.
    pub(crate) hosts: usize,
    /// The number of pages on each host.
    pub(crate) pages: usize,
    /// The approximate size of a page, in bytes.
    pub(crate) bytes: usize,
    /// The number of links on a page, duplicates included.
    pub(crate) links: usize,
    /// The time in milliseconds by which each answer is delayed.
    pub(crate) latency_ms: u64,
    /// Whether pages are sent compressed to clients that accept gzip.
    pub(crate) gzip: bool,
    /// If true, the site writes each page once, before the first request, and keeps it in memory.
    pub(crate) kept: bool,
    /// The number of threads that answer requests.
    pub(crate) threads: usize,
    /// If true, the site records the time of each request.
    pub(crate) timed: bool,
}

impl SitePlan {
    /// Returns a plan with this many hosts, this many pages on each host, and pages of 20 kB.
    pub(crate) const fn new(hosts: usize, pages: usize) -> Self {
        Self {
            hosts,
            pages,
            bytes: 20_000,
            links: 33,
            latency_ms: 0,
            gzip: false,
            kept: false,
            threads: 2,
            timed: false,
        }
    }

    /// Returns the number of pages on all hosts together.
    pub(crate) fn all(&self) -> usize {
        self.hosts * self.pages
    }

    /// Returns this plan as the arguments from which [`run`] reads it.
    pub(crate) fn to_args(self) -> Vec<String> {
        let number = |name: &str, value: usize| [name.to_owned(), value.to_string()];
        [
            number("--hosts", self.hosts),
            number("--pages", self.pages),
            number("--bytes", self.bytes),
            number("--links", self.links),
            number("--latency-ms", self.latency_ms as usize),
            number("--gzip", self.gzip.into()),
            number("--kept", self.kept.into()),
            number("--threads", self.threads),
            number("--timed", self.timed.into()),
        ]
        .concat()
    }

    /// Reads a plan from arguments.
    ///
    /// # Errors
    /// When an argument is unknown or out of range.
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
                "--kept" => plan.kept = args.value::<u8>()? != 0,
                "--threads" => plan.threads = args.value()?,
                "--timed" => plan.timed = args.value::<u8>()? != 0,
                other => bail!("bench-site has no argument {other}"),
            }
        }
        ensure!((1..=HOSTS_MAX).contains(&plan.hosts), "--hosts must be 1 to {HOSTS_MAX}");
        ensure!(plan.pages > 0 && plan.threads > 0, "--pages and --threads must be at least 1");
        ensure!(plan.links > CHILDREN + CHILD_HOSTS, "--links is more than {}", CHILDREN + CHILD_HOSTS);
        Ok(plan)
    }
}

/// The counts of requests to a site since its last reset.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// The number of pages that were requested at least once.
    pub(crate) distinct: usize,
    /// The number of requests for pages that had been requested before.
    pub(crate) duplicates: u64,
    /// The number of requests for pages that do not exist.
    pub(crate) not_found: u64,
    /// The number of requests for a robots.txt.
    pub(crate) robots: u64,
    /// The number of connections that the site accepted.
    pub(crate) connections: u64,
    /// The number of requests for pages that are being answered now.
    pub(crate) in_flight: u64,
    /// The CPU time, in seconds, that the site's process has used since its last reset.
    pub(crate) cpu_s: f64,
}

/// Returns the URL of the page with this number on this host.
pub(crate) fn url(port: u16, host: usize, page: usize) -> String {
    format!("http://{}:{port}{}", address(host), path(page))
}

/// Returns the host and the number of the page that has this URL. Returns `None` if no page can have this URL.
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

/// Runs a site until standard input is closed.
///
/// # Errors
/// When an argument is wrong, or when the site cannot listen on its port.
pub(crate) fn run(args: &[String]) -> Result<()> {
    server::run(SitePlan::read(args)?)
}

const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const HOSTS_MAX: usize = 65_000;
/// The number of pages that have the same folder in the path of their URLs.
const SHELF: usize = 40;
/// The number of pages of the same host that the first links of a page lead to, so that all pages can be reached.
const CHILDREN: usize = 5;
/// The number of other hosts that the first links of page 0 of each host lead to, so that all hosts can be reached.
const CHILD_HOSTS: usize = 4;
