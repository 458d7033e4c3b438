//! Tests that kill a real process: afterwards the store has everything that the process reported.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use opilio_core::Timestamp;

use super::{batch, drain, open, whose};
use crate::disk::{DiskFrontier, DiskOptions};
use crate::{Frontier, Settlement};

const DIR: &str = "OPILIO_TEST_KILL_DIR";
const PER_BATCH: usize = 20;
const KILLS: u64 = 8;

/// The program of the process that is killed. Only [`kills_take_nothing_that_was_acknowledged`] starts it.
#[test]
#[ignore = "the victim of another test"]
fn victim() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let dir = Path::new(&dir);
    let options = DiskOptions { memtable_bytes: 1 << 20, ..DiskOptions::default() };
    let mut store = match DiskFrontier::open(dir, options.clone(), whose()) {
        Ok(store) => store,
        Err(crate::FrontierError::Missing { .. }) => DiskFrontier::create(dir, options, whose()).unwrap(),
        Err(error) => panic!("{error}"),
    };
    let mut out = std::io::stdout();
    let mut say = |what: &str, n: usize| writeln!(out, "{what} {n}").and_then(|()| out.flush()).unwrap();
    let mut next = store.stats().discovered as usize / PER_BATCH;
    let mut hosts = Vec::new();
    loop {
        store.admit(batch(next * PER_BATCH..(next + 1) * PER_BATCH)).unwrap();
        say("admitted", next);
        next += 1;
        hosts.extend(store.hosts_ready(Timestamp::EPOCH, 9).unwrap());
        // The process leases as the scheduler does: records of a host until a call of `lease` returns fewer records
        // than wanted.
        hosts.retain(|host| {
            let mut leases = Vec::new();
            let want = crate::Want { host: host.clone(), n: 10 };
            store.lease(&[want], Timestamp::EPOCH, &mut leases).unwrap();
            // The first lease of each host in each turn is not settled, so that some leases are open at the kill.
            let ends = leases.iter().skip(1).map(|lease| Settlement::page(lease.id)).collect();
            store.settle(ends, &[], Timestamp::EPOCH).unwrap();
            for lease in leases.iter().skip(1) {
                let path = lease.record.url.rsplit('/').next().unwrap();
                say("settled", path.parse().unwrap());
            }
            leases.len() == 10
        });
    }
}

#[test]
fn kills_take_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for kill in 0..KILLS {
        let from = if kill % 3 == 0 { From::Start } else { From::FirstAnswer };
        run_and_kill(dir.path(), from, Duration::from_millis(10 + kill * 37 % 150), &mut said);
    }
    let mut store = open(dir.path()).unwrap();
    let stats = store.stats();
    assert!(stats.balances(), "{stats:?}");
    assert!(said.settled.len() > 100, "the victim did not get far: {stats:?}");

    let admitted: BTreeSet<usize> =
        said.admitted.iter().flat_map(|n| n * PER_BATCH..(n + 1) * PER_BATCH).collect();
    assert_eq!(store.admit(batch(admitted.iter().copied())).unwrap().new, 0, "an admission was lost");
    let left: BTreeSet<usize> =
        drain(&mut store).iter().map(|url| url.rsplit('/').next().unwrap().parse().unwrap()).collect();
    assert_eq!(left.len() as u64, stats.left, "a record was leased twice");
    assert!(left.is_disjoint(&said.settled), "a settled page came back");
    let unsaid = admitted.iter().filter(|n| !left.contains(n) && !said.settled.contains(n)).count();
    assert!(unsaid as u64 <= KILLS * 10, "{unsaid} ended that nobody settled");
}

#[derive(Default)]
struct Said {
    admitted: BTreeSet<usize>,
    settled: BTreeSet<usize>,
}

/// The event from which the time until the kill is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// The start of the process, so that the process may be killed before it has opened the store.
    Start,
    FirstAnswer,
}

fn run_and_kill(dir: &Path, from: From, after: Duration, said: &mut Said) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "disk::tests::kill::victim"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (lines, answers) = mpsc::channel();
    let out = BufReader::new(victim.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    let mut heard = Vec::new();
    while from == From::FirstAnswer && !heard.last().is_some_and(|line: &String| line.starts_with("admitted"))
    {
        heard.push(answers.recv_timeout(Duration::from_secs(30)).unwrap());
    }
    std::thread::sleep(after);
    victim.kill().unwrap();
    victim.wait().unwrap();
    reader.join().unwrap();
    for line in heard.into_iter().chain(answers) {
        let Some((what, Ok(n))) = line.split_once(' ').map(|(what, n)| (what, n.parse())) else { continue };
        match what {
            "admitted" => said.admitted.insert(n),
            "settled" => said.settled.insert(n),
            _ => false,
        };
    }
}
