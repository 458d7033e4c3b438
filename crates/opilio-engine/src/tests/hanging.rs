//! Tests of a sink that hangs for ever. They run on real threads, since the sink blocks a thread.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::{HostPolicy, per_second};
use opilio_export::{Encoder, Export, ExportError, JsonLines, Sink};

use super::{List, crawler, page, urls, web};
use crate::{CrawlReport, Crawler, Stopped};

/// A file output whose sink accepts some pages and then never returns from a call.
struct Hanging {
    file: Box<dyn Sink>,
    takes: usize,
}

impl Hanging {
    fn over(path: &Path, takes: usize) -> Self {
        let file = JsonLines::create(path).unwrap();
        Self { file: Export::<String>::into_sink(Box::new(file)).unwrap(), takes }
    }
}

impl Sink for Hanging {
    fn name(&self) -> Arc<str> {
        self.file.name()
    }
    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        self.file.begin(position)
    }
    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError> {
        for row in rows.split_inclusive(|byte| *byte == b'\n') {
            self.file.append(row)?;
            self.takes = self.takes.saturating_sub(1);
            if self.takes == 0 {
                // The buffered rows are written to the file, but the sink never reports that.
                self.file.flush()?;
                loop {
                    std::thread::park();
                }
            }
        }
        self.file.flush()
    }
    fn flush(&mut self) -> Result<u64, ExportError> {
        self.file.flush()
    }
    fn sync(&mut self) -> Result<u64, ExportError> {
        self.file.sync()
    }
}

impl Export<String> for Hanging {
    fn encoder(&self) -> Box<dyn Encoder<String>> {
        JsonLines::to_writer(std::io::sink()).encoder()
    }
    fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError> {
        Ok(self)
    }
}

fn kept(dir: &Path) -> Crawler<List> {
    crawler(List(urls("a.example", 500).collect()))
        .host(HostPolicy::new().rate(per_second(100_000)).in_flight(32))
        .state(dir.join("state"))
        .resume()
        .transport(web(|_, _, _| page()))
}

/// Runs a crawl on its own threads. If `stop` is set, stops the crawl after the sink must have blocked.
fn run(crawler: Crawler<List>, stop: bool) -> (CrawlReport, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let crawl = crawler.start().unwrap();
        let handle = crawl.handle();
        if stop {
            // Waits until nothing more is fetched: then as many pages as are allowed wait for the sink.
            let mut before = 0;
            while before == 0 || handle.progress().requests > before {
                before = handle.progress().requests;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            handle.stop();
        }
        let began = std::time::Instant::now();
        (crawl.await.unwrap(), began.elapsed())
    })
}

#[test]
fn a_sink_that_hangs_keeps_nobody_from_stopping_and_has_each_page_once_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let (report, took) = run(kept(dir.path()).export(Hanging::over(&path, 30)), true);
    assert!(report.balances());
    assert_eq!(report.stopped, Stopped::Interrupted);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(report.pages <= 30 && report.left >= 470, "{report:?}");
    let unwritten = report.unwritten.as_ref().unwrap();
    assert!(unwritten.pages > 0 && unwritten.bytes > 0 && path.ends_with(&*unwritten.sink), "{unwritten:?}");
    // The crawl fetched only as many pages as may wait for the sinks, be in flight, or be parsed.
    assert!(report.requests < 400, "{}", report.requests);

    let (report, _) = run(kept(dir.path()).export(JsonLines::create(&path).unwrap()), false);
    assert_eq!((report.pages, report.left, report.stopped), (500, 0, Stopped::Finished));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut rows: Vec<&str> = text.lines().collect();
    rows.sort_unstable();
    let mut expected: Vec<_> = urls("a.example", 500).map(|url| format!("{url:?}")).collect();
    expected.sort();
    assert_eq!(rows, expected, "each once");
}
