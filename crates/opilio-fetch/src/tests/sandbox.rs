//! Tests with the hosts of the sandbox as a script: the crawler understands announcements and refusals in each way
//! in which servers write their headers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use opilio_core::{Fault, Outcome};
use opilio_sandbox::{Align, Dialect, Host, HostConfig, Limit, RefusalForm};
use tokio::time::{Instant, sleep, sleep_until};
use url::Url;

use super::assert_fault;
use crate::{
    FetchRequest, Fetched, Fetcher, Phase, Script, ScriptedAnswer, ScriptedTransport, TransportRequest,
};

/// A host of the sandbox behind the transport, with no network latency.
struct Hosted {
    host: Rc<RefCell<Host>>,
    began: Instant,
}

impl Script for Hosted {
    fn answer(&mut self, now: Instant, ask: &TransportRequest) -> ScriptedAnswer {
        let at = now - self.began;
        let path = &ask.url[url::Position::BeforePath..];
        let body = ask.body.as_deref().unwrap_or_default();
        let heard = opilio_sandbox::Ask { method: ask.method.as_str(), path_and_query: path, body };
        let mut host = self.host.borrow_mut();
        let answer = host.arrive(at, &heard);
        host.left(at + answer.latency, answer.id);
        let headers: HeaderMap = answer
            .headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let fault = answer.fault.filter(opilio_sandbox::Fault::breaks_answer);
        ScriptedAnswer {
            headers,
            body: answer.sent_body(),
            fault: fault.map(|fault| (phase(fault), Fault::Reset)),
            ..ScriptedAnswer::status(answer.status).after(answer.latency)
        }
    }
}

fn phase(fault: opilio_sandbox::Fault) -> Phase {
    match fault {
        opilio_sandbox::Fault::ResetMidBody | opilio_sandbox::Fault::Truncated => Phase::Body,
        _ => Phase::Head,
    }
}

struct World {
    fetcher: Fetcher,
    began: Instant,
}

impl World {
    fn new(config: HostConfig) -> Self {
        let began = Instant::now();
        let host = Rc::new(RefCell::new(Host::new(config)));
        let fetcher = Fetcher::new(Rc::new(ScriptedTransport::new(Hosted { host, began })));
        Self { fetcher, began }
    }

    async fn get(&self) -> Fetched {
        self.fetcher
            .fetch(FetchRequest::get(Url::parse("http://shop.test/api/products?page=1&per_page=5").unwrap()))
            .await
    }

    async fn at_ms(&self, ms: u64) {
        sleep_until(self.began + Duration::from_millis(ms)).await;
    }
}

/// A rate limit of 40 requests per window of a minute; the window begins at the first request.
const WINDOW: Limit = Limit::FixedWindow { n: 40, per: Duration::from_secs(60), align: Align::FirstArrival };
/// The most by which a wait is rounded up: a time in whole seconds is rounded up at most twice, once itself and once
/// in the `Date` header.
const ROUNDING: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn every_dialect_is_understood_also_of_a_host_whose_clock_is_wrong() {
    for dialect in Dialect::ALL {
        for skew in [0, 45, -3_600] {
            let world =
                World::new(HostConfig::new().limit(WINDOW).announce(dialect).clock_skew_seconds(skew));
            world.at_ms(300).await;
            for nth in 1..=40 {
                let hints = world.get().await.hints;
                let quota = hints.quota.unwrap_or_else(|| panic!("{dialect:?} {skew}: nothing read"));
                assert_eq!((quota.limit, quota.remaining), (Some(40), 40 - nth), "{dialect:?}");
                let left = world.began + Duration::from_millis(60_300) - Instant::now();
                assert!(
                    (left..left + ROUNDING).contains(&quota.reset),
                    "{dialect:?} {skew}: {quota:?}, {left:?} left"
                );
                sleep(Duration::from_millis(730)).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_form_of_refusal_is_understood() {
    for (form, stated) in [
        (RefusalForm::Seconds, true),
        (RefusalForm::HttpDate, true),
        (RefusalForm::Fixed(86_400), true),
        (RefusalForm::Zero, false),
        (RefusalForm::PastDate, false),
        (RefusalForm::Garbage, false),
        (RefusalForm::Bare, false),
    ] {
        for status in [429, 503] {
            let limit = Limit::fixed(1, Duration::from_secs(60));
            let config = HostConfig::new().limit(limit).refusal(status, form).clock_skew_seconds(45);
            let world = World::new(config);
            world.at_ms(300).await;
            assert_eq!(world.get().await.outcome, Outcome::Answered(200));
            let refused = world.get().await;
            assert_eq!(refused.outcome, Outcome::Answered(status));
            let wait = refused.hints.retry_after;
            assert_eq!(wait.is_some(), stated, "{form:?}");
            let exact = if matches!(form, RefusalForm::Fixed(_)) { 86_400 } else { 60 };
            let exact = Duration::from_secs(exact);
            assert!(wait.is_none_or(|wait| (exact..exact + ROUNDING).contains(&wait)), "{form:?}: {wait:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn resets_and_cut_bodies_are_no_pages() {
    assert_fault(&World::new(HostConfig::new().resets(1.0)).get().await, Fault::Reset, "reset");
    assert_fault(&World::new(HostConfig::new().truncations(1.0)).get().await, Fault::Reset, "cut");
}
