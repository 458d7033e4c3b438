//! Tests with real forward proxies on loopback: requests in absolute form, tunnels and SOCKS, through proxies that
//! work, answer wrongly, or are unreachable.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opilio_core::{Fault, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::server::{Act, Server, answer, page};
use super::web::https_server;
use super::{assert_fault, fetcher_with, get, local};
use crate::{Connection, DnsCache, FetchRequest, Fetcher, Proxy, Tls, WebSettings};

/// The behaviour of a test proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Carries,
    /// Answers each request, or each CONNECT, with this status.
    Refuses(u16),
    Socks,
    /// Accepts each connection, and closes it without an answer.
    HangsUp,
}

/// A forward proxy, with the first line and the login of each request that it received.
struct Forward {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Forward {
    /// Starts a proxy that resolves every name to `target`.
    async fn start(target: SocketAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = log.clone();
                tokio::spawn(async move {
                    let _ = serve(stream, target, manner, &log).await;
                });
            }
        });
        Self { address, seen }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://me:s3cret@{}", self.address)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut client: TcpStream,
    target: SocketAddr,
    manner: Manner,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    match manner {
        Manner::HangsUp => return Ok(()),
        Manner::Socks => return socks(client, target, log).await,
        Manner::Carries | Manner::Refuses(_) => {}
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let login = head.lines().find(|line| line.to_ascii_lowercase().starts_with("proxy-authorization"));
    let first = head.lines().next().unwrap_or_default().to_owned();
    log.lock().unwrap().push(format!("{first} {}", login.unwrap_or_default()));
    if let Manner::Refuses(status) = manner {
        let refusal = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        client.write_all(refusal.as_bytes()).await?;
        return client.shutdown().await;
    }
    let mut server = TcpStream::connect(target).await?;
    if first.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    } else {
        server.write_all(head.as_bytes()).await?;
    }
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// Serves SOCKS 5 (RFC 1928) with a login (RFC 1929); the client names the host, and the proxy resolves the name.
async fn socks(mut client: TcpStream, target: SocketAddr, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut pair = [0; 2];
    client.read_exact(&mut pair).await?;
    let mut methods = vec![0; usize::from(pair[1])];
    client.read_exact(&mut methods).await?;
    client.write_all(&[5, 2]).await?;
    client.read_exact(&mut pair).await?;
    let mut user = vec![0; usize::from(pair[1])];
    client.read_exact(&mut user).await?;
    let mut password = vec![0; usize::from(client.read_u8().await?)];
    client.read_exact(&mut password).await?;
    client.write_all(&[1, 0]).await?;
    let mut request = [0; 5];
    client.read_exact(&mut request).await?;
    assert_eq!(request[3], 3, "names are the proxy's to resolve");
    let mut name = vec![0; usize::from(request[4])];
    client.read_exact(&mut name).await?;
    client.read_u16().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    log.lock().unwrap().push(format!("{} as {}:{}", text(&name), text(&user), text(&password)));
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
    let mut server = TcpStream::connect(target).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

fn through(proxies: &[String]) -> Fetcher {
    let proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
    // These names cannot be resolved here, so a request can succeed only through a proxy.
    fetcher_with(WebSettings { proxies, tls: Tls::Anybody, ..local() }, DnsCache::default())
}

async fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn plain_requests_go_in_absolute_form_and_tunnels_carry_tls() {
    let server = Server::answering(vec![page("hello")]).await;
    let proxy = Forward::start(server.address, Manner::Carries).await;
    let fetched = get(&through(&[proxy.url("http")]), "http://shop.test/a?b").await;
    assert_eq!((fetched.outcome, &fetched.body[..]), (Outcome::Answered(200), &b"hello"[..]));
    // The login is `me:s3cret`, encoded in base64.
    let login = "proxy-authorization: Basic bWU6czNjcmV0";
    assert_eq!(
        proxy.seen()[0].to_ascii_lowercase(),
        format!("get http://shop.test/a?b http/1.1 {login}").to_ascii_lowercase()
    );
    assert_eq!(fetched.head.unwrap().remote, None, "the proxy's address is not the page's");

    let proxy = Forward::start(https_server().await, Manner::Carries).await;
    let fetched = get(&through(&[proxy.url("http")]), "https://localhost/").await;
    assert_eq!(
        (fetched.outcome, &fetched.body[..]),
        (Outcome::Answered(200), &b"ok"[..]),
        "{:?}",
        fetched.error
    );
    assert!(proxy.seen()[0].starts_with("CONNECT localhost:443 "), "{:?}", proxy.seen());
}

#[tokio::test]
async fn socks_proxies_resolve_the_names() {
    let server = Server::answering(vec![page("hello")]).await;
    let proxy = Forward::start(server.address, Manner::Socks).await;
    let fetched = get(&through(&[proxy.url("socks5")]), "http://shop.test/").await;
    assert_eq!(fetched.outcome, Outcome::Answered(200), "{:?}", fetched.error);
    assert_eq!(proxy.seen(), ["shop.test as me:s3cret"]);
}

#[tokio::test]
async fn a_request_may_name_its_own_proxy() {
    let server = Server::answering(vec![page("hello")]).await;
    let (one, own) = (
        Forward::start(server.address, Manner::Carries).await,
        Forward::start(server.address, Manner::Carries).await,
    );
    let fetcher = through(&[one.url("http")]);
    let proxy: Proxy = own.url("http").parse().unwrap();
    let order =
        FetchRequest { proxy: Some(proxy), ..FetchRequest::get("http://shop.test/".parse().unwrap()) };
    assert_eq!(fetcher.fetch(order).await.outcome, Outcome::Answered(200));
    assert_eq!((one.seen().len(), own.seen().len()), (0, 1));
}

#[tokio::test]
async fn they_take_turns_and_what_a_dead_one_does_not_carry_the_next_one_does() {
    let server = Server::answering(vec![page("hello")]).await;
    let live = Forward::start(server.address, Manner::Carries).await;
    let other = Forward::start(server.address, Manner::Carries).await;
    let fetcher = through(&[live.url("http"), closed().await, other.url("http")]);
    let mut outcomes = Vec::new();
    for n in 0..7 {
        let fetched = get(&fetcher, &format!("http://shop{n}.test/")).await;
        outcomes.push(fetched.outcome);
        assert!(!fetched.error.unwrap_or_default().contains("s3cret"));
    }
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Answered(200)), "{outcomes:?}");
    assert_eq!((live.seen().len(), other.seen().len()), (4, 3));
}

#[tokio::test]
async fn each_is_tried_once_and_one_that_is_left_is_enough() {
    let server = Server::answering(vec![page("hello")]).await;
    let (shut, bad) = (
        Forward::start(server.address, Manner::Refuses(407)).await,
        Forward::start(server.address, Manner::Refuses(407)).await,
    );
    let live = Forward::start(server.address, Manner::Carries).await;
    let dead = closed().await;
    let fetcher = through(&[shut.url("http"), dead.clone(), bad.url("http"), live.url("http")]);
    let fetched = get(&fetcher, "http://shop.test/").await;
    assert_eq!(fetched.outcome, Outcome::Answered(200), "{:?}", fetched.error);
    assert_eq!([&shut, &bad, &live].map(|proxy| proxy.seen().len()), [1, 1, 1]);
    // A request with a body is tested in the same way. The body is sent in full to the proxy that accepts it.
    let fetcher = through(&[shut.url("http"), live.url("http")]);
    let order = FetchRequest {
        method: http::Method::POST,
        body: Some("x=1".into()),
        ..FetchRequest::get("http://shop.test/".parse().unwrap())
    };
    assert_eq!(fetcher.fetch(order).await.outcome, Outcome::Answered(200));

    let fetcher = through(&[shut.url("http"), dead.clone(), bad.url("http")]);
    assert_fault(&get(&fetcher, "http://shop.test/").await, Fault::Proxy, "none carries it");
    assert_eq!([&shut, &bad].map(|proxy| proxy.seen().len()), [3, 2]);
    // When all proxies rest, only one of them is tried.
    assert_fault(&get(&fetcher, "http://shop.test/").await, Fault::Proxy, "none carries it");
    assert!(shut.seen().len() + bad.seen().len() <= 6);
}

#[tokio::test]
async fn a_proxy_that_wants_a_login_is_named_as_one() {
    let server = Server::answering(vec![page("hello")]).await;
    let proxy = Forward::start(server.address, Manner::Refuses(407)).await;
    for url in ["http://shop.test/", "https://shop.test/"] {
        for (own, says) in [
            (proxy.url("http"), "does not accept the login (407)"),
            (format!("http://{}", proxy.address), "requires a login (407)"),
        ] {
            let fetched = get(&through(&[own]), url).await;
            assert_fault(&fetched, Fault::Proxy, url);
            let error = fetched.error.unwrap_or_default();
            assert!(error.contains(says) && error.contains(&proxy.address.to_string()), "{error}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_fails_is_told_from_a_host_that_does() {
    let server = Server::answering(vec![page("hello")]).await;
    for (manner, url, fault) in [
        (Manner::Refuses(407), "http://shop.test/", Fault::Proxy),
        (Manner::Refuses(407), "https://shop.test/", Fault::Proxy),
        (Manner::HangsUp, "https://shop.test/", Fault::Proxy),
        (Manner::HangsUp, "http://shop.test/", Fault::Proxy),
        // The proxy has never carried a request, so the failure counts as the proxy's.
        (Manner::Refuses(502), "https://shop.test/", Fault::Proxy),
    ] {
        let proxy = Forward::start(server.address, manner).await;
        let fetched = get(&through(&[proxy.url("http")]), url).await;
        assert_fault(&fetched, fault, url);
        assert!(!fetched.error.unwrap().contains("s3cret"));
    }
    assert_fault(&get(&through(&[closed().await]), "https://shop.test/").await, Fault::Proxy, "closed");
    let nowhere = "http://no-such-proxy.invalid:3128".to_owned();
    assert_fault(&get(&through(&[nowhere]), "http://shop.test/").await, Fault::Proxy, "no such name");
    // A request that must not be repeated counts as sent once its proxy has accepted part of it.
    let proxy = Forward::start(server.address, Manner::HangsUp).await;
    let post = FetchRequest::new(http::Method::POST, "http://shop.test/".parse().unwrap());
    assert_fault(&through(&[proxy.url("http")]).fetch(post).await, Fault::Reset, "a POST");
    let flaky = Server::start(vec![vec![Act::Read, page("hello")], vec![Act::Read]]).await;
    let proxy = Forward::start(flaky.address, Manner::Carries).await;
    let fetcher = through(&[proxy.url("http")]);
    let once = || FetchRequest {
        connection: Connection::Close,
        ..FetchRequest::get("http://shop.test/".parse().unwrap())
    };
    assert_eq!(fetcher.fetch(once()).await.outcome, Outcome::Answered(200));
    assert_fault(&fetcher.fetch(once()).await, Fault::Reset, "the host hangs up");
    // The host's answer through a proxy counts as the host's, even if it is a 502.
    let broken = Server::answering(vec![answer("502 Bad", "Content-Length: 0\r\n", "")]).await;
    let proxy = Forward::start(broken.address, Manner::Carries).await;
    assert_eq!(
        get(&through(&[proxy.url("http")]), "http://shop.test/").await.outcome,
        Outcome::Answered(502)
    );
}

#[tokio::test]
async fn an_address_in_a_url_is_checked_behind_a_proxy_too() {
    let server = Server::answering(vec![page("hello")]).await;
    let proxy = Forward::start(server.address, Manner::Carries).await;
    let fetched = get(&through(&[proxy.url("http")]), "http://169.254.169.254/latest/meta-data").await;
    assert_fault(&fetched, Fault::BlockedAddress, "metadata");
    assert_eq!(proxy.seen().len(), 0);
}
