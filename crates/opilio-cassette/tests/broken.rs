//! Tests of answers that do not arrive whole: a replay ends them as their recording did.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Version, header};
use opilio_cassette::{Cassette, CassetteDraft, Recording, Replay, Tape};
use opilio_core::{Fault, Outcome};
use opilio_fetch::{
    Answer, FetchRequest, Fetched, Fetcher, Limits, Phase, Sending, Transport, TransportError,
    TransportRequest,
};
use tokio::time::sleep;

/// A server whose answers depend on the path.
struct Server;

impl Transport for Server {
    fn send(&self, ask: TransportRequest) -> Sending<'_> {
        async move {
            ask.progress.enter(Phase::Head);
            let (piece, silent) = (stream::iter([Ok(Bytes::from_static(b"<p>half"))]), stream::pending());
            let (mut headers, mut status) = (HeaderMap::new(), 200);
            let body = match ask.url.path() {
                "/silent" => sleep(Duration::from_secs(3_600)).map(|()| piece).flatten_stream().boxed_local(),
                "/half" => piece.chain(silent).boxed_local(),
                "/half-of-stated" => {
                    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("14"));
                    piece.chain(silent).boxed_local()
                }
                "/reset" => {
                    let reset = TransportError::new(Phase::Body, Fault::Reset, "reset");
                    piece.chain(stream::iter([Err(reset)])).boxed_local()
                }
                "/late" => {
                    sleep(Duration::from_secs(3_600)).await;
                    piece.boxed_local()
                }
                "/wait" => {
                    status = 429;
                    piece.chain(silent).boxed_local()
                }
                _ => piece.boxed_local(),
            };
            let version = Version::HTTP_11;
            Ok(Answer { status, version, headers, body, reused: false, remote: None })
        }
        .boxed_local()
    }
}

fn virtual_time() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn fetcher(transport: Rc<dyn Transport>) -> Fetcher {
    Fetcher::new(transport).limits(Limits { timeout: Duration::from_secs(1), ..Limits::default() })
}

fn order(path: &str) -> FetchRequest {
    FetchRequest::get(format!("http://a.example{path}").parse().unwrap())
}

async fn replayed(cassette: Cassette, order: FetchRequest) -> Fetched {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.warc");
    CassetteDraft::open(&path).unwrap().save(&cassette).unwrap();
    let cassette = Cassette::load(&path, "record").unwrap();
    let replay = Replay::of(Tape::new(path, cassette, "record".to_owned()));
    fetcher(replay.transports()()).fetch(order).await
}

#[test]
fn an_answer_that_breaks_off_is_replayed_as_broken() {
    virtual_time().block_on(async {
        for (path, outcome) in [
            ("/silent", Outcome::Failed(Fault::Timeout)),
            ("/half", Outcome::Failed(Fault::Timeout)),
            ("/half-of-stated", Outcome::Failed(Fault::Timeout)),
            ("/reset", Outcome::Failed(Fault::Reset)),
            ("/late", Outcome::Failed(Fault::Timeout)),
            ("/wait", Outcome::Answered(429)),
            ("/", Outcome::Answered(200)),
        ] {
            let recording = Recording::new(false);
            let fetched = fetcher(recording.around()(Rc::new(Server))).fetch(order(path)).await;
            assert_eq!(fetched.outcome, outcome, "{path}");
            assert_eq!(recording.cassette().exchanges().len(), 1, "{path}");
            let again = replayed(recording.cassette(), order(path)).await;
            assert_eq!((again.outcome, again.body), (outcome, fetched.body), "{path}");
            assert_eq!(again.error, fetched.error, "{path}");
        }
    });
}

#[test]
fn a_body_that_was_cut_on_purpose_is_not_replayed_as_whole() {
    virtual_time().block_on(async {
        let recording = Recording::new(false);
        let beginning = || FetchRequest { enough: Some(3), ..order("/half") };
        let fetched = fetcher(recording.around()(Rc::new(Server))).fetch(beginning()).await;
        assert_eq!((fetched.outcome, &fetched.body[..]), (Outcome::Answered(200), &b"<p>"[..]));
        let again = replayed(recording.cassette(), beginning()).await;
        assert_eq!((again.outcome, &again.body[..], again.cut), (Outcome::Answered(200), &b"<p>"[..], true));
        let whole = replayed(recording.cassette(), order("/half")).await;
        assert_eq!(whole.outcome, Outcome::Failed(Fault::Reset));
        let error = whole.error.unwrap();
        assert!(error.ends_with("the recording has only the beginning of this body"), "{error}");
    });
}

#[test]
fn an_exchange_that_ends_with_the_crawl_is_not_recorded() {
    virtual_time().block_on(async {
        for path in ["/late", "/half"] {
            let recording = Recording::new(false);
            let fetcher = fetcher(recording.around()(Rc::new(Server)));
            let ended = tokio::time::timeout(Duration::from_millis(10), fetcher.fetch(order(path))).await;
            assert!(ended.is_err());
            drop(fetcher);
            assert!(recording.cassette().exchanges().is_empty(), "{path}: {:?}", recording.cassette());
        }
    });
}
