//! Tests of middleware with real requests: the changes that it may and may not make, and the order of the calls.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderValue, header};
use opilio_core::{Blame, Fault, Outcome};

use super::server::{Act, Server, answer, page};
use super::{assert_fault, fetcher, get};
use crate::{Fetcher, Incoming, Middleware, Outgoing, ScriptedAnswer, ScriptedTransport};

/// A middleware that records when it was called, and adds a header to the request.
struct Scribe(&'static str, Arc<Mutex<Vec<String>>>);

impl Middleware for Scribe {
    fn on_request(&self, request: &mut Outgoing<'_>) {
        self.1.lock().unwrap().push(format!("{} > {}", self.0, request.url.path()));
        request.headers.append("x-way", HeaderValue::from_static(self.0));
    }

    fn on_response(&self, answer: &mut Incoming<'_>) {
        self.1.lock().unwrap().push(format!("{} < {:?}", self.0, answer.outcome()));
    }
}

/// A middleware that calls a function with every answer.
struct OnAnswer<F>(F);

impl<F: Fn(&mut Incoming<'_>) + Send + Sync + 'static> Middleware for OnAnswer<F> {
    fn on_response(&self, answer: &mut Incoming<'_>) {
        self.0(answer);
    }
}

fn with(one: impl Middleware) -> Fetcher {
    fetcher().middleware(vec![Arc::new(one)])
}

#[tokio::test]
async fn the_first_one_is_the_outermost() {
    let server = Server::answering(vec![page("hello")]).await;
    let log = Arc::default();
    let all: Vec<Arc<dyn Middleware>> =
        vec![Arc::new(Scribe("outer", Arc::clone(&log))), Arc::new(Scribe("inner", Arc::clone(&log)))];
    let fetched = get(&fetcher().middleware(all), &server.url("/a")).await;
    assert_eq!(fetched.outcome, Outcome::Answered(200));
    assert_eq!(
        *log.lock().unwrap(),
        ["outer > /a", "inner > /a", "inner < Answered(200)", "outer < Answered(200)"]
    );
    let request = server.requests().remove(0);
    let way: Vec<&str> = request.lines().filter_map(|line| line.strip_prefix("x-way: ")).collect();
    assert_eq!(way, ["outer", "inner"]);
}

#[tokio::test]
async fn it_may_replace_a_body_and_see_a_refusal_that_is_sent_as_a_page() {
    let server = Server::answering(vec![page("<p>slow down")]).await;
    let fetched =
        get(&with(OnAnswer(|answer: &mut Incoming<'_>| answer.set_body("quiet".into()))), &server.url("/"))
            .await;
    assert_eq!((fetched.outcome, &fetched.body[..]), (Outcome::Answered(200), &b"quiet"[..]));
    let soft = OnAnswer(|answer: &mut Incoming<'_>| answer.refuse(Some(Duration::from_secs(30))));
    let fetched = get(&with(soft), &server.url("/")).await;
    assert_eq!((fetched.outcome, &fetched.body[..]), (Outcome::Refused(200), &b""[..]));
    assert_eq!(fetched.hints.retry_after, Some(Duration::from_secs(30)));
    assert!(fetched.error.unwrap().contains("declared the answer 200 a refusal"));
}

#[tokio::test]
async fn a_refusal_in_disguise_waits_for_what_was_said_of_it() {
    let refuse = |wait| OnAnswer(move |answer: &mut Incoming<'_>| answer.refuse(wait));
    let challenge = |status: &'static str| async move {
        Server::answering(vec![answer(status, "Retry-After: 20\r\nContent-Length: 4\r\n", "wait")]).await
    };
    for (status, outcome) in [
        ("200 OK", Outcome::Refused(200)),
        ("403 No", Outcome::Refused(403)),
        ("302 Found", Outcome::Failed(Fault::BadRedirect)),
        ("503 Down", Outcome::Answered(503)),
    ] {
        for (wait, kept) in [(None, 20), (Some(5), 20), (Some(60), 60)] {
            let server = challenge(status).await;
            let fetched = get(&with(refuse(wait.map(Duration::from_secs))), &server.url("/")).await;
            assert_eq!(fetched.outcome, outcome, "{status} {wait:?}");
            let stated = fetched.hints.retry_after.map(|wait| wait.as_secs());
            // A redirect without a target is a failure and not a refusal. It keeps the wait that it states.
            let kept = if outcome.blame() == Blame::Refusal { kept } else { 20 };
            assert_eq!(stated, Some(kept), "{status} {wait:?}");
        }
    }
    let server = Server::answering(vec![page("wait")]).await;
    assert_eq!(get(&with(refuse(None)), &server.url("/")).await.hints.retry_after, None);
}

#[tokio::test]
async fn a_redirect_may_be_a_refusal_too() {
    let found = answer("302 Found", "Location: /captcha\r\nContent-Length: 0\r\n", "");
    let server = Server::answering(vec![found]).await;
    let to_captcha = OnAnswer(|answer: &mut Incoming<'_>| {
        if answer.fetched().location.as_ref().is_some_and(|to| to.path() == "/captcha") {
            answer.refuse(None);
        }
    });
    let fetched = get(&with(to_captcha), &server.url("/")).await;
    assert_eq!((fetched.outcome, fetched.location), (Outcome::Refused(302), None));
}

#[tokio::test]
async fn all_middleware_sees_what_one_has_refused_and_none_makes_a_page_of_it() {
    let server = Server::answering(vec![page("captcha")]).await;
    let inner = OnAnswer(|answer: &mut Incoming<'_>| answer.refuse(None));
    let outer = OnAnswer(|answer: &mut Incoming<'_>| {
        assert_eq!((answer.outcome(), &answer.body()[..]), (Outcome::Refused(200), &b"captcha"[..]));
        answer.set_body("a page".into());
        answer.refuse(Some(Duration::from_secs(7)));
    });
    let fetched = get(&fetcher().middleware(vec![Arc::new(outer), Arc::new(inner)]), &server.url("/")).await;
    assert_eq!((fetched.outcome, &fetched.body[..]), (Outcome::Refused(200), &b""[..]));
    assert_eq!(fetched.hints.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn it_cannot_unsay_what_a_host_has_said() {
    let server =
        Server::answering(vec![answer("429 Slow", "Retry-After: 60\r\nContent-Length: 0\r\n", "")]).await;
    let shorter = OnAnswer(|answer: &mut Incoming<'_>| {
        answer.headers_mut().unwrap().remove(header::RETRY_AFTER);
        answer.refuse(Some(Duration::from_secs(1)));
        answer.set_body("a page".into());
    });
    let fetched = get(&with(shorter), &server.url("/")).await;
    assert_eq!(fetched.outcome, Outcome::Answered(429));
    assert_eq!(fetched.hints.retry_after, Some(Duration::from_secs(60)));
    let panics = OnAnswer(|_: &mut Incoming<'_>| panic!("as asked by a test"));
    let fetched = get(&with(panics), &server.url("/")).await;
    assert_eq!(fetched.outcome, Outcome::Answered(429));
    assert_eq!(fetched.hints.retry_after, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn one_that_panics_costs_its_attempt_and_sends_nothing() {
    struct Bomb;
    impl Middleware for Bomb {
        fn on_request(&self, request: &mut Outgoing<'_>) {
            assert!(request.url.path() != "/bomb", "as asked by a test");
        }
        fn on_response(&self, answer: &mut Incoming<'_>) {
            assert!(answer.url().path() != "/late", "as asked by a test");
        }
        fn name(&self) -> &str {
            "the bomb"
        }
    }
    let server =
        Server::start(vec![vec![Act::Read, page("a"), Act::Read, page("b"), Act::Read, page("c")]]).await;
    let fetcher = with(Bomb);
    let fetched = get(&fetcher, &server.url("/bomb")).await;
    assert_fault(&fetched, Fault::Middleware, "on its way out");
    assert!(fetched.error.unwrap().contains("the middleware the bomb panicked"));
    assert_eq!(server.requests().len(), 0);
    assert_fault(&get(&fetcher, &server.url("/late")).await, Fault::Middleware, "on its way in");
    assert_eq!(get(&fetcher, &server.url("/well")).await.outcome, Outcome::Answered(200));
}

#[tokio::test]
async fn a_failure_stays_one() {
    let transport =
        ScriptedTransport::new(|_, _: &_| ScriptedAnswer::fault(crate::Phase::Connect, Fault::Connect));
    let kind = OnAnswer(|answer: &mut Incoming<'_>| {
        answer.set_body("a page".into());
        answer.refuse(None);
    });
    let fetcher = Fetcher::new(Rc::new(transport)).middleware(vec![Arc::new(kind)]);
    assert_fault(&get(&fetcher, "http://a.test/").await, Fault::Connect, "connect");
}
