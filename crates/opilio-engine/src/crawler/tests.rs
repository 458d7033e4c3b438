//! Tests of the builder: which values each method refuses, and which settings result from its values.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::rc::Rc;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::HeaderValue;
use opilio_export::JsonLines;
use opilio_fetch::{BodyBudget, Cookies, Middleware, ScriptedAnswer, ScriptedTransport, Transport};
use opilio_frontier::Caps;
#[cfg(feature = "disk")]
use opilio_frontier::FrontierError;
use opilio_spider::state::StoreNeeds;
use opilio_spider::{CrawlError, EachPage, HostSettings};

use super::Crawler;
use crate::clock::Clock;
use crate::job::crawl;
use crate::launch::{Fetchers, Transports};
use crate::scheduler::Syncing;

fn crawler() -> Crawler<EachPage> {
    crawl("http://a.example/").each(|_, _| Ok(()))
}

#[test]
fn the_first_pattern_that_names_no_host_is_told() {
    let settings = HostSettings::default;
    let mut crawler = crawler().host_named("*.shop.example", settings());
    assert_eq!(crawler.choices.hosts.check(), Ok(()));
    let mut crawler = crawler
        .host_named("http://first.example", settings())
        .host_named("http://second.example", settings());
    let error = crawler.choices.hosts.check().unwrap_err().to_string();
    assert!(error.contains("first.example"), "{error}");
}

#[test]
fn a_field_that_cannot_be_sent_is_an_error_and_so_is_a_secret_for_all() {
    let headers =
        |name| crawler().header(name, "de").header("accept", "text/html").choices.identity.take_headers();
    assert_eq!(headers("accept-language").unwrap()["accept-language"], "de");
    assert!(matches!(headers("no field"), Err(CrawlError::Header(_))));
    assert!(matches!(headers("authorization"), Err(CrawlError::SecretForAll { .. })));
}

#[test]
fn a_user_agent_of_two_lines_is_refused() {
    let crawler = crawler().user_agent("Opilio\nx-evil: 1");
    assert!(matches!(crawler.choices.identity.user_agent_value(), Err(CrawlError::UserAgent { .. })));
}

#[test]
fn cookies_are_kept_unless_they_are_not_wanted() {
    let clock = Clock::begin(None, UNIX_EPOCH);
    assert!(crawler().choices.identity.cookies(clock, None, false).is_some());
    assert!(crawler().no_cookies().choices.identity.cookies(clock, None, false).is_none());
}

fn fetchers(crawler: Crawler<EachPage>, cookies: Option<Arc<Cookies>>) -> Fetchers {
    let user_agent = HeaderValue::from_static("Opilio");
    crawler.choices.fetching.fetchers(user_agent, cookies, BodyBudget::new(1), 8).unwrap()
}

#[test]
fn a_transport_of_the_users_is_taken_instead_of_the_web() {
    let make = || Rc::new(ScriptedTransport::new(|_, _: &_| ScriptedAnswer::page(""))) as Rc<dyn Transport>;
    assert!(matches!(fetchers(crawler().transport(make), None).transports, Transports::Own(_)));
    assert!(matches!(fetchers(crawler(), None).transports, Transports::Web(_)));
}

#[test]
fn cookies_are_the_innermost_middleware() {
    struct Nothing;
    impl Middleware for Nothing {}
    let cookies = Arc::new(Cookies::new(|| 0));
    let kept: Arc<dyn Middleware> = cookies.clone();
    let middleware = fetchers(crawler().middleware(Nothing), Some(cookies)).middleware;
    assert_eq!(middleware.len(), 2);
    assert!(Arc::ptr_eq(&middleware[1], &kept));
}

#[test]
fn tracking_parameters_are_stripped_on_request() {
    let strips = |mut crawler: Crawler<EachPage>| {
        let mut url = "http://a.example/?utm_source=x".parse().unwrap();
        crawler.choices.urls.take_scope(2026).tidy(&mut url);
        url.query().is_none()
    };
    assert!(!strips(crawler()));
    assert!(strips(crawler().strip_tracking()));
}

#[test]
fn every_shard_has_an_encoder_for_each_output_and_no_file_is_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let output = |name| JsonLines::create(dir.path().join(name)).unwrap();
    let crawler = crawler().export(output("a.jsonl")).export(output("b.jsonl"));
    let encoders = crawler.encoders(3);
    assert_eq!((encoders.len(), encoders[0].len()), (3, 2));
    let mut crawler = crawler.export(output("a.jsonl"));
    assert!(matches!(crawler.take_sinks(), Err(CrawlError::SameOutput { .. })));
}

#[test]
fn there_are_no_more_shards_than_slots() {
    let shards = |slots, shards| crawler().total_in_flight(slots).shards(shards).choices.limits.shards();
    assert_eq!((shards(2, 8), shards(64, 8), shards(1_000, 1_000)), (2, 8, 64));
    assert_eq!((shards(0, 8), shards(1, 0)), (1, 1));
}

#[test]
fn a_memory_limit_needs_a_gauge() {
    assert!(crawler().gauge(|| None).choices.limits.check().is_ok());
    let limited = crawler().memory_limit(1 << 30).gauge(|| None);
    assert!(matches!(limited.choices.limits.check(), Err(CrawlError::MemoryUnknown)));
}

fn needs() -> StoreNeeds<'static> {
    StoreNeeds { spider: ("shop", 1), caps: Caps::default(), levels: false, memory_bytes: None, sinks: &[] }
}

#[test]
fn the_memory_store_is_kept_for_no_later_run() {
    let open = crawler().choices.state.open(needs()).unwrap();
    assert!(!open.is_kept && open.cookie_file.is_none());
    assert_eq!(open.syncing, Syncing::AtTheEnd);
}

#[cfg(feature = "disk")]
#[test]
fn a_directory_is_made_once_and_opened_on_resume_only() {
    let dir = tempfile::tempdir().unwrap();
    let crawler = || crawler().state(dir.path().join("state"));
    let open = crawler().resume().choices.state.open(needs()).unwrap();
    assert!(open.is_kept && open.cookie_file.is_some());
    drop(open);
    let error = crawler().choices.state.open(needs()).err().unwrap();
    assert!(matches!(error, CrawlError::Frontier(FrontierError::Exists { .. })), "{error:?}");
    assert!(crawler().resume().choices.state.open(needs()).is_ok());
}
