//! Tests of successful requests: pages, redirects, connections, headers, addresses, TLS.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, header};
use opilio_core::{Fault, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::rustls;
use url::Url;

use super::server::{Act, Server, answer, page, send};
use super::{SHORT, assert_fault, fetcher, fetcher_with, get, local};
use crate::{
    Accept, AddressPolicy, Connection, DnsCache, FetchRequest, Limits, Lookup, LookupError, Tls, USER_AGENT,
    WebSettings,
};

#[tokio::test]
async fn a_page_comes_whole_and_the_request_is_ours() {
    let server = Server::answering(vec![answer("200 OK", "Content-Length: 5\r\nX-A: b\r\n", "hello")]).await;
    let fetched = get(&fetcher(), &server.url("/dir/?q=1#fragment")).await;
    assert_eq!(fetched.outcome, Outcome::Answered(200));
    assert_eq!((&fetched.body[..], fetched.wire_bytes), (&b"hello"[..], 5));
    assert_eq!(fetched.permit.bytes(), 1 << 10);
    let head = fetched.head.unwrap();
    assert_eq!((head.status, head.remote), (200, Some(server.address)));
    assert_eq!(head.headers["x-a"], "b");
    let request = server.requests().remove(0);
    assert!(request.starts_with("GET /dir/?q=1 HTTP/1.1\r\n"), "{request}");
    for field in [
        format!("user-agent: {USER_AGENT}"),
        format!("host: {}", server.address),
        "accept-encoding: gzip, br, zstd, deflate".to_owned(),
        "accept: */*".to_owned(),
    ] {
        assert!(request.lines().any(|line| line == field), "{field} in {request}");
    }
    assert!(!request.contains("referer"));
}

#[tokio::test]
async fn bodies_in_many_chunks_and_without_a_length_come_whole() {
    let chunked = "6\r\nhello \r\n5;ext=1\r\nworld\r\n0\r\nTrailer: x\r\n\r\n";
    let large = "x".repeat(700_000);
    let stated = format!("Content-Length: {}\r\n", large.len());
    for (acts, body) in [
        (vec![answer("200 OK", "Transfer-Encoding: chunked\r\n", chunked)], "hello world"),
        (vec![answer("200 OK", "Connection: close\r\n", "until the end")], "until the end"),
        (vec![send("HTTP/1.0 200 OK\r\n\r\nold")], "old"),
        (vec![answer("200 OK", &stated, &large)], large.as_str()),
        (vec![answer("200 OK", "Content-Length: 0\r\n", "")], ""),
    ] {
        let server = Server::answering(acts).await;
        let fetched = get(&fetcher(), &server.url("/")).await;
        assert_eq!(fetched.outcome, Outcome::Answered(200), "{:?}", fetched.error);
        assert_eq!(fetched.body.len(), body.len());
        assert!(fetched.body == body.as_bytes());
    }
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let fields = "Location: ../next#part\r\nContent-Length: 4\r\n";
    for status in [301, 302, 303, 307, 308] {
        let server = Server::answering(vec![answer(&format!("{status} Moved"), fields, "gone")]).await;
        let fetched = get(&fetcher(), &server.url("/a/b/c")).await;
        assert_eq!(fetched.outcome, Outcome::Redirected(status));
        assert_eq!(fetched.location.unwrap().as_str(), server.url("/a/next"));
        assert_eq!(server.requests().len(), 1);
    }
    for (status, fields) in
        [(302, ""), (302, "Location: ftp://a.test/\r\n"), (300, "Location: /x\r\n"), (305, "")]
    {
        let server = Server::answering(vec![answer(&format!("{status} Odd"), fields, "")]).await;
        assert_fault(&get(&fetcher(), &server.url("/")).await, Fault::BadRedirect, fields);
    }
}

#[tokio::test]
async fn answers_without_a_body_are_whole_whatever_length_they_state() {
    let fields = "Content-Length: 1000\r\nContent-Encoding: gzip\r\n";
    let server = Server::answering(vec![answer("200 OK", fields, "")]).await;
    let head = FetchRequest::new(Method::HEAD, Url::parse(&server.url("/")).unwrap());
    assert_eq!(fetcher().fetch(head).await.outcome, Outcome::Answered(200));
    for status in [204, 304] {
        let server = Server::answering(vec![answer(&format!("{status} Nothing"), fields, "")]).await;
        assert_eq!(get(&fetcher(), &server.url("/")).await.outcome, Outcome::Answered(status));
    }
}

#[tokio::test]
async fn a_kept_connection_is_used_again_unless_it_is_to_be_closed() {
    let twice = vec![Act::Read, page("one"), Act::Read, page("two"), Act::Stall];
    let server = Server::start(vec![twice.clone(), twice]).await;
    let (fetcher, url) = (fetcher(), Url::parse(&server.url("/")).unwrap());
    assert!(!fetcher.fetch(FetchRequest::get(url.clone())).await.reused);
    assert!(
        fetcher
            .fetch(FetchRequest { connection: Connection::Close, ..FetchRequest::get(url.clone()) })
            .await
            .reused
    );
    assert!(!fetcher.fetch(FetchRequest::get(url.clone())).await.reused);
    assert!(
        !fetcher.fetch(FetchRequest { connection: Connection::Fresh, ..FetchRequest::get(url) }).await.reused
    );
    let closes: Vec<bool> =
        server.requests().iter().map(|request| request.contains("connection: close")).collect();
    assert_eq!(closes, [false, true, false, true]);
}

#[tokio::test]
async fn a_reused_connection_that_dies_before_the_answer_is_told_from_a_new_one() {
    // The server reads the second request, and then closes the connection.
    let server = Server::start(vec![
        vec![Act::Read, page("one"), Act::Read],
        vec![Act::Read, page("two"), Act::Read, Act::Reset],
        vec![Act::Read],
    ])
    .await;
    let fetcher = fetcher();
    let url = server.url("/");
    assert_eq!(get(&fetcher, &url).await.outcome, Outcome::Answered(200));
    assert_fault(&get(&fetcher, &url).await, Fault::StaleConnection, "closed");
    assert_eq!(get(&fetcher, &url).await.outcome, Outcome::Answered(200));
    assert_fault(&get(&fetcher, &url).await, Fault::StaleConnection, "reset");
    assert_fault(&get(&fetcher, &url).await, Fault::Reset, "a new connection is not stale");
    assert_eq!(server.requests().len(), 5, "nothing was sent that was not asked for");
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_costs_no_second_request() {
    // Each connection is closed after one answer. The fetcher does not notice that hyper makes a new connection.
    let server = Server::start(vec![vec![Act::Read, page("one")]]).await;
    let fetcher = fetcher();
    for _ in 0..20 {
        let fetched = get(&fetcher, &server.url("/")).await;
        assert!(
            matches!(fetched.outcome, Outcome::Answered(200) | Outcome::Failed(Fault::StaleConnection)),
            "{:?}",
            fetched.outcome
        );
    }
    assert!(server.requests().len() <= 20);
}

#[tokio::test]
async fn a_post_goes_over_a_connection_of_its_own_and_is_sent_once() {
    let server = Server::start(vec![
        vec![Act::Read, page("one"), Act::Read],
        vec![Act::Read, Act::Reset],
        vec![Act::Read, page("never")],
    ])
    .await;
    let fetcher = fetcher();
    let url = Url::parse(&server.url("/orders")).unwrap();
    assert_eq!(fetcher.fetch(FetchRequest::get(url.clone())).await.outcome, Outcome::Answered(200));
    let post = FetchRequest { body: Some("order".into()), ..FetchRequest::new(Method::POST, url) };
    assert_fault(&fetcher.fetch(post).await, Fault::Reset, "POST");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].starts_with("POST /orders"), "{}", requests[1]);
    assert!(requests[1].contains("content-length: 5"), "{}", requests[1]);
}

#[tokio::test]
async fn headers_of_the_request_go_first_but_framing_is_ours() {
    let server = Server::answering(vec![page("ok")]).await;
    let mut order = FetchRequest::get(Url::parse(&server.url("/")).unwrap());
    order.headers.insert(header::USER_AGENT, HeaderValue::from_static("Bench/1"));
    order.headers.insert("x-api-key", HeaderValue::from_static("k"));
    order.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("99"));
    order.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    assert_eq!(fetcher().fetch(order).await.outcome, Outcome::Answered(200));
    let request = server.requests().remove(0);
    assert!(request.contains("user-agent: Bench/1\r\n") && request.contains("x-api-key: k\r\n"), "{request}");
    assert!(!request.contains("content-length") && !request.contains("transfer-encoding"), "{request}");
}

#[tokio::test]
async fn content_that_nobody_wants_is_not_read() {
    let fields = "Content-Type: image/png\r\nContent-Length: 9000000\r\n";
    let server = Server::answering(vec![answer("200 OK", fields, "png"), Act::Stall]).await;
    let order =
        FetchRequest { accept: Accept::Text, ..FetchRequest::get(Url::parse(&server.url("/")).unwrap()) };
    let fetched = fetcher().fetch(order).await;
    assert_fault(&fetched, Fault::NotText, "image");
    assert_eq!(fetched.wire_bytes, 0);
}

/// A resolver for tests, which knows a few names.
struct Names;

impl Lookup for Names {
    fn lookup(&self, name: String) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupError>> {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        async move {
            match name.as_str() {
                "inside.test" => Ok(vec![loopback]),
                // The first address refuses connections, and the second address answers.
                "both.test" => Ok(vec![IpAddr::from([127, 0, 0, 99]), loopback]),
                "mixed.test" => Ok(vec![IpAddr::from([10, 0, 0, 1]), loopback]),
                "tired.test" => Err(LookupError::Temporary { name, detail: "try again".into() }),
                "empty-handed.test" => Err(LookupError::Ours { name }),
                "silent.test" => std::future::pending().await,
                _ => Err(LookupError::NoSuchName { name }),
            }
        }
        .boxed()
    }
}

fn named(settings: WebSettings) -> crate::Fetcher {
    fetcher_with(settings, DnsCache::new(Names))
}

#[tokio::test]
async fn names_are_resolved_and_every_permitted_address_is_tried() {
    let server = Server::answering(vec![page("ok")]).await;
    let port = server.address.port();
    for name in ["inside.test", "both.test", "mixed.test"] {
        let fetched = get(&named(local()), &format!("http://{name}:{port}/")).await;
        assert_eq!(fetched.outcome, Outcome::Answered(200), "{name}: {:?}", fetched.error);
        assert_eq!(fetched.head.unwrap().remote, Some(server.address));
    }
}

#[tokio::test]
async fn failures_of_names_are_told_apart() {
    let settings = WebSettings { connect_timeout: SHORT, ..local() };
    for (name, fault) in [
        ("nowhere.test", Fault::NoSuchName),
        ("tired.test", Fault::Dns),
        ("empty-handed.test", Fault::Ours),
        ("silent.test", Fault::Dns),
    ] {
        let fetched = get(&named(settings.clone()), &format!("http://user:secret@{name}/")).await;
        assert_fault(&fetched, fault, name);
        let error = fetched.error.unwrap();
        assert!(error.contains(name) && !error.contains("secret"), "{error}");
    }
    // The deadline of the attempt may pass before the query ends.
    let hasty = named(local()).limits(Limits { timeout: SHORT, ..Limits::default() });
    assert_fault(&get(&hasty, "http://silent.test/").await, Fault::Dns, "deadline while resolving");
}

#[tokio::test]
async fn addresses_that_are_not_public_are_blocked_in_every_spelling_and_nothing_is_sent() {
    let server = Server::answering(vec![page("secret")]).await;
    let port = server.address.port();
    let public = named(WebSettings { addresses: AddressPolicy::public(), ..local() });
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "inside.test",
        "169.254.169.254",
    ] {
        let fetched = get(&public, &format!("http://{host}:{port}/")).await;
        assert_fault(&fetched, Fault::BlockedAddress, host);
    }
    // The target of a redirect is checked like any other URL.
    let redirect =
        answer("302 Found", &format!("Location: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n"), "");
    let outer = Server::answering(vec![redirect]).await;
    let location = get(&named(local()), &outer.url("/")).await.location.unwrap();
    assert_fault(&public.fetch(FetchRequest::get(location)).await, Fault::BlockedAddress, "redirect");
    assert!(server.requests().is_empty());
}

/// A resolver that answers each query with the next of these lists of addresses, whatever the name is. This is how
/// an attacker who owns the name could answer (DNS rebinding).
struct Rebinding(Mutex<VecDeque<Vec<IpAddr>>>);

impl Rebinding {
    fn new(answers: &[&[[u8; 4]]]) -> Self {
        let addresses = |answer: &&[[u8; 4]]| answer.iter().copied().map(IpAddr::from).collect();
        Self(Mutex::new(answers.iter().map(addresses).collect()))
    }
}

impl Lookup for Rebinding {
    fn lookup(&self, _: String) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupError>> {
        let answer = self.0.lock().unwrap().pop_front().expect("asked too often");
        async move { Ok(answer) }.boxed()
    }
}

/// An address to which connections are allowed. The constant below it is an address to which they are not allowed.
const OURS: [u8; 4] = [127, 0, 0, 1];
const FORBIDDEN: [u8; 4] = [127, 0, 0, 77];

fn only_ours() -> WebSettings {
    WebSettings { addresses: AddressPolicy::allow(["127.0.0.1"]).unwrap(), ..WebSettings::default() }
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_checked_on_the_very_address_connected_to() {
    let server =
        Server::answering(vec![answer("200 OK", "Content-Length: 2\r\nConnection: close\r\n", "ok")]).await;
    let port = server.address.port();
    let inside = TcpListener::bind((IpAddr::from(FORBIDDEN), port)).await.unwrap();
    let dns = DnsCache::new(Rebinding::new(&[&[OURS], &[FORBIDDEN]])).keeping(Duration::ZERO);
    let fetcher = fetcher_with(only_ours(), dns);
    let url = format!("http://rebinding.test:{port}/");
    assert_eq!(get(&fetcher, &url).await.outcome, Outcome::Answered(200));
    assert_fault(&get(&fetcher, &url).await, Fault::BlockedAddress, "the second answer");
    assert!(inside.accept().now_or_never().is_none(), "nobody connected");
}

#[tokio::test]
async fn an_attempt_asks_for_a_name_once_so_that_what_is_checked_is_what_is_used() {
    // The list has only one answer, so a second query of this attempt would panic.
    let server = Server::answering(vec![page("ok")]).await;
    let fetcher =
        fetcher_with(only_ours(), DnsCache::new(Rebinding::new(&[&[OURS]])).keeping(Duration::ZERO));
    let fetched = get(&fetcher, &format!("http://rebinding.test:{}/", server.address.port())).await;
    assert_eq!(fetched.outcome, Outcome::Answered(200));
}

#[tokio::test]
async fn a_dead_public_address_does_not_lead_on_to_a_private_one() {
    let inside = TcpListener::bind((IpAddr::from(FORBIDDEN), 0)).await.unwrap();
    let port = inside.local_addr().unwrap().port();
    for answer in [&[OURS, FORBIDDEN][..], &[FORBIDDEN, OURS]] {
        let fetcher = fetcher_with(only_ours(), DnsCache::new(Rebinding::new(&[answer])));
        let fetched = get(&fetcher, &format!("http://mixed.test:{port}/")).await;
        assert_fault(&fetched, Fault::Connect, "only the permitted address is tried");
    }
    assert!(inside.accept().now_or_never().is_none(), "nobody connected");
}

#[tokio::test]
async fn other_schemes_are_never_fetched() {
    for url in ["ftp://a.test/", "file:///etc/passwd", "data:text/html,x", "javascript:alert(1)"] {
        assert_fault(&get(&fetcher(), url).await, Fault::UnsupportedScheme, url);
    }
}

/// Returns the TLS settings of a server whose certificate no authority has signed. Its key was made for these tests
/// only.
fn tls_acceptor(protocol: &str) -> tokio_rustls::TlsAcceptor {
    let certificate = rustls::pki_types::CertificateDer::from(&include_bytes!("localhost.cert.der")[..]);
    let key = rustls::pki_types::PrivateKeyDer::try_from(&include_bytes!("localhost.key.der")[..]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

pub(super) async fn https_server() -> std::net::SocketAddr {
    let acceptor = tls_acceptor("http/1.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut block = [0; 4_096];
            let _ = stream.read(&mut block).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn certificates_are_verified_unless_nobody_asks() {
    let url = format!("https://{}/", https_server().await);
    assert_fault(&get(&fetcher(), &url).await, Fault::Certificate, "self-signed");
    let trusting = fetcher_with(WebSettings { tls: Tls::Anybody, ..local() }, DnsCache::default());
    assert_eq!(get(&trusting, &url).await.outcome, Outcome::Answered(200));
}

/// Starts an HTTP/2 server that resets the stream of a request for `/reset`.
async fn http2_server() -> std::net::SocketAddr {
    let acceptor = tls_acceptor("h2");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    if request.uri().path() == "/reset" {
                        respond.send_reset(h2::Reason::INTERNAL_ERROR);
                        continue;
                    }
                    let mut head = http::Response::new(());
                    match request.uri().path() {
                        "/many" => (0..1_200).for_each(|n| {
                            head.headers_mut().append("x-many", HeaderValue::from(n));
                        }),
                        "/large" => {
                            let value = HeaderValue::from_str(&"y".repeat(150_000)).unwrap();
                            head.headers_mut().append("x-large", value);
                        }
                        "/short" => {
                            head.headers_mut().append(header::CONTENT_LENGTH, HeaderValue::from(1_000));
                        }
                        "/odd" => *head.status_mut() = http::StatusCode::from_u16(999).unwrap(),
                        _ => {}
                    }
                    let mut body = respond.send_response(head, false).unwrap();
                    // To cut an answer off, the server drops its body without an end.
                    let _ = body.send_data("over two".into(), request.uri().path() != "/cut");
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered() {
    let address = http2_server().await;
    let trusting = fetcher_with(WebSettings { tls: Tls::Anybody, ..local() }, DnsCache::default());
    let order = FetchRequest::get(Url::parse(&format!("https://{address}/")).unwrap());
    for (connection, reused) in
        [(Connection::Keep, false), (Connection::Close, true), (Connection::Fresh, false)]
    {
        let fetched = trusting.fetch(FetchRequest { connection, ..order.clone() }).await;
        assert_eq!(fetched.outcome, Outcome::Answered(200), "{:?}", fetched.error);
        assert_eq!((&fetched.body[..], fetched.reused), (&b"over two"[..], reused));
        assert_eq!(fetched.head.unwrap().version, http::Version::HTTP_2);
    }
    // Only the stream was reset, not the connection. So the fault is not a stale connection, although the connection
    // was reused.
    assert_fault(&get(&trusting, &format!("https://{address}/reset")).await, Fault::Reset, "stream reset");
}

#[tokio::test]
async fn what_is_refused_over_one_is_refused_over_two() {
    let address = http2_server().await;
    let trusting = fetcher_with(WebSettings { tls: Tls::Anybody, ..local() }, DnsCache::default())
        .limits(Limits { timeout: SHORT * 5, ..Limits::default() });
    for (path, faults) in [
        ("/many", &[Fault::TooManyHeaders][..]),
        // h2 resets the stream for this answer, without stating another reason.
        ("/large", &[Fault::TooManyHeaders, Fault::Protocol, Fault::Reset]),
        ("/short", &[Fault::Reset, Fault::Protocol]),
        ("/cut", &[Fault::Reset]),
        ("/odd", &[Fault::BadStatus]),
    ] {
        let fetched = get(&trusting, &format!("https://{address}{path}")).await;
        let Outcome::Failed(fault) = fetched.outcome else { panic!("{path}: {:?}", fetched.outcome) };
        assert!(faults.contains(&fault), "{path}: {fault:?}, {:?}", fetched.error);
        assert!(fetched.body.is_empty(), "{path}");
    }
    // The other streams of the connection are not affected.
    assert_eq!(get(&trusting, &format!("https://{address}/")).await.outcome, Outcome::Answered(200));
}

#[test]
fn what_crosses_threads_can() {
    fn assert_send<T: Send>() {}
    assert_send::<crate::Web>();
    assert_send::<crate::Fetched>();
    assert_send::<crate::BodyBudget>();
}

#[tokio::test]
async fn handshakes_that_break_off_are_tls_failures() {
    let hello = vec![Act::Read, send("HTTP/1.1 400 This is not TLS\r\n\r\n")];
    for (acts, what) in
        [(vec![send("this is not TLS at all")], "garbage"), (vec![], "closed"), (hello, "half")]
    {
        let server = Server::start(vec![acts]).await;
        let fetcher = fetcher_with(WebSettings { connect_timeout: SHORT, ..local() }, DnsCache::default());
        let fetched = get(&fetcher, &format!("https://{}/", server.address)).await;
        let fault = if what == "half" { Fault::Connect } else { Fault::Tls };
        assert_fault(&fetched, fault, what);
    }
}
