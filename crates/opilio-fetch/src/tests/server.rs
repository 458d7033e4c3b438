//! A minimal test server, which performs a list of acts on each connection, and records the requests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One act of the server on a connection.
#[derive(Clone)]
pub(super) enum Act {
    /// Reads a request up to the end of its head.
    Read,
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes again and again, with this pause in between, until the client closes the connection.
    Drip(Vec<u8>, Duration),
    /// Sends nothing more and keeps the connection open.
    Stall,
    /// Closes the connection so that the client sees a reset.
    Reset,
}

pub(super) fn send(bytes: impl AsRef<[u8]>) -> Act {
    Act::Send(bytes.as_ref().to_vec())
}

/// Sends a head with this status line and these fields, and then the body. No field about framing is added.
pub(super) fn answer(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Act {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{fields}\r\n").into_bytes();
    bytes.extend_from_slice(body.as_ref());
    Act::Send(bytes)
}

/// Sends a whole page and keeps the connection open.
pub(super) fn page(body: impl AsRef<[u8]>) -> Act {
    answer("200 OK", &format!("Content-Length: {}\r\n", body.as_ref().len()), body)
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server. The nth connection performs the nth list of acts; further connections perform the
    /// last list.
    pub(super) async fn start(connections: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            for count in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let acts = connections[usize::min(count, connections.len() - 1)].clone();
                tokio::spawn(perform(stream, acts, seen.clone()));
            }
        });
        Self { address, requests }
    }

    /// Starts a server that performs the same acts on every connection, after reading a request.
    pub(super) async fn answering(acts: Vec<Act>) -> Self {
        Self::start(vec![[vec![Act::Read], acts].concat()]).await
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the requests that arrived, head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn perform(mut stream: TcpStream, acts: Vec<Act>, seen: Arc<Mutex<Vec<String>>>) {
    for act in acts {
        let went_well = match act {
            Act::Read => match read_head(&mut stream).await {
                Some(request) => {
                    seen.lock().unwrap().push(request);
                    true
                }
                None => false,
            },
            Act::Send(bytes) => stream.write_all(&bytes).await.is_ok(),
            Act::Drip(bytes, pause) => {
                while stream.write_all(&bytes).await.is_ok() {
                    tokio::time::sleep(pause).await;
                }
                false
            }
            Act::Stall => std::future::pending().await,
            Act::Reset => stream.set_zero_linger().is_err(),
        };
        if !went_well {
            return;
        }
    }
    // The answer must be written before the connection is closed.
    let _ = stream.flush().await;
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut block = [0; 4_096];
    loop {
        let count = stream.read(&mut block).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&block[..count]);
        if bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}
