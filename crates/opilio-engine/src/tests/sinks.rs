//! Tests of sinks that block on the exporter's thread. At a normal end the crawl waits for them, but not if it is
//! ordered to end.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use opilio_core::{HostPolicy, per_second};
use opilio_export::{Collect, Collected, Encoder, Export, ExportError, JsonLines, Sink};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::{List, crawler, page, urls, web};
use crate::{CrawlReport, Crawler, Stopped};

/// A gate: a sink waits at it until the test opens it.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Stand>, Condvar)>);

#[derive(Default)]
struct Stand {
    is_open: bool,
    /// Whether the sink has reached the gate.
    was_reached: bool,
}

impl Gate {
    fn pass(&self) {
        let (stand, changed) = &*self.0;
        let mut stand = stand.lock().unwrap();
        stand.was_reached = true;
        changed.notify_all();
        drop(changed.wait_while(stand, |stand| !stand.is_open).unwrap());
    }

    fn open(&self) {
        let (stand, changed) = &*self.0;
        stand.lock().unwrap().is_open = true;
        changed.notify_all();
    }

    fn until_reached(&self) {
        let (stand, changed) = &*self.0;
        drop(changed.wait_while(stand.lock().unwrap(), |stand| !stand.was_reached).unwrap());
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum At {
    Append,
    Flush,
    Sync,
}

/// A sink that keeps its rows in memory, and that waits at the gate in one of its calls.
struct Gated {
    rows: Box<dyn Sink>,
    at: At,
    gate: Gate,
    /// Whether the sink has received a row. Before that it is flushed once, and does not wait at the gate then.
    has_rows: bool,
}

fn gated(at: At) -> (Gated, Gate, Collected) {
    let (collect, collected) = Collect::new();
    let rows = Export::<String>::into_sink(Box::new(collect)).unwrap();
    let gate = Gate::default();
    (Gated { rows, at, gate: gate.clone(), has_rows: false }, gate, collected)
}

impl Gated {
    fn pass(&self, at: At) {
        if self.at == at && self.has_rows {
            self.gate.pass();
        }
    }
}

impl Sink for Gated {
    fn name(&self) -> Arc<str> {
        "gated".into()
    }
    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        self.rows.begin(position)
    }
    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError> {
        self.has_rows = true;
        self.pass(At::Append);
        self.rows.append(rows)
    }
    fn flush(&mut self) -> Result<u64, ExportError> {
        self.pass(At::Flush);
        self.rows.flush()
    }
    fn sync(&mut self) -> Result<u64, ExportError> {
        self.pass(At::Sync);
        self.rows.sync()
    }
}

impl Export<String> for Gated {
    fn encoder(&self) -> Box<dyn Encoder<String>> {
        JsonLines::to_writer(std::io::sink()).encoder()
    }
    fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError> {
        Ok(self)
    }
}

fn crawl(pages: usize, sink: Gated) -> Crawler<List> {
    crawler(List(urls("a.example", pages).collect()))
        .host(HostPolicy::new().rate(per_second(100)).in_flight(8))
        .export(sink)
        .transport(web(|_, _, _| page()))
}

/// Runs a crawl in virtual time, with its sinks on another thread. The gate opens after an hour.
fn run(crawler: Crawler<List>, gate: Gate) -> (CrawlReport, Duration) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (report, took) = LocalSet::new().block_on(&runtime, async move {
        let began = Instant::now();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(HOUR).await;
            gate.open();
        });
        (crawler.sinks_apart().run_here().await, began.elapsed())
    });
    (report.unwrap(), took)
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn an_orderly_end_waits_for_a_sink_that_blocks_and_loses_nothing() {
    for at in [At::Append, At::Flush, At::Sync] {
        let (sink, gate, collected) = gated(at);
        let (report, took) = run(crawl(40, sink), gate);
        assert!(took >= HOUR, "{at:?}: {took:?}");
        assert_eq!((report.pages, report.left, report.stopped), (40, 0, Stopped::Finished), "{at:?}");
        assert_eq!((collected.items::<String>().unwrap().len(), report.unwritten), (40, None), "{at:?}");
    }
}

#[test]
fn a_limit_of_the_crawl_waits_for_it_too_and_everything_fetched_is_written() {
    for at in [At::Append, At::Flush, At::Sync] {
        let (sink, gate, collected) = gated(at);
        // A page that is parsed and not settled still counts as in flight, so the number of pages that wait is
        // limited.
        let (report, took) = run(crawl(2_000, sink).max_duration(Duration::from_secs(6)), gate);
        assert!(took >= HOUR, "{at:?}: {took:?}");
        let ends = (report.stopped, report.unwritten.clone());
        assert_eq!(ends, (Stopped::MaxDuration, None), "{at:?}");
        assert!(report.balances() && report.pages >= 60 && report.left > 0, "{at:?}: {report:?}");
        assert_eq!(report.pages, report.requests, "{at:?}: each page that was fetched");
        assert_eq!(collected.items::<String>().unwrap().len() as u64, report.pages, "{at:?}");
    }
}

#[test]
fn an_order_to_stop_ends_the_waiting_and_the_report_says_what_was_not_written() {
    for (at, all_written) in [(At::Append, false), (At::Flush, false), (At::Sync, true)] {
        let (sink, gate, _) = gated(at);
        let running = crawl(40, sink).start().unwrap();
        let handle = running.handle();
        gate.until_reached();
        handle.stop();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(running).unwrap();
        let unwritten = report.unwritten.clone().unwrap();
        assert_eq!((&*unwritten.sink, unwritten.pages == 0), ("gated", all_written), "{at:?}: {unwritten:?}");
        assert!(report.balances() && report.left >= unwritten.pages, "{at:?}: {report:?}");
        assert!(report.to_string().contains("gated"), "{report}");
        // Opening the gate on the other thread later than this does not change the result.
        gate.open();
    }
}
