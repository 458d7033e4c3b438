//! The transport that uses reqwest, restricted so that it sends exactly the requests that it is given, and only to
//! allowed addresses.
//!
//! These features of reqwest are switched off: redirects and retries (each is a new start that spends a host's
//! budget), the system's proxies (the address that was checked must be the address that is connected to), `Referer`,
//! and decoding (reqwest would return a body with two content codings undecoded). hyper-util still replaces an idle
//! connection that the server closed before a request was written on it: nothing was sent, so nothing is sent twice.

mod connect;
mod trust;

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::ready;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use http::{HeaderValue, header};
use http_body_util::BodyDataStream;
use opilio_core::{Fault, Proxy};
use url::{Host, Origin, Url};

pub(crate) use self::connect::Blocked;
use self::connect::{NoteConnected, PROGRESS, Resolver, not_public};
use self::trust::tls_config;
use crate::address::AddressPolicy;
use crate::classify::{self, Behind, Exchange};
use crate::connections::{self, ConnectionPlaces, Pools};
use crate::dns::DnsCache;
use crate::limits::Limits;
use crate::proxy::Rotation;
use crate::transport::{Answer, Connection, Phase, Sending, Transport, TransportError, TransportRequest};

/// The settings of the transport for the web.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// The addresses to which connections are allowed.
    pub addresses: AddressPolicy,
    /// The time limit for resolving, connecting and the TLS handshake together (10 s).
    pub connect_timeout: Duration,
    /// The time after which an idle connection is closed (15 s).
    pub idle_timeout: Duration,
    /// The most idle connections per origin and shard (256).
    pub idle_per_host_max: usize,
    /// The most connections that all shards together keep open for further requests (512). When there are as many, those
    /// that have been idle for longest are closed.
    pub kept_max: usize,
    /// The most header fields that an answer may have; see [`Limits::header_count_max`].
    pub header_count_max: usize,
    /// The most header bytes that an answer may have; see [`Limits::header_bytes_max`].
    pub header_bytes_max: usize,
    /// The choice of certificates that TLS accepts.
    pub tls: Tls,
    /// The forward proxies, used in turn. If there are none, connections are direct. A proxy resolves names itself,
    /// so `addresses` is checked only for URLs that contain an IP address instead of a name.
    pub proxies: Vec<Proxy>,
}

/// The choice of certificates that TLS accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tls {
    /// Only certificates of the system's certificate authorities are accepted.
    #[default]
    System,
    /// Any certificate is accepted: whoever controls the network can read and forge everything.
    Anybody,
}

impl Default for WebSettings {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            addresses: AddressPolicy::public(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: connections::IDLE_MAX,
            idle_per_host_max: 256,
            kept_max: 512,
            header_count_max: limits.header_count_max,
            header_bytes_max: limits.header_bytes_max,
            tls: Tls::System,
            proxies: Vec::new(),
        }
    }
}

/// The reason why the transport could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The TLS library supports no usable version of the protocol.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// reqwest's client could not be built.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// The part of the transport that all shards share: the DNS cache, the state of TLS, and the settings.
///
/// ```
/// # mod opilio { pub use opilio_fetch as fetch; }
/// use std::{rc::Rc, sync::Arc};
/// use opilio::fetch::{DnsCache, Fetcher, Web, WebSettings};
///
/// let web = Web::new(WebSettings::default(), Arc::new(DnsCache::default()))?;
/// // Once on each shard's own thread:
/// let fetcher = Fetcher::new(Rc::new(web.transport()?));
/// # let _ = fetcher;
/// # Ok::<(), opilio::fetch::SetupError>(())
/// ```
#[derive(Clone)]
pub struct Web {
    settings: Arc<WebSettings>,
    /// The places for connections that are kept open.
    places: ConnectionPlaces,
    dns: Arc<DnsCache>,
    tls: rustls::ClientConfig,
    /// The reason why the system's trust store of certificates cannot be used; `None` if it can be used.
    untrusting: Option<Arc<str>>,
    /// The order in which the proxies are used, shared by all shards.
    rotation: Arc<Mutex<Rotation>>,
    began: Instant,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Web {
    /// Prepares the part that all shards share. `dns` may also be shared with other transports.
    ///
    /// A system without certificate authorities is not an error here: plain http works, and each https fetch fails
    /// with a text that names this reason.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(settings: WebSettings, dns: Arc<DnsCache>) -> Result<Self, SetupError> {
        let (tls, untrusting) = tls_config(settings.tls)?;
        let rotation = Arc::new(Mutex::new(Rotation::new(settings.proxies.len())));
        let places = ConnectionPlaces::new(settings.kept_max);
        let settings = Arc::new(settings);
        Ok(Self { settings, places, dns, tls, untrusting, rotation, began: Instant::now() })
    }

    /// Makes a transport for one shard, with connections of its own.
    ///
    /// # Errors
    /// When reqwest's client cannot be built.
    pub fn transport(&self) -> Result<ReqwestTransport, SetupError> {
        Ok(ReqwestTransport {
            pools: Rc::new(RefCell::new(Pools::new(self.places.clone(), self.settings.idle_timeout))),
            fresh: self.client(0, None).map_err(SetupError::Client)?,
            fresh_proxied: RefCell::default(),
            web: self.clone(),
        })
    }

    /// Builds a client with at most this many idle connections.
    fn client(&self, idle_max: usize, proxy: Option<&Proxy>) -> Result<reqwest::Client, reqwest::Error> {
        let settings = &self.settings;
        // For a request through a proxy, only the proxy's own name is resolved, and a proxy may have any address.
        let addresses = match proxy {
            Some(_) => AddressPolicy::allow_all(),
            None => settings.addresses.clone(),
        };
        let resolver = Resolver { dns: self.dns.clone(), addresses: Arc::new(addresses) };
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            // A request has its deadline, and an idle connection is closed soon, so no probes are needed.
            .tcp_keepalive(None)
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(idle_max)
            // As in browsers, a malformed header line is ignored, and a value that is folded over several lines is
            // read as one line (RFC 9112 §5.2).
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_max_headers(settings.header_count_max)
            .http2_max_header_list_size(header_list_bytes(settings))
            .tls_backend_preconfigured(self.tls.clone())
            .connector_layer(NoteConnected)
            .dns_resolver(Arc::new(resolver));
        match proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy.expose())?),
            None => builder,
        }
        .build()
    }
}

/// Returns the limit of header bytes as HTTP/2 counts them: 32 bytes per field are added to its name and value (RFC
/// 9113 §6.5.2).
fn header_list_bytes(settings: &WebSettings) -> u32 {
    let bytes = settings.header_bytes_max.saturating_add(settings.header_count_max.saturating_mul(32));
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The transport for the web, for one shard.
pub struct ReqwestTransport {
    /// The clients with a connection pool, one for each origin.
    pools: Rc<RefCell<ClientPools>>,
    /// The client without a pool, for requests that must not be sent over an idle connection, since the server may
    /// have closed it, and for requests whose connection is not kept open.
    fresh: reqwest::Client,
    /// The same for each proxy that was used, ordered by their last use; the most recent is at the end.
    fresh_proxied: RefCell<Vec<(Proxy, reqwest::Client)>>,
    web: Web,
}

type ClientPools = Pools<PooledOrigin, reqwest::Client>;
/// A request in flight that leaves its connection open.
type ClientInUse = connections::Keeping<PooledOrigin, reqwest::Client>;

/// An origin, with the proxy through which it is reached.
type PooledOrigin = (Option<Proxy>, Origin);

/// The proxy that is to carry a request.
struct Via {
    proxy: Proxy,
    /// The index of the proxy in the rotation; `None` if the request itself named the proxy.
    turn: Option<usize>,
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").field("settings", &self.web.settings).finish_non_exhaustive()
    }
}

impl Transport for ReqwestTransport {
    fn send(&self, mut ask: TransportRequest) -> Sending<'_> {
        async move {
            self.check_literal(&ask.url)?;
            let mut via = self.via(&ask);
            // If the proxy of a request failed, the request has reached no server, so another proxy may carry it.
            let others = if via.as_ref().is_some_and(|via| via.turn.is_some()) {
                self.web.settings.proxies.len() - 1
            } else {
                0
            };
            for _ in 0..others {
                let kept = copy(&ask);
                let sent = self.send_via(ask, via).await;
                let next = match &sent {
                    Err(error) if error.fault() == Fault::Proxy => self.next_via(),
                    Ok(_) | Err(_) => None,
                };
                let Some(next) = next else { return sent };
                (ask, via) = (kept, Some(next));
            }
            self.send_via(ask, via).await
        }
        .boxed_local()
    }
}

impl ReqwestTransport {
    /// Sends the request once, through this proxy or, without one, directly.
    async fn send_via(&self, mut ask: TransportRequest, via: Option<Via>) -> Result<Answer, TransportError> {
        let progress = ask.progress.clone();
        let https = ask.url.scheme() == "https";
        // In an https tunnel, a failure after connecting is always the host's. Over plain http, it may be the
        // proxy's.
        let may_be_proxys = !https && ask.connection != Connection::Fresh;
        let (client, keeping) =
            self.client(&ask, via.as_ref()).map_err(|error| unbuilt(via.as_ref(), &error))?;
        if keeping.is_none() && ask.connection == Connection::Keep {
            ask.connection = Connection::Close;
        }
        let sent = PROGRESS.scope(progress.clone(), client.execute(request(ask))).await;
        let exchange = Exchange { phase: progress.phase(), https };
        progress.enter(Phase::Body);
        match sent {
            Ok(response) => match via {
                Some(via) => self.carried(&via, response, keeping, exchange),
                None => Ok(answer(response, keeping, exchange)),
            },
            Err(error) => {
                let found = self.explain(classify::before_head(&error, exchange));
                Err(match via {
                    Some(via) => self.not_carried(&via, &error, found, may_be_proxys),
                    None => found,
                })
            }
        }
    }

    /// Returns the proxy that a request goes through; `None` for a direct connection.
    fn via(&self, ask: &TransportRequest) -> Option<Via> {
        if let Some(proxy) = &ask.proxy {
            return Some(Via { proxy: proxy.clone(), turn: None });
        }
        let proxies = &self.web.settings.proxies;
        if proxies.is_empty() {
            return None;
        }
        let turn = self.rotation().pick(self.web.began.elapsed())?;
        self.nth_via(turn)
    }

    /// Returns the proxy to try after another proxy failed; `None` if all proxies rest.
    fn next_via(&self) -> Option<Via> {
        let turn = self.rotation().pick_awake(self.web.began.elapsed())?;
        self.nth_via(turn)
    }

    fn nth_via(&self, turn: usize) -> Option<Via> {
        let proxy = self.web.settings.proxies.get(turn)?.clone();
        Some(Via { proxy, turn: Some(turn) })
    }

    fn rotation(&self) -> MutexGuard<'_, Rotation> {
        self.web.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the client for a request, and what keeps the request's connection open; without that, the request has
    /// to close its connection.
    fn client(
        &self,
        ask: &TransportRequest,
        via: Option<&Via>,
    ) -> Result<(reqwest::Client, Option<ClientInUse>), reqwest::Error> {
        let proxy = via.map(|via| &via.proxy);
        let origin = || (proxy.cloned(), ask.url.origin());
        let pooled = match ask.connection {
            Connection::Keep => {
                let origin = origin();
                let make = || self.web.client(self.web.settings.idle_per_host_max, proxy);
                let client = self.pools.borrow_mut().begin(Instant::now(), &origin, make)?;
                client.map(|client| (client, Some(ClientInUse::new(&self.pools, origin))))
            }
            Connection::Close => {
                self.pools.borrow_mut().of(Instant::now(), &origin()).map(|client| (client, None))
            }
            Connection::Fresh => None,
        };
        match pooled {
            Some(pooled) => Ok(pooled),
            None => Ok((self.fresh(proxy)?, None)),
        }
    }

    /// Returns the client without a pool.
    fn fresh(&self, proxy: Option<&Proxy>) -> Result<reqwest::Client, reqwest::Error> {
        let Some(proxy) = proxy else { return Ok(self.fresh.clone()) };
        let mut proxied = self.fresh_proxied.borrow_mut();
        let client = match proxied.iter().position(|(other, _)| other == proxy) {
            Some(at) => proxied.remove(at).1,
            None => self.web.client(0, Some(proxy))?,
        };
        // The clients of the proxies that were used least recently are dropped.
        if proxied.len() >= PROXIES_MAX {
            proxied.remove(0);
        }
        proxied.push((proxy.clone(), client.clone()));
        Ok(client)
    }

    /// Returns the answer that came through a proxy, or an error if the answer is from the proxy itself (status
    /// 407).
    fn carried(
        &self,
        via: &Via,
        response: reqwest::Response,
        keeping: Option<ClientInUse>,
        exchange: Exchange,
    ) -> Result<Answer, TransportError> {
        if response.status() == http::StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(self.blame(via, wants_login(via)));
        }
        if let Some(turn) = via.turn {
            self.rotation().worked(turn);
        }
        // The remote address is the address of the proxy, so it is not reported as the address of the page's server.
        Ok(Answer { remote: None, ..answer(response, keeping, exchange) })
    }

    /// Decides whether the proxy or the host behind it failed, and returns the error.
    fn not_carried(
        &self,
        via: &Via,
        error: &reqwest::Error,
        found: TransportError,
        may_be_proxys: bool,
    ) -> TransportError {
        let works = via.turn.is_some_and(|turn| self.rotation().works(turn));
        let proxys = match classify::behind_proxy(error) {
            Behind::Proxy => true,
            Behind::Login => return self.blame(via, wants_login(via)),
            // It is unclear which of the two failed. A proxy that carried its last request is taken to work, so then
            // the host failed.
            Behind::Unclear => !works,
            // The connection broke off. If this proxy has never carried a request, the proxy is taken to have
            // failed: a working proxy would report a failure of the host.
            Behind::Host => {
                may_be_proxys
                    && !works
                    && via.turn.is_some()
                    && matches!(found.fault(), Fault::Reset | Fault::StaleConnection)
            }
        };
        if !proxys {
            return found;
        }
        self.blame(via, format!("the proxy {}: {found}", via.proxy))
    }

    /// Records that a proxy failed, and returns the error. Of several failures of one proxy in a row, only the first
    /// is logged.
    fn blame(&self, via: &Via, detail: String) -> TransportError {
        let turn = via.turn;
        if turn.is_some_and(|turn| self.rotation().failed(turn, self.web.began.elapsed())) {
            tracing::warn!("a proxy failed and is not used for a while: {detail}");
        }
        TransportError::new(Phase::Connect, Fault::Proxy, detail)
    }

    /// Checks whether an IP address that is written in the URL, in any spelling, is allowed. Such an address never
    /// reaches the resolver, which checks the others.
    fn check_literal(&self, url: &Url) -> Result<(), TransportError> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if self.web.settings.addresses.permits(address) {
            return Ok(());
        }
        Err(TransportError::new(Phase::Resolve, Fault::BlockedAddress, not_public(address)))
    }

    fn explain(&self, error: TransportError) -> TransportError {
        match &self.web.untrusting {
            Some(why) if error.fault() == Fault::Certificate => {
                TransportError::new(Phase::Tls, Fault::Certificate, &**why)
            }
            Some(_) | None => error,
        }
    }
}

/// Copies a request, to send it again through another proxy.
fn copy(ask: &TransportRequest) -> TransportRequest {
    TransportRequest {
        method: ask.method.clone(),
        url: ask.url.clone(),
        headers: ask.headers.clone(),
        body: ask.body.clone(),
        connection: ask.connection,
        session: ask.session.clone(),
        proxy: ask.proxy.clone(),
        progress: ask.progress.clone(),
    }
}

/// Returns the error text for a proxy that requires a login: status 407 (RFC 9110 §15.5.8).
fn wants_login(via: &Via) -> String {
    let wish = if via.proxy.has_login() { "does not accept the login" } else { "requires a login" };
    format!("the proxy {} {wish} (407)", via.proxy)
}

fn request(ask: TransportRequest) -> reqwest::Request {
    let mut request = reqwest::Request::new(ask.method, ask.url);
    *request.headers_mut() = ask.headers;
    if ask.connection != Connection::Keep {
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    *request.body_mut() = ask.body.map(reqwest::Body::from);
    request
}

/// Returns the error for a client that could not be built.
fn unbuilt(via: Option<&Via>, error: &reqwest::Error) -> TransportError {
    match via {
        Some(Via { proxy, .. }) => {
            let detail = format!("cannot set up the proxy {proxy}: {error}");
            TransportError::new(Phase::Waiting, Fault::Proxy, detail)
        }
        None => TransportError::new(
            Phase::Waiting,
            Fault::Ours,
            format!("cannot set up the HTTP client: {error}"),
        ),
    }
}

/// Returns the answer. Its connection counts as used until the body has ended.
fn answer(response: reqwest::Response, keeping: Option<ClientInUse>, exchange: Exchange) -> Answer {
    let remote = response.remote_addr();
    if let Some(keeping) = keeping.as_ref().filter(|_| response.version() == http::Version::HTTP_2) {
        keeping.shares_one();
    }
    let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
    Answer {
        status: head.status.as_u16(),
        version: head.version,
        headers: head.headers,
        body: BodyDataStream::new(body)
            .take_while(|chunk| ready(!chunk.as_ref().is_err_and(classify::is_stray_trailer)))
            .map_err(move |error| {
                let _in_use = &keeping;
                classify::in_body(&error)
            })
            .boxed_local(),
        reused: exchange.phase == Phase::Waiting,
        remote,
    }
}

/// The most proxies per shard whose clients without a pool are kept. With more proxies, a client is sometimes built
/// again.
const PROXIES_MAX: usize = 64;
