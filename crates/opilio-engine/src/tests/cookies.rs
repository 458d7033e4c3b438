//! Tests that a crawl with a state directory keeps its cookies from run to run.

use std::rc::Rc;
use std::time::Duration;

use opilio_core::{HostPolicy, Reason, per_second};
use opilio_fetch::{ScriptedAnswer, ScriptedTransport, Transport, TransportRequest};
use opilio_frontier::Durability;
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::linked::{Links, links, quick};
use super::run;
use crate::{CrawlReport, Crawler};

/// Returns a site whose login page sets a cookie. Without this cookie it shows no other page.
fn members() -> Rc<dyn Transport> {
    Rc::new(ScriptedTransport::new(|_, ask: &TransportRequest| {
        let cookie = ask.headers.get(http::header::COOKIE).map(|value| value.to_str().unwrap().to_owned());
        let answer = match (ask.url.path(), cookie.as_deref()) {
            ("/login", _) => {
                let set = http::HeaderValue::from_static("sid=7; Path=/");
                links(["/1".to_owned(), "/2".to_owned()]).header(http::header::SET_COOKIE, set)
            }
            (_, Some("sid=7")) => links([]),
            (..) => ScriptedAnswer::status(403),
        };
        answer.after(Duration::from_millis(20))
    }))
}

fn crawler(dir: &TempDir) -> Crawler<Links> {
    quick(Links(&["http://shop.example/login"]))
        .host(HostPolicy::new().rate(per_second(1)))
        .state(dir.path())
        .resume()
        .transport(members)
}

fn ended(crawler: Crawler<Links>) -> CrawlReport {
    let report = run(crawler).0.unwrap();
    assert!(report.balances(), "{report:?}");
    report
}

#[test]
fn a_crawl_that_is_gone_on_with_is_still_logged_in() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(ended(crawler(&dir).max_pages(1)).left, 2);
    let file = dir.path().join("cookies");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let report = ended(crawler(&dir));
    assert_eq!((report.pages, report.failed()), (3, 0), "{report:?}");
    assert!(file.exists());
}

#[test]
fn a_killed_crawl_has_the_cookies_of_its_last_checkpoint() {
    for durability in [Durability::EveryCommit, Durability::Interval(Duration::from_millis(100))] {
        let dir = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let local = LocalSet::new();
        let killed = local.block_on(&runtime, async {
            let crawl = crawler(&dir).durability(durability).run_here();
            tokio::time::timeout(Duration::from_millis(800), crawl).await
        });
        drop(local);
        assert!(killed.is_err(), "it was over before");
        let report = ended(crawler(&dir));
        assert_eq!((report.pages, report.failed()), (3, 0), "{durability:?} {report:?}");
    }
}

#[test]
fn without_cookies_none_are_kept_and_those_that_are_stay() {
    let dir = tempfile::tempdir().unwrap();
    ended(crawler(&dir).no_cookies().max_pages(1));
    assert!(!dir.path().join("cookies").exists());

    let dir = tempfile::tempdir().unwrap();
    ended(crawler(&dir).max_pages(1));
    let before = std::fs::read(dir.path().join("cookies")).unwrap();
    let report = ended(crawler(&dir).no_cookies());
    assert_eq!((report.pages, report.reasons[&Reason::Http4xx]), (1, 2));
    assert_eq!(std::fs::read(dir.path().join("cookies")).unwrap(), before);
    assert_eq!(ended(crawler(&dir).retry_failed()).pages, 3);
}

#[test]
fn a_damaged_file_costs_the_login_and_not_the_crawl() {
    let dir = tempfile::tempdir().unwrap();
    ended(crawler(&dir).max_pages(1));
    let file = dir.path().join("cookies");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let report = ended(crawler(&dir));
    assert_eq!((report.pages, report.reasons[&Reason::Http4xx]), (1, 2));
}

#[test]
fn a_crawl_that_begins_takes_no_cookies_of_another_one() {
    let dir = tempfile::tempdir().unwrap();
    ended(crawler(&dir).max_pages(1));
    let cookies = std::fs::read(dir.path().join("cookies")).unwrap();
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("cookies"), cookies).unwrap();
    let crawler = quick(Links(&["http://shop.example/1"])).state(other.path()).transport(members);
    assert_eq!(ended(crawler).reasons[&Reason::Http4xx], 1);
    assert!(!other.path().join("cookies").exists());
}
