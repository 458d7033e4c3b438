//! The stores, measured each in a process of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use opilio_core::Timestamp;
use opilio_frontier::{
    Admission, DiskFrontier, DiskOptions, Frontier, Identity, MemoryFrontier, Settlement, Want,
};

use crate::measure::{cpu, files, settle_down, status, timed};
use crate::web::{BATCH, Web};
use crate::{LEASED, Result, say};

fn whose() -> Identity {
    Identity { spider: "bench".to_owned(), version: 1 }
}

/// Admits everything, says so, and goes on admitting until it is killed.
pub(crate) fn fill(web: &Web, batches: usize, dir: &Path) -> Result<()> {
    let mut store = DiskFrontier::create(dir, DiskOptions::default(), whose())?;
    let mut new = Duration::ZERO;
    for batch in 0..batches {
        admit(&mut store, web.batch(batch), &mut new)?;
    }
    say("peak", status("VmHWM:") as f64);
    settle_down(&mut new);
    say("new", new.as_secs_f64());
    say("bytes", files(dir)? as f64);
    say("resident", status("VmRSS:") as f64);
    let mut known = Duration::ZERO;
    for batch in 0..batches {
        admit(&mut store, web.known(batch, batches).map(|(_, record)| record), &mut known)?;
    }
    say("known", known.as_secs_f64());
    say("filled", store.stats().left as f64);
    for batch in batches.. {
        admit(&mut store, web.batch(batch), &mut new)?;
    }
    Ok(())
}

/// Opens what was killed and leases one URL.
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

/// Opens what was killed, meets known links, and fetches everything.
pub(crate) fn rest(web: &Web, batches: usize, dir: &Path) -> Result<()> {
    let mut store = reopen(dir)?;
    let mut cold = Duration::ZERO;
    for batch in 0..batches {
        admit(&mut store, web.batch(batch), &mut cold)?;
    }
    say("cold", cold.as_secs_f64());
    drop(store);
    // Nothing of what was told before counts as told: everything is there to be leased.
    let mut store = DiskFrontier::open(dir, DiskOptions::default(), whose())?;
    let left = store.stats().left;
    let mut leased = Duration::ZERO;
    settle_down(&mut Duration::default());
    drain(&mut store, &mut leased)?;
    say("lease", leased.as_secs_f64());
    say("leased", left as f64);
    let stats = store.stats();
    if !stats.balances() || stats.pages != left {
        return Err(format!("the books do not balance: {stats:?}").into());
    }
    Ok(())
}

/// The same with the memory store.
pub(crate) fn memory(web: &Web, batches: usize) -> Result<()> {
    let mut store = MemoryFrontier::new();
    let (mut new, mut known, mut leased) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let before = status("VmRSS:");
    for batch in 0..batches {
        admit(&mut store, web.batch(batch), &mut new)?;
    }
    say("new", new.as_secs_f64());
    say("bytes", (status("VmRSS:") - before) as f64 * 1024.0);
    for batch in 0..batches {
        admit(&mut store, web.known(batch, batches).map(|(_, record)| record), &mut known)?;
    }
    say("known", known.as_secs_f64());
    drain(&mut store, &mut leased)?;
    say("lease", leased.as_secs_f64());
    Ok(())
}

/// What a host takes that has nothing to do, beside caches too small to matter.
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

fn admit(
    store: &mut dyn Frontier,
    records: impl Iterator<Item = opilio_core::Record>,
    spent: &mut Duration,
) -> Result<()> {
    let batch = records.map(Admission::Queue).collect();
    timed(spent, || store.admit(batch))?;
    Ok(())
}

/// Leases some URLs a host in turn and settles them as pages, 16 hosts a call.
fn drain(store: &mut dyn Frontier, spent: &mut Duration) -> Result<()> {
    let start = cpu();
    let mut hosts = store.hosts_ready(Timestamp::EPOCH, usize::MAX)?;
    while !hosts.is_empty() {
        let mut busy = Vec::new();
        for some in hosts.chunks(16) {
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
    *spent += cpu().saturating_sub(start);
    settle_down(spent);
    Ok(())
}
