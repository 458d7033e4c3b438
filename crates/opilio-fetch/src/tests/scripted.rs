//! Tests with the simulated web in virtual time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderValue, header};
use opilio_core::{Fault, Outcome};
use tokio::time::Instant;
use url::Url;

use super::assert_fault;
use crate::decode::tests::encode;
use crate::{
    BodyBudget, FetchRequest, Fetcher, Limits, Phase, Script, ScriptedAnswer, ScriptedTransport,
    TransportRequest,
};

fn fetcher(script: impl Script + 'static) -> Fetcher {
    Fetcher::new(Rc::new(ScriptedTransport::new(script)))
}

fn order() -> FetchRequest {
    FetchRequest::get(Url::parse("http://a.test/x").unwrap())
}

#[tokio::test(start_paused = true)]
async fn latencies_pass_in_virtual_time_and_in_order() {
    let arrivals = Rc::new(RefCell::new(Vec::new()));
    let log = arrivals.clone();
    let fetcher = fetcher(move |now: Instant, ask: &TransportRequest| {
        log.borrow_mut().push((now, ask.url.path().to_owned()));
        ScriptedAnswer::page("<p>hello</p>").after(Duration::from_secs(20))
    });
    let began = Instant::now();
    for _ in 0..3 {
        let fetched = fetcher.fetch(order()).await;
        assert_eq!((fetched.outcome, &fetched.body[..]), (Outcome::Answered(200), &b"<p>hello</p>"[..]));
        assert_eq!(fetched.elapsed, Duration::from_secs(20));
    }
    let seconds: Vec<u64> = arrivals.borrow().iter().map(|(at, _)| (*at - began).as_secs()).collect();
    assert_eq!(seconds, [0, 20, 40]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_in_virtual_time_in_head_and_body() {
    let slow_head =
        fetcher(|_, _: &TransportRequest| ScriptedAnswer::status(200).after(Duration::from_secs(31)));
    let fetched = slow_head.fetch(order()).await;
    assert_fault(&fetched, Fault::Timeout, "head");
    assert_eq!(fetched.elapsed, Duration::from_secs(30));
    let slow_body = fetcher(|_, _: &TransportRequest| ScriptedAnswer {
        body_latency: Duration::from_secs(25),
        ..ScriptedAnswer::page("late").after(Duration::from_secs(25))
    });
    let fetched = slow_body.fetch(order()).await;
    assert_fault(&fetched, Fault::Timeout, "body");
    assert_eq!(fetched.elapsed, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn faults_come_as_scripted() {
    for (phase, fault) in [
        (Phase::Resolve, Fault::NoSuchName),
        (Phase::Connect, Fault::Connect),
        (Phase::Head, Fault::Reset),
        (Phase::Body, Fault::Reset),
    ] {
        let fetched =
            fetcher(move |_, _: &TransportRequest| ScriptedAnswer::fault(phase, fault)).fetch(order()).await;
        assert_fault(&fetched, fault, "scripted");
    }
    let short = |_, _: &TransportRequest| {
        ScriptedAnswer::page("abc").header(header::CONTENT_LENGTH, HeaderValue::from_static("9"))
    };
    assert_fault(&fetcher(short).fetch(order()).await, Fault::Reset, "shorter than stated");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_while_connecting_is_the_hosts() {
    let never = |_, _: &TransportRequest| {
        ScriptedAnswer::fault(Phase::Connect, Fault::Connect).after(Duration::from_secs(99))
    };
    assert_fault(&fetcher(never).fetch(order()).await, Fault::Connect, "connecting");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_before_its_body_has_come() {
    for status in [429, 503] {
        let slow = move |_, _: &TransportRequest| ScriptedAnswer {
            body: "wait, please".into(),
            body_latency: Duration::from_millis(900),
            ..ScriptedAnswer::status(status)
        };
        let fetched = fetcher(slow).fetch(order()).await;
        assert_eq!(fetched.outcome, Outcome::Answered(status));
        assert_eq!(fetched.elapsed, Duration::ZERO, "other starts of the host wait for this");
    }
}

#[tokio::test(start_paused = true)]
async fn dates_are_read_against_the_wall_clock_that_was_given() {
    let script = |_, _: &TransportRequest| {
        let until = HeaderValue::from_static("Wed, 21 Oct 2026 07:28:00 GMT");
        ScriptedAnswer::status(429).header(header::RETRY_AFTER, until)
    };
    let fetched = fetcher(script).wall_clock_ms(|| 1_792_567_620_000).fetch(order()).await;
    assert_eq!(fetched.hints.retry_after, Some(Duration::from_secs(60)));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_memory_is_not_charged_and_all_large_bodies_finish() {
    const BODY: usize = 3 << 20;
    let fetcher = fetcher(|_, _: &TransportRequest| ScriptedAnswer {
        body_latency: Duration::from_secs(20),
        ..ScriptedAnswer::page(vec![b'x'; BODY])
    })
    .budget(BodyBudget::new(1 << 20))
    .limits(Limits { timeout: Duration::from_secs(30), ..Limits::default() });
    let began = Instant::now();
    // Two bodies at a time get their share of memory. The other bodies wait for far longer than the time limit of
    // one attempt.
    let read = async || {
        let fetched = fetcher.fetch(order()).await;
        assert_eq!(
            (fetched.outcome, fetched.body.len()),
            (Outcome::Answered(200), BODY),
            "{:?}",
            fetched.error
        );
    };
    join_all((0..8).map(|_| read())).await;
    assert!(began.elapsed() >= Duration::from_secs(80), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_of_which_a_part_is_enough_is_cut_there_and_is_no_failure() {
    let text = "0123456789".repeat(1_000);
    // These limits apply to bodies that are read in full. Here, no bytes after the requested length are read.
    let limits = Limits { body_bytes_max: 100, wire_bytes_max: 100, ..Limits::default() };
    for coding in ["", "gzip"] {
        let body =
            if coding.is_empty() { text.clone().into_bytes() } else { encode(coding, text.as_bytes()) };
        let fetcher = fetcher(move |_, _: &TransportRequest| ScriptedAnswer {
            body: body.clone().into(),
            fault: coding.is_empty().then_some((Phase::Body, Fault::Reset)),
            headers: http::HeaderMap::from_iter(
                (!coding.is_empty()).then(|| (header::CONTENT_ENCODING, HeaderValue::from_static(coding))),
            ),
            ..ScriptedAnswer::status(200)
        })
        .limits(limits.clone());
        for (enough, cut) in [(2_345, true), (9_999, true)] {
            let fetched = fetcher.fetch(FetchRequest { enough: Some(enough), ..order() }).await;
            assert_eq!((fetched.outcome, fetched.cut), (Outcome::Answered(200), cut), "{coding} {enough}");
            assert_eq!(&fetched.body[..], &text.as_bytes()[..enough], "{coding} {enough}");
        }
    }
    let short = fetcher(|_, _: &TransportRequest| ScriptedAnswer::page("0123456789"));
    for (enough, cut) in [(9, true), (10, false), (11, false)] {
        let fetched = short.fetch(FetchRequest { enough: Some(enough), ..order() }).await;
        assert_eq!((fetched.body.len(), fetched.cut), (enough.min(10), cut));
    }
}
