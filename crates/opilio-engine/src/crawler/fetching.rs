//! The settings of how pages are fetched: limits of a fetch, connections, proxies, middleware, the development
//! cache.

use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;
use opilio_fetch::connections::kept_max;
use opilio_fetch::{
    AddressPolicy, BodyBudget, Cookies, DnsCache, Limits, Middleware, Proxy, Tls, Transport, Web, WebSettings,
};
use opilio_spider::{CrawlError, Spider};

use super::Crawler;
use crate::launch::{Cache, Fetchers, MakeTransport, Transports, WrapTransport};

/// The settings that say how pages are fetched.
#[derive(Clone)]
pub(super) struct Fetching {
    pub(super) limits: Limits,
    web: WebSettings,
    pub(super) redirects_max: u16,
    transport: Option<MakeTransport>,
    transport_around: Option<WrapTransport>,
    /// The middleware in the order in which it was added: the outermost first.
    middleware: Vec<Arc<dyn Middleware>>,
    cache: Option<Cache>,
}

impl Default for Fetching {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            web: WebSettings::default(),
            redirects_max: 10,
            transport: None,
            transport_around: None,
            middleware: Vec::new(),
            cache: None,
        }
    }
}

impl Fetching {
    /// Logs a warning if proxies are used, because then the crawl cannot check the addresses of servers.
    pub(super) fn warn(&self) {
        if !self.web.proxies.is_empty() {
            tracing::warn!(
                "the proxy resolves names: the crawl cannot check that a name does not lead to a private address"
            );
        }
    }

    /// Makes the factory for the fetchers of the shards.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub(super) fn fetchers(
        self,
        user_agent: HeaderValue,
        cookies: Option<Arc<Cookies>>,
        bodies: BodyBudget,
        in_flight_max: u32,
    ) -> Result<Fetchers, CrawlError> {
        let Self { limits, transport, transport_around, mut middleware, cache, .. } = self;
        let web = WebSettings {
            header_count_max: limits.header_count_max,
            header_bytes_max: limits.header_bytes_max,
            kept_max: kept_max(in_flight_max),
            ..self.web
        };
        if let Some(cookies) = cookies {
            // Cookies are the innermost middleware: they are added after all other middleware, and they see answers
            // before any other middleware.
            middleware.push(cookies);
        }
        let transports = match transport {
            Some(make) => Transports::Own(make),
            None => {
                let web = Web::new(web, Arc::new(DnsCache::default()));
                Transports::Web(Box::new(web.map_err(|source| CrawlError::Transport(Box::new(source)))?))
            }
        };
        Ok(Fetchers { transports, transport_around, middleware, cache, limits, user_agent, bodies })
    }
}

/// Settings of how pages are fetched.
impl<S: Spider> Crawler<S> {
    /// Sets the limits of one fetch: times, bytes, header fields.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.choices.fetching.limits = limits;
        self
    }

    /// Sets which addresses may be connected to: by default, only public addresses.
    #[must_use]
    pub fn addresses(mut self, policy: AddressPolicy) -> Self {
        self.choices.fetching.web.addresses = policy;
        self
    }

    /// Accepts any TLS certificate. Then anyone on the network path can read and forge everything: use this only for
    /// your own servers.
    #[must_use]
    pub fn danger_accept_any_certificate(mut self) -> Self {
        tracing::warn!("TLS certificates are not verified");
        self.choices.fetching.web.tls = Tls::Anybody;
        self
    }

    /// Sets the longest chain of redirects that is followed, in hops (10 by default).
    #[must_use]
    pub fn max_redirects(mut self, hops: u16) -> Self {
        self.choices.fetching.redirects_max = hops;
        self
    }

    /// Fetches through a forward proxy. If this method is called several times, the proxies take turns, and a proxy
    /// that fails is not used for a while. The limits of hosts, robots.txt and all else apply as without a proxy.
    ///
    /// Host names are resolved by the proxy. So the crawl cannot check that no name leads to a private address, and a
    /// warning says so.
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
    /// # fn main() -> Result<(), opilio_fetch::BadProxy> {
    /// let crawler = opilio::crawl("https://shop.example/")
    ///     .each(|page, found| Ok(found.item(page.title().into())))
    ///     .proxy("http://me:secret@proxy-1.example:3128".parse()?)
    ///     .proxy("socks5://proxy-2.example:1080".parse()?);
    /// # drop(crawler);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.choices.fetching.web.proxies.push(proxy);
        self
    }

    /// Sets transports of your own, in place of the one that connects to web servers. `make` is called once for
    /// each shard (thread).
    #[must_use]
    pub fn transport(mut self, make: impl Fn() -> Rc<dyn Transport> + Send + Sync + 'static) -> Self {
        self.choices.fetching.transport = Some(Arc::new(make));
        self
    }

    /// Wraps the transport of each shard, whether it connects to web servers or is the user's own. For instance, a
    /// recorder can so see every request as it is sent and every answer as it came. Each shard has its own wrapper.
    #[must_use]
    pub fn transport_around(
        mut self,
        wrap: impl Fn(Rc<dyn Transport>) -> Rc<dyn Transport> + Send + Sync + 'static,
    ) -> Self {
        self.choices.fetching.transport_around = Some(Arc::new(wrap));
        self
    }

    /// Adds middleware, which sees every request before it is sent and every answer when it comes. May be called
    /// several times. The first middleware is the outermost: it sees a request first and its answer last. No
    /// middleware can send a request, change its URL, or hide what a server said about its host.
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
    /// # use opilio_engine::crawl;
    /// use opilio::{Middleware, Outgoing};
    /// use http::HeaderValue;
    ///
    /// struct Language;
    ///
    /// impl Middleware for Language {
    ///     fn on_request(&self, request: &mut Outgoing<'_>) {
    ///         request.headers.entry("accept-language").or_insert(HeaderValue::from_static("de, en;q=0.5"));
    ///     }
    /// }
    ///
    /// let crawler = crawl("http://127.0.0.1:8080/").each(|_, _| Ok(())).middleware(Language);
    /// # drop(crawler);
    /// ```
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.choices.fetching.middleware.push(Arc::new(middleware));
        self
    }

    /// Stores answers on disk and reads them from there, while a spider is being developed: an answer that is fresh
    /// in the cache costs no request and no budget. Servers say how long an answer is fresh (RFC 9111), unless
    /// [`Cache::fresh_for`] sets another time.
    ///
    /// The cache stores pages, redirects and robots.txt (for a day at the most). It stores no failures, no redirects
    /// that set a cookie, and no answers to requests that have a login or another method than GET. Answers are stored
    /// for each session separately. Cookies are not replayed: a page from the cache sets no cookie.
    ///
    /// Needs the feature `cache`.
    #[cfg(feature = "cache")]
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.choices.fetching.cache = Some(cache);
        self
    }
}
