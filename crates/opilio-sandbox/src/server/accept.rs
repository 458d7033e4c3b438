//! Accepts a host's connections, except at times when the host is configured as unreachable.

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

/// Accepts connections without end. At times when the host is unreachable, the listener is closed, so the kernel
/// refuses connections.
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

/// Waits until `at`, then listens again. The port stays reserved during the wait: otherwise the kernel could give
/// it to one of the crawler's many outgoing connections.
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

/// Accepts connections until this future is dropped, which closes the listener.
async fn accept(served: &Arc<Served>, listener: StdListener) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        // This happens only while the runtime shuts down.
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(Arc::clone(served), stream));
            }
            // The process has no file descriptor left, or the connection ended before it was accepted.
            Err(_) => sleep(RETRY_PAUSE).await,
        }
    }
}

/// Serves one connection until it ends or breaks. A configured fault decides how it breaks.
async fn converse(served: Arc<Served>, stream: TcpStream) {
    // Without this option small answers would wait for acknowledgements of the client, which adds to the configured
    // latencies.
    let _ = stream.set_nodelay(true);
    let end = WireEnd::default();
    let wire = TokioIo::new(Wire::new(stream, end.clone()));
    let service = service_fn(|request| exchange::answer(Arc::clone(&served), end.clone(), request));
    // An error is caused either by a configured fault or by a client that closed the connection.
    let _ = http1::Builder::new()
        .auto_date_header(false)
        .header_read_timeout(None)
        .serve_connection(wire, service)
        .await;
}

const RETRY_PAUSE: Duration = Duration::from_millis(10);
