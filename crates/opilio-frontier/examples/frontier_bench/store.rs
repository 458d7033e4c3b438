//! The workloads of the benchmark for the stores. Each workload runs in a process of its own.

use std::path::Path;
use std::time::Instant;

use opilio_core::Timestamp;
use opilio_frontier::{
    Admission, DiskFrontier, DiskOptions, Frontier, MemoryFrontier, Settlement, StoreOwner, Want,
};

use crate::measure::{Meter, cpu, files, status};
use crate::web::{BATCH, Web};
use crate::{HOSTS_A_COMMIT, LEASED, Result, say};

fn whose() -> StoreOwner {
    StoreOwner { spider: "bench".to_owned(), version: 1 }
}

/// Admits all URLs, prints that this is done, and goes on admitting until the process is killed.
pub(crate) fn fill(web: &Web, batches: usize, dir: &Path) -> Result<()> {
    let mut store = DiskFrontier::create(dir, DiskOptions::default(), whose())?;
    admit_new(web, batches, &mut store)?;
    say("bytes", files(dir)? as f64);
    say("resident", status("VmRSS:") as f64);
    admit_known(web, batches, &mut store)?;
    say("peak", status("VmHWM:") as f64);
    say("filled", store.stats().left as f64);
    for batch in batches.. {
        store.admit(web.batch(batch).map(Admission::Queue).collect())?;
    }
    Ok(())
}

/// Opens the store of a killed process and leases one URL, to measure how long opening takes.
pub(crate) fn reopen(dir: &Path) -> Result<DiskFrontier> {
    let (start, wall) = (cpu(), Instant::now());
    let mut store = DiskFrontier::open(dir, DiskOptions::default(), whose())?;
    let opened = wall.elapsed();
    say("open", (cpu().saturating_sub(start)).as_secs_f64());
    let hosts = store.hosts_ready(Timestamp::EPOCH, 1)?;
    let mut leases = Vec::new();
    let wants: Vec<_> = hosts.into_iter().map(|host| Want { host, n: 1 }).collect();
    store.lease(&wants, Timestamp::EPOCH, &mut leases)?;
    say("first", (wall.elapsed() - opened).as_secs_f64());
    if leases.len() != 1 {
        return Err("nothing was leased".into());
    }
    Ok(store)
}

/// Opens the store of a killed process and admits links that it knows already, while its caches are still empty.
pub(crate) fn cold(web: &Web, batches: usize, dir: &Path) -> Result<()> {
    let mut store = reopen(dir)?;
    let mut cold = Meter::start();
    for batch in 0..batches {
        let batch = cold.aside(|| web.batch(batch).map(Admission::Queue).collect());
        store.admit(batch)?;
    }
    say("cold", cold.stop());
    Ok(())
}

/// Opens the store, and leases and settles all its URLs.
pub(crate) fn lease(dir: &Path) -> Result<()> {
    let mut store = DiskFrontier::open(dir, DiskOptions::default(), whose())?;
    let left = store.stats().left;
    // Waits for the background work that opening caused, so that it does not count towards the leases.
    Meter::start().stop();
    drain(&mut store)?;
    say("leased", left as f64);
    let stats = store.stats();
    if !stats.balances() || stats.pages != left {
        return Err(format!("the books do not balance: {stats:?}").into());
    }
    Ok(())
}

/// Measures the same workload with the store in memory.
pub(crate) fn memory(web: &Web, batches: usize) -> Result<()> {
    let mut store = MemoryFrontier::new();
    let before = status("VmRSS:");
    admit_new(web, batches, &mut store)?;
    say("bytes", (status("VmRSS:") - before) as f64 * 1024.0);
    admit_known(web, batches, &mut store)?;
    drain(&mut store)
}

/// Measures the memory of an idle host, with caches too small to matter.
pub(crate) fn idle(web: &Web, dir: &Path) -> Result<()> {
    let small = DiskOptions {
        cache_bytes: 1 << 20,
        memtable_bytes: 1 << 20,
        recent_bytes: 64,
        ahead_bytes_max: 0,
        ..DiskOptions::default()
    };
    let mut store = DiskFrontier::create(dir, small, whose())?;
    let mut before = 0;
    for (n, hosts) in web.hosts.chunks(BATCH).enumerate() {
        let first = n * BATCH;
        let batch = (first..first + hosts.len()).map(|host| Admission::Queue(web.seed(host)));
        store.admit(batch.collect())?;
        let mut leases = Vec::new();
        let wants: Vec<_> = hosts.iter().map(|host| Want { host: host.clone(), n: 2 }).collect();
        store.lease(&wants, Timestamp::EPOCH, &mut leases)?;
        let ends = leases.iter().map(|lease| Settlement::page(lease.id)).collect();
        store.settle(ends, &[], Timestamp::EPOCH)?;
        if n == 0 {
            before = status("VmRSS:");
        }
    }
    let hosts = web.hosts.len().saturating_sub(BATCH).max(1);
    say("bytes", (status("VmRSS:") - before) as f64 * 1024.0 / hosts as f64);
    Ok(())
}

/// Admits links that the store does not know, and prints the CPU time that this took.
fn admit_new(web: &Web, batches: usize, store: &mut dyn Frontier) -> Result<()> {
    let mut meter = Meter::start();
    for batch in 0..batches {
        let batch = meter.aside(|| web.batch(batch).map(Admission::Queue).collect());
        store.admit(batch)?;
    }
    say("new", meter.stop());
    Ok(())
}

/// Admits as many links that the store knows already, and prints the CPU time that this took.
fn admit_known(web: &Web, batches: usize, store: &mut dyn Frontier) -> Result<()> {
    let mut meter = Meter::start();
    for batch in 0..batches {
        let known = || web.known(batch, batches).map(|(_, record)| Admission::Queue(record)).collect();
        let batch = meter.aside(known);
        store.admit(batch)?;
    }
    say("known", meter.stop());
    Ok(())
}

/// Leases some URLs of each host in turn, for a few hosts in one call, and settles them as pages.
fn drain(store: &mut dyn Frontier) -> Result<()> {
    let meter = Meter::start();
    let mut hosts = store.hosts_ready(Timestamp::EPOCH, usize::MAX)?;
    while !hosts.is_empty() {
        let mut busy = Vec::new();
        for some in hosts.chunks(HOSTS_A_COMMIT) {
            let wants: Vec<_> = some.iter().map(|host| Want { host: host.clone(), n: LEASED }).collect();
            let mut leases = Vec::new();
            store.lease(&wants, Timestamp::EPOCH, &mut leases)?;
            let mut left = leases.iter().peekable();
            for Want { host, n } in wants {
                let got = std::iter::from_fn(|| left.next_if(|lease| lease.record.host == host)).count();
                if got == n {
                    busy.push(host);
                }
            }
            let ends = leases.iter().map(|lease| Settlement::page(lease.id)).collect();
            store.settle(ends, &[], Timestamp::EPOCH)?;
        }
        hosts = busy;
    }
    say("lease", meter.stop());
    Ok(())
}
