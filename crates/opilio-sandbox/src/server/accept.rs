//! Accepts a host's connections, and refuses them while the host is configured as unreachable.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};

use super::wire::{Wire, WireEnd};
use super::{Served, exchange, listen_on, reserve};

/// Accepts for ever. While the host is unreachable the listener is closed, so the kernel refuses.
pub(super) async fn run(served: Arc<Served>, listener: StdListener) {
    let mut spans: Vec<_> = served.lock().config().unreachable_spans().collect();
    spans.sort_unstable();
    let began = Instant::from_std(served.began);
    let mut listener = listener;
    for (from, to) in spans {
        tokio::select! {
            () = accept(&served, listener) => {}
            () = sleep_until(began + from) => {}
        }
        listener = reopen(&served, began + to).await;
    }
    accept(&served, listener).await;
}

/// Listens again from `at` on, and keeps the port for itself until then. Outgoing connections, of
/// which a crawler makes many, could take it otherwise.
async fn reopen(served: &Served, at: Instant) -> StdListener {
    loop {
        let reserved = reserve(served.addr);
        sleep_until(at).await;
        match reserved.and_then(listen_on) {
            Ok(listener) => return listener,
            Err(_) => sleep(RETRY_PAUSE).await,
        }
    }
}

/// Accepts until it is dropped, and the listener with it.
async fn accept(served: &Arc<Served>, listener: StdListener) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        // Only possible while the runtime goes down.
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(Arc::clone(served), stream));
            }
            // Out of descriptors, or a connection that died in the queue.
            Err(_) => sleep(RETRY_PAUSE).await,
        }
    }
}

/// Serves one connection until it ends or breaks; how it breaks is the exchange's choice.
async fn converse(served: Arc<Served>, stream: TcpStream) {
    // Without it small answers wait for acknowledgements, and latencies mean nothing.
    let _ = stream.set_nodelay(true);
    let end = WireEnd::default();
    let wire = TokioIo::new(Wire::new(stream, end.clone()));
    let service = service_fn(|request| exchange::answer(Arc::clone(&served), end.clone(), request));
    // An error is either a configured fault or a client that left.
    let _ = http1::Builder::new()
        .auto_date_header(false)
        .header_read_timeout(None)
        .serve_connection(wire, service)
        .await;
}

const RETRY_PAUSE: Duration = Duration::from_millis(10);
