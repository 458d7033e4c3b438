//! Limits how many requests a recording sends to the real web.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use opilio::fetch::{Sending, Transport, TransportRequest};
use tokio::sync::Notify;

/// A limit for the requests of all transports of a crawl.
#[derive(Clone)]
pub(crate) struct RequestLimit(Arc<Requests>);

struct Requests {
    max: usize,
    sent: AtomicUsize,
    exceeded: Notify,
}

impl RequestLimit {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Requests { max, sent: AtomicUsize::new(0), exceeded: Notify::new() }))
    }

    /// Wraps a transport. The first request beyond the limit is never sent, and so are all later ones.
    pub(crate) fn around(&self, inner: Rc<dyn Transport>) -> Rc<dyn Transport> {
        Rc::new(LimitedTransport { inner, limit: self.clone() })
    }

    /// Waits until the crawl wants to send more requests than it may.
    pub(crate) async fn exceeded(&self) {
        self.0.exceeded.notified().await;
    }
}

struct LimitedTransport {
    inner: Rc<dyn Transport>,
    limit: RequestLimit,
}

impl Transport for LimitedTransport {
    fn send(&self, ask: TransportRequest) -> Sending<'_> {
        let Requests { max, sent, exceeded } = &*self.limit.0;
        if sent.fetch_add(1, Ordering::Relaxed) < *max {
            return self.inner.send(ask);
        }
        exceeded.notify_one();
        std::future::pending().boxed_local()
    }
}
