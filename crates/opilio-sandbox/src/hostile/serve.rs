//! Serves the hostile hosts in real time, with one thread, one listener for each host, and a minimal parser of
//! requests.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::act::{After, close, page, perform, whole};
use super::tls::{Certificates, TlsKind};
use super::{Act, Asked, Ends, Targets, Trouble, TroublePlace, TroubleScript, table};

/// The reason why the hostile hosts could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostileError {
    /// The server cannot listen on an address. On macOS only 127.0.0.1 exists unless aliases are set up.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The certificates cannot be made.
    #[error("cannot make the certificates")]
    Certificates(#[source] rcgen::Error),
    /// The server's thread or its runtime cannot be started.
    #[error("cannot start the hostile server's thread")]
    Thread(#[source] io::Error),
}

/// Describes a hostile server: how many healthy hosts and pages it has, and whether it has troubles.
#[derive(Clone, Debug)]
pub struct HostileBuilder {
    hosts: usize,
    pages: usize,
    troubles: bool,
    silent: usize,
}

impl HostileBuilder {
    /// Sets the number of healthy hosts (5 by default). The host of the index page does not count.
    #[must_use]
    pub fn healthy_hosts(mut self, hosts: usize) -> Self {
        self.hosts = hosts;
        self
    }

    /// Sets the number of healthy pages on each healthy host (20 by default).
    #[must_use]
    pub fn healthy_pages(mut self, pages: usize) -> Self {
        self.pages = pages;
        self
    }

    /// Leaves out all troubles, so that only healthy and silent hosts are served.
    #[must_use]
    pub fn no_troubles(mut self) -> Self {
        self.troubles = false;
        self
    }

    /// Sets the number of hosts that accept connections but never answer, not even for robots.txt (0 by
    /// default).
    #[must_use]
    pub fn silent_hosts(mut self, hosts: usize) -> Self {
        self.silent = hosts;
        self
    }

    /// Starts the server. When this returns, connections are accepted.
    ///
    /// # Errors
    /// When an address cannot be bound, certificates cannot be made, or the thread cannot be started.
    pub fn start(self) -> Result<Hostile, HostileError> {
        let forbidden = bind(Ipv4Addr::LOCALHOST)?;
        let targets = Targets { forbidden: address(&forbidden)?, year: this_year() };
        let certificates = Certificates::new().map_err(HostileError::Certificates)?;
        let mut net = Net::default();
        let mut troubles = if self.troubles { table::all(&targets) } else { Vec::new() };
        for trouble in &mut troubles {
            net.place(trouble, &certificates)?;
        }
        let mut silent = Vec::new();
        for n in 0..self.silent {
            let name = format!("silent-{n}");
            let place = TroublePlace::Host(Arc::new(|_: &Asked| vec![Act::Stall]));
            let mut trouble =
                Trouble::new(&name, "takes connections and never answers", Ends::Trap(0), place);
            net.place(&mut trouble, &certificates)?;
            silent.push(trouble.url);
        }
        let mut healthy = Vec::new();
        for _ in 0..self.hosts {
            let addr = net.add(Arc::new(healthy_host(self.pages)), None)?;
            healthy.extend((0..self.pages).map(|n| format!("http://{addr}/page/{n}")));
        }
        let entries: Vec<String> = healthy
            .iter()
            .chain(&silent)
            .chain(troubles.iter().map(|trouble| &trouble.url))
            .chain(troubles.iter().filter_map(|trouble| trouble.ok_url.as_ref()))
            .cloned()
            .collect();
        let index = net.add(index_host(&entries, &troubles), None)?;
        let trespasses = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = watch::channel(false);
        let thread =
            spawn(net.hosts, forbidden, trespasses.clone(), stopped).map_err(HostileError::Thread)?;
        Ok(Hostile {
            troubles,
            healthy,
            silent,
            index,
            certificates,
            trespasses,
            stop: Arc::new(stop),
            thread: Some(thread),
        })
    }
}

/// A running server of troubles and healthy pages on loopback. It stops when this value is dropped.
#[derive(Debug)]
pub struct Hostile {
    troubles: Vec<Trouble>,
    healthy: Vec<String>,
    silent: Vec<String>,
    index: SocketAddr,
    certificates: Certificates,
    trespasses: Arc<AtomicU64>,
    stop: Arc<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Hostile {
    /// The network that contains the addresses of all its hosts. Nothing else uses this network.
    pub const NETWORK: &str = "127.66.0.0/16";

    /// Returns a builder for other numbers of hosts and pages.
    #[must_use]
    pub fn builder() -> HostileBuilder {
        HostileBuilder { hosts: 5, pages: 20, troubles: true, silent: 0 }
    }

    /// Starts a server of all troubles, and a hundred healthy pages on five hosts.
    ///
    /// # Errors
    /// As [`HostileBuilder::start`].
    pub fn start() -> Result<Self, HostileError> {
        Self::builder().start()
    }

    /// Returns all troubles.
    #[must_use]
    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }

    /// Returns the URLs of the healthy pages, without the index and the `/ok` pages.
    #[must_use]
    pub fn healthy(&self) -> &[String] {
        &self.healthy
    }

    /// Returns the URL of one page of each silent host.
    #[must_use]
    pub fn silent(&self) -> &[String] {
        &self.silent
    }

    /// Returns the URL of the index page, which links to the troubles and the healthy pages.
    #[must_use]
    pub fn index(&self) -> String {
        format!("http://{}/", self.index)
    }

    /// Returns the address of the host of the index page.
    #[must_use]
    pub fn index_addr(&self) -> SocketAddr {
        self.index
    }

    /// Returns the certificate of the authority that signed the certificate of the healthy TLS host. It is in PEM
    /// format, for the variable `SSL_CERT_FILE`.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        self.certificates.authority_pem()
    }

    /// Returns the number of connections that were made to the forbidden address.
    #[must_use]
    pub fn trespasses(&self) -> u64 {
        self.trespasses.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic was printed already.
            let _ = thread.join();
        }
    }
}

/// A host that the server serves.
struct ServedTrouble {
    listener: StdListener,
    script: TroubleScript,
    tls: Option<TlsKind>,
    certificates: Option<Certificates>,
}

/// All hosts of the server. Their addresses follow each other without a gap.
#[derive(Default)]
struct Net {
    hosts: Vec<ServedTrouble>,
}

impl Net {
    /// Makes the host of a trouble, and sets the trouble's URLs.
    fn place(&mut self, trouble: &mut Trouble, certificates: &Certificates) -> Result<(), HostileError> {
        let name = trouble.name.clone();
        match &trouble.place {
            TroublePlace::Url(url) => trouble.url.clone_from(url),
            TroublePlace::Path(script) => {
                let addr = self.add(Arc::new(mostly_healthy(&name, script.clone())), None)?;
                trouble.url = format!("http://{addr}/{name}");
                trouble.ok_url = Some(format!("http://{addr}/ok"));
            }
            TroublePlace::Host(script) => {
                let addr = self.add(script.clone(), None)?;
                trouble.url = format!("http://{addr}/ok?{name}");
            }
            TroublePlace::Tls(kind) => {
                let script: TroubleScript = Arc::new(mostly_healthy("", Arc::new(|_: &Asked| page(OK))));
                let addr = self.add(script, Some((*kind, certificates.clone())))?;
                trouble.url = format!("https://{addr}/ok?{name}");
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        script: TroubleScript,
        tls: Option<(TlsKind, Certificates)>,
    ) -> Result<SocketAddr, HostileError> {
        let [high, low] = u16::try_from(self.hosts.len() + 1).unwrap_or(u16::MAX).to_be_bytes();
        let listener = bind(Ipv4Addr::new(127, 66, high, low))?;
        let addr = address(&listener)?;
        let (tls, certificates) = tls.unzip();
        self.hosts.push(ServedTrouble { listener, script, tls, certificates });
        Ok(addr)
    }
}

fn bind(address: Ipv4Addr) -> Result<StdListener, HostileError> {
    let addr = SocketAddr::from((address, 0));
    let listener = StdListener::bind(addr).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| HostileError::Listen { addr, source })
}

fn address(listener: &StdListener) -> Result<SocketAddr, HostileError> {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    listener.local_addr().map_err(|source| HostileError::Listen { addr: unknown, source })
}

/// Returns a script that uses another script at `/{name}` and the paths below. There is no robots.txt, and every
/// other path is a healthy page.
fn mostly_healthy(name: &str, script: TroubleScript) -> impl Fn(&Asked) -> Vec<Act> + use<> {
    let own = format!("/{name}");
    move |asked| match asked.path.as_str() {
        "/robots.txt" => whole("404 Not Found", "", ""),
        "/ok" => page(OK),
        path if path.starts_with(&own) => script(asked),
        _ => whole("404 Not Found", "", "there is no such page"),
    }
}

fn healthy_host(pages: usize) -> impl Fn(&Asked) -> Vec<Act> {
    move |asked| match asked.path.strip_prefix("/page/").and_then(|n| n.parse::<usize>().ok()) {
        Some(n) => page(format!(
            "<title>Page {n}</title><p>All is well.</p><a href=/page/{}>next</a><a href=/page/{}>another</a>",
            (n + 1) % pages.max(1),
            (n * 7 + 3) % pages.max(1)
        )),
        None => whole("404 Not Found", "", ""),
    }
}

fn index_host(entries: &[String], troubles: &[Trouble]) -> TroubleScript {
    use std::fmt::Write;
    let mut html = String::from("<!doctype html><title>All that can go wrong</title>\n<ol>\n");
    for url in entries {
        let does = troubles.iter().find(|trouble| trouble.url == *url).map_or("", Trouble::does);
        let (url, does) = (escape(url), escape(does));
        // Writing into a string never fails.
        let _ = writeln!(html, "<li><a href=\"{url}\">{url}</a> {does}");
    }
    Arc::new(move |asked| match asked.path.as_str() {
        "/" => page(&html),
        _ => whole("404 Not Found", "", ""),
    })
}

/// Escapes markup in a text: the descriptions of troubles contain markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

fn spawn(
    hosts: Vec<ServedTrouble>,
    forbidden: StdListener,
    trespasses: Arc<AtomicU64>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("hostile".to_owned()).spawn(move || {
        runtime.block_on(async {
            for host in hosts {
                tokio::spawn(accept(host));
            }
            tokio::spawn(count(forbidden, trespasses));
            // An error means that the owner of the server was dropped. Then the server stops, too.
            let _ = stopped.wait_for(|stop| *stop).await;
        });
    })
}

async fn count(listener: StdListener, trespasses: Arc<AtomicU64>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while listener.accept().await.is_ok() {
        trespasses.fetch_add(1, Ordering::Relaxed);
    }
}

async fn accept(host: ServedTrouble) {
    let ServedTrouble { listener, script, tls, certificates } = host;
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let acceptor = tls.zip(certificates).map(|(kind, certificates)| (kind, certificates.acceptor(kind)));
    let count = Arc::new(AtomicU64::new(0));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Either the process has no file descriptor left, or the connection ended before it was accepted.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (script, count) = (script.clone(), count.clone());
        match &acceptor {
            None => tokio::spawn(plain(stream, script, count)),
            Some((TlsKind::Stalled, _)) => tokio::spawn(async move {
                let mut stream = stream;
                perform(&mut stream, vec![Act::Stall]).await;
            }),
            Some((TlsKind::Closed, _)) => tokio::spawn(async move { drop(stream) }),
            Some((TlsKind::Plain, _)) => tokio::spawn(async move {
                let mut stream = stream;
                perform(&mut stream, page(OK)).await;
                close(&mut stream).await;
            }),
            Some((_, acceptor)) => {
                let handshake = acceptor.accept(stream);
                tokio::spawn(async move {
                    if let Ok(mut stream) = handshake.await {
                        converse(&mut stream, script, count).await;
                        close(&mut stream).await;
                    }
                })
            }
        };
    }
}

async fn plain(mut stream: TcpStream, script: TroubleScript, count: Arc<AtomicU64>) {
    if converse(&mut stream, script, count).await == After::Reset {
        // With a linger of zero, closing the socket sends RST.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        return;
    }
    close(&mut stream).await;
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    script: TroubleScript,
    count: Arc<AtomicU64>,
) -> After {
    while let Some((path, last)) = read_request(stream).await {
        let asked = Asked { path, count: count.fetch_add(1, Ordering::Relaxed) };
        let after = perform(stream, script(&asked)).await;
        if after != After::Keep || last {
            return after;
        }
    }
    After::Close
}

/// Reads the next request. Returns its path, and whether the client wants to close the connection afterwards.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<(String, bool)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.ok()?;
        head.push(byte);
        if head.len() > HEAD_MAX {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1)?.to_owned();
    Some((path, head.to_ascii_lowercase().contains("connection: close")))
}

fn this_year() -> u16 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u16::try_from(1970 + wall.as_secs() / 31_556_952).unwrap_or(u16::MAX)
}

pub(super) const OK: &str = "<!doctype html><title>Well</title><p>This page is as it should be.</p>";
const HEAD_MAX: usize = 64 << 10;
