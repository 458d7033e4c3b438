//! Tests of `--max-depth`: every page within the limit is fetched, whichever page arrives first.

use std::time::Duration;

use opilio_sandbox::{Fault, HostConfig, Sandbox, Trigger};

use crate::support::crawl;

#[test]
fn the_shorter_of_two_ways_counts_though_it_is_slow_or_fails_once() {
    let short = || "/short".to_owned();
    for (trigger, fault) in [
        (Trigger::Path(short()), Fault::Slow(Duration::from_secs(1))),
        (Trigger::PathTimes(short(), 1), Fault::Status(500)),
        (Trigger::PathTimes(short(), 1), Fault::Status(503)),
        (Trigger::PathTimes(short(), 1), Fault::Reset),
    ] {
        let host = HostConfig::new()
            .page("/", "text/html", "<a href=/long/1>1</a><a href=/short>s</a>")
            .page("/long/1", "text/html", "<a href=/long/2>2</a>")
            .page("/long/2", "text/html", "<a href=/page>p</a>")
            .page("/short", "text/html", "<a href=/page>p</a>")
            .page("/page", "text/html", "<a href=/goal>g</a>")
            .page("/goal", "text/html", "<a href=/beyond>b</a>")
            .fault(trigger, fault);
        let shop = Sandbox::builder().host(host).start().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        for kept in [&[][..], &["--state", state.to_str().unwrap()]] {
            let (run, report) = crawl(&[&[&*shop.base(0), "--no-robots", "--max-depth", "3"], kept].concat());
            assert_eq!((run.code, &report["pages"]), (0, &6.into()), "{fault:?} {report}");
            assert_eq!(report["filtered"], serde_json::json!({ "max_depth": 1 }), "{fault:?}");
            let depth = |path: &str| {
                run.items().iter().find(|item| item["url"].as_str().unwrap().ends_with(path)).unwrap()["depth"]
                    .clone()
            };
            assert_eq!((depth("/page"), depth("/goal")), (2.into(), 3.into()), "{fault:?}");
        }
    }
}
