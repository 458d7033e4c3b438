//! The server of the site: each of its threads has one listener for all loopback addresses.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket};

use super::{Pages, SitePlan, Stats, host_of, page_of};
use crate::measure;

/// Answers requests until standard input is closed.
///
/// # Errors
/// When the server cannot listen on its port.
pub(crate) fn run(plan: SitePlan) -> Result<()> {
    measure::raise_descriptors();
    // This socket reserves the port until all threads have bound it as well.
    let reserved = socket().context("cannot make a socket")?;
    reserved.bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)).context("cannot reserve a port")?;
    let port = reserved.local_addr()?.port();
    let site = Arc::new(ServedSite::new(plan, port));
    let (ready, listening) = std::sync::mpsc::channel();
    for _ in 0..plan.threads {
        let (site, ready) = (site.clone(), ready.clone());
        std::thread::spawn(move || {
            let served = serve(&site, port, &ready);
            // `serve` returns only if it cannot listen. Then the parent process gets this error instead of the port
            // number.
            let _ = ready.send(served);
        });
    }
    for _ in 0..plan.threads {
        listening.recv().context("a thread of the site panicked")??;
    }
    println!("{port}");
    site.obey()
}

struct ServedSite {
    plan: SitePlan,
    pages: Pages,
    /// The compressed pages, if the plan asks for compression. They are made in advance, because compressing a page
    /// takes longer than writing it again.
    compressed: Vec<Bytes>,
    /// The pages as they are written, if the plan asks to keep them.
    kept: Vec<Bytes>,
    asked: Vec<AtomicU32>,
    not_found: AtomicU64,
    robots: AtomicU64,
    connections: AtomicU64,
    in_flight: AtomicU64,
    /// The times of the requests to each host, in microseconds since the start of the site; empty unless the plan asks
    /// for them.
    arrivals: Mutex<Vec<Vec<u64>>>,
    started: Instant,
}

impl ServedSite {
    fn new(plan: SitePlan, port: u16) -> Self {
        let pages = Pages::new(plan, port);
        let page = |n: usize| pages.write(n / plan.pages, n % plan.pages);
        let all_if = |wanted| 0..if wanted { plan.all() } else { 0 };
        let compressed = all_if(plan.gzip).map(|n| compress(page(n).as_bytes())).collect();
        let kept = all_if(plan.kept).map(|n| page(n).into()).collect();
        Self {
            plan,
            pages,
            compressed,
            kept,
            asked: (0..plan.all()).map(|_| AtomicU32::new(0)).collect(),
            not_found: AtomicU64::new(0),
            robots: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            arrivals: Mutex::new(vec![Vec::new(); if plan.timed { plan.hosts } else { 0 }]),
            started: Instant::now(),
        }
    }

    /// Reads commands from standard input, and carries them out until the input is closed.
    fn obey(&self) -> Result<()> {
        let mut since = measure::own_cpu();
        for line in std::io::stdin().lock().lines() {
            match line.context("cannot read a command")?.as_str() {
                "reset" => {
                    self.reset();
                    since = measure::own_cpu();
                    println!("{{}}");
                }
                "stats" => {
                    let cpu_s = measure::own_cpu().saturating_sub(since).as_secs_f64();
                    println!("{}", serde_json::to_string(&self.stats(cpu_s))?);
                }
                "arrivals" => println!("{}", serde_json::to_string(&*self.arrivals())?),
                other => bail!("the site has no command {other}"),
            }
            std::io::stdout().flush()?;
        }
        Ok(())
    }

    fn reset(&self) {
        for counter in [&self.not_found, &self.robots, &self.connections] {
            counter.store(0, Ordering::Relaxed);
        }
        self.asked.iter().for_each(|asked| asked.store(0, Ordering::Relaxed));
        self.arrivals().iter_mut().for_each(Vec::clear);
    }

    fn arrivals(&self) -> MutexGuard<'_, Vec<Vec<u64>>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats(&self, cpu_s: f64) -> Stats {
        let asked = self.asked.iter().map(|asked| asked.load(Ordering::Relaxed)).filter(|asked| *asked > 0);
        let (distinct, requests) = asked.fold((0, 0), |(n, sum), asked| (n + 1, sum + u64::from(asked)));
        Stats {
            distinct,
            duplicates: requests - distinct as u64,
            not_found: self.not_found.load(Ordering::Relaxed),
            robots: self.robots.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            cpu_s,
        }
    }

    async fn answer(&self, host: usize, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if self.plan.timed
            && let Some(arrivals) = self.arrivals().get_mut(host)
        {
            arrivals.push(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        let path = request.uri().path();
        if path == "/robots.txt" {
            self.robots.fetch_add(1, Ordering::Relaxed);
            return response(StatusCode::OK, "text/plain", Bytes::from_static(ROBOTS));
        }
        let page = page_of(path).filter(|page| host < self.plan.hosts && *page < self.plan.pages);
        let Some(page) = page else {
            self.not_found.fetch_add(1, Ordering::Relaxed);
            return response(StatusCode::NOT_FOUND, HTML, Bytes::from_static(b"<h1>Not here</h1>"));
        };
        let n = host * self.plan.pages + page;
        self.asked[n].fetch_add(1, Ordering::Relaxed);
        if self.plan.latency_ms > 0 {
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(self.plan.latency_ms)).await;
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(body) = self.compressed.get(n).filter(|_| takes_gzip(request)) {
            let mut response = response(StatusCode::OK, HTML, body.clone());
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            return response;
        }
        let body = self.kept.get(n).cloned().unwrap_or_else(|| self.pages.write(host, page).into());
        response(StatusCode::OK, HTML, body)
    }
}

fn takes_gzip(request: &Request<Incoming>) -> bool {
    let accepted = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("gzip"))
}

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn compress(page: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(5));
    // Writing to a vector cannot fail.
    let _ = encoder.write_all(page);
    encoder.finish().unwrap_or_default().into()
}

fn socket() -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    Ok(socket)
}

/// Answers requests on this thread without end. Sends a message on `ready` when the thread listens.
fn serve(site: &Arc<ServedSite>, port: u16, ready: &std::sync::mpsc::Sender<Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let socket = socket()?;
        // One listener serves all loopback addresses. Connections from other machines are not served.
        socket.bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))?;
        let listener = socket.listen(4_096)?;
        let _ = ready.send(Ok(()));
        accept(site, &listener).await;
        Ok(())
    })
}

async fn accept(site: &Arc<ServedSite>, listener: &TcpListener) {
    let last_words = RefCell::new(None);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Probably the process has no file descriptor left. This error is reported once, and then the loop
                // tries to accept again.
                if last_words.replace(Some(error.kind())) != Some(error.kind()) {
                    eprintln!("the site cannot accept: {error}");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let Ok(SocketAddr::V4(own)) = stream.local_addr() else { continue };
        let (IpAddr::V4(peer), Some(host)) = (peer.ip(), host_of(*own.ip())) else { continue };
        if !peer.is_loopback() {
            continue;
        }
        let _ = stream.set_nodelay(true);
        site.connections.fetch_add(1, Ordering::Relaxed);
        let site = site.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let site = &site;
                async move { Ok::<_, Infallible>(site.answer(host, &request).await) }
            });
            // An error means that the client broke the connection. The page still counts as requested.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

const HTML: &str = "text/html; charset=utf-8";
const ROBOTS: &[u8] = b"User-agent: *\nDisallow: /find\nAllow: /\n";
