//! Measures the cost of the store in memory: time per URL admitted, known, leased and settled, and bytes per
//! URL.
//!
//! `cargo run --release -p opilio-frontier --example cost -- [URLS] [HOSTS]`
//!
//! Each page has 50 links, whose paths have 48 bytes; four of five links lead to the page's own host. Only the calls
//! of the store are timed. Bytes are counted twice: those that the store got from the allocator, and those by which
//! the process grew.

#![allow(clippy::print_stdout, reason = "an example's output")]

use std::alloc::System;
use std::error::Error;
use std::time::{Duration, Instant};

use opilio_core::{Fingerprint, Host, Record, Scheme, Timestamp};
use opilio_frontier::{Admission, Frontier, MemoryFrontier, Settlement, Want};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use url::Url;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LINKS_PER_PAGE: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let urls: usize = args.next().map_or(Ok(1_000_000), |arg| arg.parse())?;
    let hosts: usize = args.next().map_or(Ok(10_000), |arg| arg.parse())?;
    let hosts: Vec<Host> = (0..hosts).map(host).collect::<Result<_, _>>()?;
    let pages = urls / LINKS_PER_PAGE;

    let region = Region::new(ALLOCATOR);
    let resident = resident_bytes();
    let mut store = MemoryFrontier::new();
    let new = admit(&mut store, &hosts, pages)?;
    let held = region.change();
    let held = held.bytes_allocated - held.bytes_deallocated;
    let grown = resident_bytes() as i64 - resident as i64;
    let queued = store.stats().left;
    println!("{queued} URLs queued on {} hosts", store.stats().hosts);
    print("admit, new", new, queued);
    print("admit, known", admit(&mut store, &hosts, pages)?, queued);
    println!("{:<16} {:>7.1} bytes a URL", "heap", held as f64 / queued as f64);
    println!("{:<16} {:>7.1} bytes a URL", "resident", grown as f64 / queued as f64);

    let (lease, settle) = drain(&mut store)?;
    print("lease", lease, queued);
    print("settle", settle, queued);
    let stats = store.stats();
    println!("{} pages, {} left, books balance: {}", stats.pages, stats.left, stats.balances());
    let held = region.change();
    let held = held.bytes_allocated - held.bytes_deallocated;
    println!("{:<16} {:>7.1} bytes a settled URL", "heap", held as f64 / queued as f64);
    Ok(())
}

/// Admits the links of every page, one batch for each page. Returns the time that the store needed.
fn admit(store: &mut MemoryFrontier, hosts: &[Host], pages: usize) -> Result<Duration, Box<dyn Error>> {
    let mut spent = Duration::ZERO;
    for page in 0..pages {
        let batch: Vec<_> =
            (0..LINKS_PER_PAGE).map(|link| Admission::Queue(record(hosts, page, link))).collect();
        let start = Instant::now();
        store.admit(batch)?;
        spent += start.elapsed();
    }
    Ok(spent)
}

/// Leases 16 URLs of each host in turn and settles them as pages. Returns two times: that of the leases and that of
/// the settlements.
fn drain(store: &mut MemoryFrontier) -> Result<(Duration, Duration), Box<dyn Error>> {
    let (mut lease, mut settle) = (Duration::ZERO, Duration::ZERO);
    let mut hosts = store.hosts_ready(Timestamp::EPOCH, usize::MAX)?;
    let mut leases = Vec::new();
    while !hosts.is_empty() {
        let mut busy = Vec::with_capacity(hosts.len());
        for host in hosts {
            let want = Want { host, n: 16 };
            let start = Instant::now();
            store.lease(std::slice::from_ref(&want), Timestamp::EPOCH, &mut leases)?;
            lease += start.elapsed();
            if leases.len() == want.n {
                busy.push(want.host);
            }
            let ends = leases.drain(..).map(|lease| Settlement::page(lease.id)).collect();
            let start = Instant::now();
            store.settle(ends, &[], Timestamp::EPOCH)?;
            settle += start.elapsed();
        }
        hosts = busy;
    }
    Ok((lease, settle))
}

fn record(hosts: &[Host], page: usize, link: usize) -> Record {
    // Four links of five stay on the page's host. The other links are spread over all hosts.
    let n = page * LINKS_PER_PAGE + link;
    let host =
        if link.is_multiple_of(5) { n.wrapping_mul(2_654_435_761) % hosts.len() } else { page % hosts.len() };
    let host = &hosts[host];
    let url = format!("http://{host}/products/category-{:04}/item-{n:010}/overview", page % 10_000);
    // Spreads the numbers like a hash. The real hash is not computed, because its cost is not part of the store's
    // cost.
    let high = (n as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let low = high.rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    Record {
        depth: 1,
        ..Record::new(url, Fingerprint(u128::from(high) << 64 | u128::from(low)), host.clone(), Scheme::Http)
    }
}

fn host(n: usize) -> Result<Host, Box<dyn Error>> {
    Ok(Host::of(&Url::parse(&format!("http://www.shop-{n:06}.example/"))?)?)
}

/// Returns the resident memory of the process in bytes, or 0 where the system has no `/proc`.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn print(what: &str, spent: Duration, urls: u64) {
    println!("{what:<16} {:>7.1} ns a URL", spent.as_nanos() as f64 / urls as f64);
}
