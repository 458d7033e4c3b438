//! The fetchers: one for each shard, with connections of its own.

use std::rc::Rc;
use std::sync::Arc;

use opilio_fetch::{BodyBudget, Cache, DnsCache, Fetcher, Limits, Middleware, Transport, Web, WebSettings};
use opilio_spider::CrawlError;

use crate::clock::Clock;

/// The settings that all fetchers are made with.
pub(crate) struct FetcherPlan {
    pub(crate) transport: TransportChoice,
    pub(crate) transport_around: Option<WrapTransport>,
    /// The outermost first.
    pub(crate) middleware: Vec<Arc<dyn Middleware>>,
    pub(crate) cache: Option<Cache>,
    pub(crate) limits: Limits,
    pub(crate) user_agent: http::HeaderValue,
    /// Memory for bodies, in the whole crawl.
    pub(crate) bodies: BodyBudget,
}

/// The transport that shards fetch through.
pub(crate) enum TransportChoice {
    /// The web.
    Web(Box<WebSettings>),
    /// Made by the user, one for each shard.
    Own(MakeTransport),
}

/// Makes a transport on the thread that will use it.
pub(crate) type MakeTransport = Arc<dyn Fn() -> Rc<dyn Transport> + Send + Sync>;

/// Wraps a transport on the thread that will use it.
pub(crate) type WrapTransport = Arc<dyn Fn(Rc<dyn Transport>) -> Rc<dyn Transport> + Send + Sync>;

/// Makes the fetchers of the shards. They share the DNS cache, the development cache and the memory for bodies.
#[derive(Clone)]
pub(super) struct Fetchers {
    transports: Transports,
    around: Option<WrapTransport>,
    middleware: Vec<Arc<dyn Middleware>>,
    cache: Option<Cache>,
    limits: Limits,
    user_agent: http::HeaderValue,
    bodies: BodyBudget,
}

#[derive(Clone)]
enum Transports {
    Web(Box<Web>),
    Own(MakeTransport),
}

impl Fetchers {
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub(super) fn new(plan: FetcherPlan) -> Result<Self, CrawlError> {
        let FetcherPlan {
            transport,
            transport_around: around,
            middleware,
            cache,
            limits,
            user_agent,
            bodies,
        } = plan;
        let transports = match transport {
            TransportChoice::Own(make) => Transports::Own(make),
            TransportChoice::Web(settings) => {
                let web = Web::new(*settings, Arc::new(DnsCache::default()));
                Transports::Web(Box::new(web.map_err(|source| CrawlError::Transport(Box::new(source)))?))
            }
        };
        Ok(Self { transports, around, middleware, cache, limits, user_agent, bodies })
    }

    /// Whether the fetchers answer from a cache.
    pub(super) fn has_cache(&self) -> bool {
        self.cache.is_some()
    }

    /// The fetcher of one shard, made on its thread.
    ///
    /// # Errors
    /// When its HTTP client cannot be made.
    pub(super) fn fetcher(self, clock: Clock) -> Result<Fetcher, CrawlError> {
        let transport: Rc<dyn Transport> = match &self.transports {
            Transports::Own(make) => make(),
            Transports::Web(web) => {
                Rc::new(web.transport().map_err(|source| CrawlError::Transport(Box::new(source)))?)
            }
        };
        let transport = match &self.around {
            Some(wrap) => wrap(transport),
            None => transport,
        };
        let fetcher =
            Fetcher::new(transport).limits(self.limits).budget(self.bodies).user_agent(self.user_agent);
        let fetcher = fetcher.middleware(self.middleware).wall_clock_ms(move || clock.unix_millis());
        Ok(match self.cache {
            Some(cache) => fetcher.cache(cache),
            None => fetcher,
        })
    }
}
