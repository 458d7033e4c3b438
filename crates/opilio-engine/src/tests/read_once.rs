//! Tests that a record is decoded only once for each lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use opilio_fetch::ScriptedAnswer;

use super::linked::{links, quick, site};
use super::{page, run};
use crate::prepared::records_read;
use crate::{Found, Page, ParseError, Request, Spider};

/// A spider that sends a request with a body for each page.
struct Posts;

impl Spider for Posts {
    type Item = String;
    type Step = u8;

    fn seeds(&self) -> Vec<Request<u8>> {
        let urls = ["http://a.example/ok", "http://a.example/flaky", "http://a.example/moved"];
        let retried = |url| Request::get(url, 1).header("x-of", "it").retries(5);
        urls.map(retried).into_iter().chain([Request::get("http://a.example/gone", 1)]).collect()
    }

    fn parse(&self, page: &Page<u8>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.follow(page, "a", 2)?;
        found.item(format!("{} {}", page.requested_url(), page.step()));
        Ok(())
    }
}

#[test]
fn a_record_is_read_once_however_often_it_is_tried() {
    let flaky = Arc::new(AtomicUsize::new(0));
    let transport = site(move |url| match url {
        "http://a.example/flaky" if flaky.fetch_add(1, Ordering::Relaxed) < 3 => ScriptedAnswer::status(500),
        "http://a.example/ok" => links(["/linked".to_owned()]),
        "http://a.example/moved" => ScriptedAnswer::status(302)
            .header(http::header::LOCATION, http::HeaderValue::from_static("/target")),
        "http://a.example/gone" => ScriptedAnswer::status(404),
        "http://a.example/robots.txt" => ScriptedAnswer::page("user-agent: *\ndisallow: /private\n"),
        _ => page(),
    });
    let before = records_read();
    let (report, _, arrivals) = run(quick(Posts).transport(transport));
    let report = report.unwrap();
    assert_eq!((report.pages, report.failures.len(), report.retries), (4, 1, 3), "{report:?}");
    assert_eq!(arrivals.iter().filter(|(_, url)| url.ends_with("/flaky")).count(), 4, "{arrivals:?}");
    // Three requested pages, the link, the source of a redirect (its target is the third page), and the failure.
    assert_eq!(records_read() - before, 6);
}
