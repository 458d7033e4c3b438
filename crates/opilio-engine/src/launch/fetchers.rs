//! Makes the fetchers: one for each shard, with its own connections.

use std::rc::Rc;
use std::sync::Arc;

use opilio_fetch::{BodyBudget, Fetcher, Limits, Middleware, Transport, Web};
use opilio_spider::CrawlError;

use super::cache::{self, Cache};
use crate::clock::Clock;

/// Makes a transport, on the thread that will use this transport.
pub(crate) type MakeTransport = Arc<dyn Fn() -> Rc<dyn Transport> + Send + Sync>;

/// Wraps a transport, on the thread that will use this transport.
pub(crate) type WrapTransport = Arc<dyn Fn(Rc<dyn Transport>) -> Rc<dyn Transport> + Send + Sync>;

/// Makes the fetchers of the shards. All fetchers share the DNS cache, the development cache and the memory for
/// bodies.
#[derive(Clone)]
pub(crate) struct Fetchers {
    pub(crate) transports: Transports,
    pub(crate) transport_around: Option<WrapTransport>,
    /// The middleware of all requests, the outermost first.
    pub(crate) middleware: Vec<Arc<dyn Middleware>>,
    pub(crate) cache: Option<Cache>,
    pub(crate) limits: Limits,
    pub(crate) user_agent: http::HeaderValue,
    /// The limit of the memory that the bodies of answers may take in the whole crawl.
    pub(crate) bodies: BodyBudget,
}

/// The transports through which the shards send requests.
#[derive(Clone)]
pub(crate) enum Transports {
    /// The transport that connects to web servers.
    Web(Box<Web>),
    /// Transports that the user's function makes, one for each shard.
    Own(MakeTransport),
}

impl Fetchers {
    /// Returns whether the fetchers have a development cache.
    pub(super) fn has_cache(&self) -> bool {
        self.cache.is_some()
    }

    /// Makes the fetcher of one shard. Has to be called on the thread of that shard.
    ///
    /// # Errors
    /// When the HTTP client of the shard cannot be made.
    pub(super) fn fetcher(self, clock: Clock) -> Result<Fetcher, CrawlError> {
        let transport: Rc<dyn Transport> = match &self.transports {
            Transports::Own(make) => make(),
            Transports::Web(web) => {
                Rc::new(web.transport().map_err(|source| CrawlError::Transport(Box::new(source)))?)
            }
        };
        let transport = match &self.transport_around {
            Some(wrap) => wrap(transport),
            None => transport,
        };
        let fetcher =
            Fetcher::new(transport).limits(self.limits).budget(self.bodies).user_agent(self.user_agent);
        let fetcher = fetcher.middleware(self.middleware).wall_clock_ms(move || clock.unix_millis());
        Ok(match self.cache {
            Some(cache) => cache::fetcher_with(fetcher, cache),
            None => fetcher,
        })
    }
}
