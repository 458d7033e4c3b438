//! The transport by reqwest, made strict: it sends exactly the requested requests, to allowed addresses, and
//! does nothing else by itself.
//!
//! Switched off are redirects and retries (each is a start that spends a host's budget), the system's proxies
//! (the checked address must be the one connected to), `Referer`, and decoding (a double `Content-Encoding`
//! would pass as a page undecoded). hyper-util still replaces an idle connection that died before a request
//! *left*: nothing was sent, so nothing is sent twice.

mod connect;
mod trust;

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::ready;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use http::{HeaderValue, header};
use http_body_util::BodyDataStream;
use opilio_core::{Fault, Proxy};
use url::{Host, Url};

pub(crate) use self::connect::Blocked;
use self::connect::{NoteConnected, PROGRESS, Resolver, not_public};
use self::trust::tls_config;
use crate::address::AddressPolicy;
use crate::classify::{self, Behind, Exchange};
use crate::dns::DnsCache;
use crate::limits::Limits;
use crate::proxy::Rotation;
use crate::transport::{Answer, Connection, Phase, Sending, Transport, TransportError, TransportRequest};

/// How the web is reached.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Which addresses may be visited.
    pub addresses: AddressPolicy,
    /// For resolving, connecting and the TLS handshake together (10 s).
    pub connect_timeout: Duration,
    /// An idle connection is closed after this (15 s).
    pub idle_timeout: Duration,
    /// Idle connections per origin and shard (256).
    pub idle_per_host_max: usize,
    /// Header fields that an answer may have; see [`Limits::header_count_max`].
    pub header_count_max: usize,
    /// Header bytes that an answer may have; see [`Limits::header_bytes_max`].
    pub header_bytes_max: usize,
    /// Whom TLS trusts.
    pub tls: Tls,
    /// Forward proxies that take turns; none connects directly. They resolve the names, so that of
    /// `addresses` only what stands in a URL as an address is checked.
    pub proxies: Vec<Proxy>,
}

/// Whom TLS trusts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tls {
    /// The certificate authorities of the system.
    #[default]
    System,
    /// Any certificate. Whoever controls the network can read and forge everything.
    Anybody,
}

impl Default for WebSettings {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            addresses: AddressPolicy::public(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            idle_per_host_max: 256,
            header_count_max: limits.header_count_max,
            header_bytes_max: limits.header_bytes_max,
            tls: Tls::System,
            proxies: Vec::new(),
        }
    }
}

/// The way to the web could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The TLS library has no usable protocol version.
    #[error("set up TLS")]
    Tls(#[source] rustls::Error),
    /// The client could not be built.
    #[error("set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// The part of the transport that all shards share: the DNS cache, TLS state, settings.
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
    dns: Arc<DnsCache>,
    tls: rustls::ClientConfig,
    /// Why the system's trust store is of no use, if it is not.
    untrusting: Option<Arc<str>>,
    /// The rotation of the proxies, for all shards.
    rotation: Arc<Mutex<Rotation>>,
    began: Instant,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Web {
    /// Prepares the transport; `dns` may be shared with others.
    ///
    /// A system without certificate authorities is no error: plain http works, and each https fetch fails
    /// with that reason.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(settings: WebSettings, dns: Arc<DnsCache>) -> Result<Self, SetupError> {
        let (tls, untrusting) = tls_config(settings.tls)?;
        let rotation = Arc::new(Mutex::new(Rotation::new(settings.proxies.len())));
        let settings = Arc::new(settings);
        Ok(Self { settings, dns, tls, untrusting, rotation, began: Instant::now() })
    }

    /// A transport for one shard, with connections of its own.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub fn transport(&self) -> Result<ReqwestTransport, SetupError> {
        let clients = self.clients(None).map_err(SetupError::Client)?;
        Ok(ReqwestTransport { direct: clients, proxied: RefCell::default(), web: self.clone() })
    }

    fn clients(&self, proxy: Option<&Proxy>) -> Result<Clients, reqwest::Error> {
        let client = |idle_max: usize| self.builder(idle_max, proxy)?.build();
        Ok(Clients { pooled: client(self.settings.idle_per_host_max)?, fresh: client(0)? })
    }

    fn builder(
        &self,
        idle_max: usize,
        proxy: Option<&Proxy>,
    ) -> Result<reqwest::ClientBuilder, reqwest::Error> {
        let settings = &self.settings;
        // The only name that is resolved for a proxied request is the proxy's, and that may be anywhere.
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
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(idle_max)
            // A malformed line is left out, and a folded value is one line (RFC 9112 §5.2), since browsers
            // read such pages. The parser does so in the same pass.
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_max_headers(settings.header_count_max)
            .http2_max_header_list_size(header_list_bytes(settings))
            .tls_backend_preconfigured(self.tls.clone())
            .connector_layer(NoteConnected)
            .dns_resolver(Arc::new(resolver));
        Ok(match proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy.expose())?),
            None => builder,
        })
    }
}

/// The size by HTTP/2's count: 32 bytes per field beside its name and value (RFC 9113 §6.5.2).
fn header_list_bytes(settings: &WebSettings) -> u32 {
    let bytes = settings.header_bytes_max.saturating_add(settings.header_count_max.saturating_mul(32));
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The web, for one shard.
pub struct ReqwestTransport {
    direct: Clients,
    /// Made when they are first needed, the latest used last.
    proxied: RefCell<Vec<(Proxy, Clients)>>,
    web: Web,
}

/// Two ways of using connections.
#[derive(Clone)]
struct Clients {
    pooled: reqwest::Client,
    /// Without a pool: for requests that must not meet a dead connection.
    fresh: reqwest::Client,
}

/// The proxy of one exchange.
struct Via {
    proxy: Proxy,
    /// Its place in the rotation; none for one that the request named.
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
            // A request that its proxy did not carry has reached no server, so another proxy may carry it.
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
    /// One try, by one way.
    async fn send_via(&self, ask: TransportRequest, via: Option<Via>) -> Result<Answer, TransportError> {
        let progress = ask.progress.clone();
        let https = ask.url.scheme() == "https";
        // In a tunnel, a later failure is the host's.
        let may_be_proxys = !https && ask.connection != Connection::Fresh;
        let clients = self.clients(via.as_ref())?;
        let client = if ask.connection == Connection::Fresh { clients.fresh } else { clients.pooled };
        let sent = PROGRESS.scope(progress.clone(), client.execute(request(ask))).await;
        let exchange = Exchange { phase: progress.phase(), https };
        progress.enter(Phase::Body);
        match sent {
            Ok(response) => match via {
                Some(via) => self.carried(&via, response, exchange),
                None => Ok(answer(response, exchange)),
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

    /// The proxy that a request goes through, if any.
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

    /// The proxy that is tried after one that failed.
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

    fn clients(&self, via: Option<&Via>) -> Result<Clients, TransportError> {
        let Some(Via { proxy, .. }) = via else { return Ok(self.direct.clone()) };
        let mut proxied = self.proxied.borrow_mut();
        let known = proxied.iter().position(|(other, _)| other == proxy);
        let clients = match known {
            Some(at) => proxied.remove(at).1,
            None => self.web.clients(Some(proxy)).map_err(|error| {
                TransportError::new(
                    Phase::Waiting,
                    Fault::Proxy,
                    format!("set up the proxy {proxy}: {error}"),
                )
            })?,
        };
        // Drops the least recently used ones with their idle connections.
        if proxied.len() >= PROXIES_MAX {
            proxied.remove(0);
        }
        proxied.push((proxy.clone(), clients.clone()));
        Ok(clients)
    }

    /// An answer that came through a proxy, or the proxy's own refusal.
    fn carried(
        &self,
        via: &Via,
        response: reqwest::Response,
        exchange: Exchange,
    ) -> Result<Answer, TransportError> {
        if response.status() == http::StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(self.blame(via, wants_login(via)));
        }
        if let Some(turn) = via.turn {
            self.rotation().worked(turn);
        }
        // The address is the proxy's, which is nothing to show as the page's.
        Ok(Answer { remote: None, ..answer(response, exchange) })
    }

    /// Tells a proxy's failure from one of the host behind it.
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
            // One that carried its last request is believed.
            Behind::Unclear => !works,
            // One that never answered anything, and hangs up: a proxy would say it if the host did.
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

    /// A proxy failed; of each failure in a row of one, the first is worth a warning.
    fn blame(&self, via: &Via, detail: String) -> TransportError {
        let turn = via.turn;
        if turn.is_some_and(|turn| self.rotation().failed(turn, self.web.began.elapsed())) {
            tracing::warn!("{detail}");
        }
        TransportError::new(Phase::Connect, Fault::Proxy, detail)
    }

    /// Checks addresses in URLs, in any spelling, since they never reach the resolver.
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

/// The same question, for the next proxy.
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

/// The meaning of a 407 (RFC 9110 §15.5.8).
fn wants_login(via: &Via) -> String {
    let wish = if via.proxy.has_login() { "does not take the login" } else { "wants a login" };
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

fn answer(response: reqwest::Response, exchange: Exchange) -> Answer {
    let remote = response.remote_addr();
    let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
    Answer {
        status: head.status.as_u16(),
        version: head.version,
        headers: head.headers,
        body: BodyDataStream::new(body)
            .take_while(|chunk| ready(!chunk.as_ref().is_err_and(classify::is_stray_trailer)))
            .map_err(|error| classify::in_body(&error))
            .boxed_local(),
        reused: exchange.phase == Phase::Waiting,
        remote,
    }
}

/// Proxies whose clients are kept, a shard. More of them cost a handshake now and then.
const PROXIES_MAX: usize = 64;
