//! How many connections stay open after their requests, with real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use opilio_core::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{fetcher_with, get, local};
use crate::{DnsCache, WebSettings};

/// The connections to a server: those that are open, and all that it accepted.
#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    accepted: AtomicUsize,
}

/// Starts a server that listens on all loopback addresses and never closes a connection. Returns its port.
async fn server(counts: Arc<Counts>) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counts.accepted.fetch_add(1, Ordering::SeqCst);
            counts.open.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(answer_until_closed(stream, counts.clone()));
        }
    });
    port
}

async fn answer_until_closed(mut stream: TcpStream, counts: Arc<Counts>) {
    let mut block = [0; 4_096];
    // Each request of these tests arrives in one piece.
    while stream.read(&mut block).await.is_ok_and(|count| count > 0) {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    }
    counts.open.fetch_sub(1, Ordering::SeqCst);
}

#[tokio::test]
async fn of_many_hosts_only_the_latest_keep_their_connections() {
    let counts = Arc::new(Counts::default());
    let port = server(counts.clone()).await;
    let fetcher = fetcher_with(WebSettings { kept_max: 4, ..local() }, DnsCache::default());
    let fetch = async |host: u8| {
        let fetched = get(&fetcher, &format!("http://127.0.0.{host}:{port}/")).await;
        assert_eq!(fetched.outcome, Outcome::Answered(200), "{:?}", fetched.error);
        fetched.reused
    };
    for host in 1..=20 {
        assert!(!fetch(host).await, "the first request of a host needs a new connection");
        assert!(fetch(host).await, "the second one uses it");
    }
    // The server sees a moment later that a connection was closed.
    while counts.open.load(Ordering::SeqCst) > 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(counts.accepted.load(Ordering::SeqCst), 20);
    for host in 17..=20 {
        assert!(fetch(host).await, "the latest four hosts keep theirs");
    }
    assert!(!fetch(1).await);
}
