//! The acts of the hostile server on a connection, performed one after the other.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// One thing that the server does after a request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Sends these bytes.
    Send(Bytes),
    /// Sends these bytes this many times, as fast as the client reads.
    Repeat(Bytes, u64),
    /// Sends these bytes over and over, with this pause in between, until the client closes the connection.
    Drip(Bytes, Duration),
    /// Sends nothing more, and keeps the connection open.
    Stall,
    /// Closes the connection in an orderly way, after the client has read everything.
    Close,
    /// Ends the connection by a reset (RST).
    Reset,
}

/// What happens to the connection after the acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// It stays open for the next request.
    Keep,
    Close,
    Reset,
}

pub(super) fn send(bytes: impl AsRef<[u8]>) -> Act {
    Act::Send(Bytes::copy_from_slice(bytes.as_ref()))
}

/// Sends a head with this status line and these fields, each ended by CRLF. No framing is added.
pub(super) fn head(status: &str, fields: &str) -> Act {
    send(format!("HTTP/1.1 {status}\r\n{fields}\r\n"))
}

/// Sends a complete HTML page.
pub(super) fn page(html: impl AsRef<[u8]>) -> Vec<Act> {
    whole("200 OK", "Content-Type: text/html; charset=utf-8\r\n", html)
}

/// Sends a complete answer with correct framing.
pub(super) fn whole(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<Act> {
    let body = body.as_ref();
    vec![head(status, &format!("{fields}Content-Length: {}\r\n", body.len())), send(body)]
}

/// Sends a redirect with exactly this `Location`.
pub(super) fn redirect(location: impl AsRef<[u8]>) -> Vec<Act> {
    let head = [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ", location.as_ref(), b"\r\n\r\n"];
    vec![send(head.concat())]
}

/// Performs the acts until the last one, or until the client closes the connection.
pub(super) async fn perform<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, acts: Vec<Act>) -> After {
    for act in acts {
        let done = match act {
            Act::Send(bytes) => stream.write_all(&bytes).await,
            Act::Repeat(bytes, times) => repeat(stream, &bytes, times).await,
            Act::Drip(bytes, pause) => drip(stream, &bytes, pause).await,
            Act::Stall => wait_for_the_end(stream).await,
            Act::Close => return After::Close,
            Act::Reset => {
                // Waits, so that the bytes sent before arrive first.
                sleep(Duration::from_millis(20)).await;
                return After::Reset;
            }
        };
        if done.is_err() {
            return After::Close;
        }
    }
    After::Keep
}

async fn repeat<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8], times: u64) -> io::Result<()> {
    // Small pieces are written together, since otherwise system calls would limit the speed.
    let together = (BLOCK / bytes.len().max(1)).max(1) as u64;
    let block = bytes.repeat(usize::try_from(together.min(times)).unwrap_or(1));
    let mut left = times;
    while left >= together {
        stream.write_all(&block).await?;
        left -= together;
    }
    stream.write_all(&bytes.repeat(usize::try_from(left).unwrap_or(0))).await
}

async fn drip<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8], pause: Duration) -> io::Result<()> {
    loop {
        stream.write_all(bytes).await?;
        stream.flush().await?;
        sleep(pause).await;
    }
}

/// Reads and discards until the client closes the connection.
async fn wait_for_the_end<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut block = [0; 1_024];
    while stream.read(&mut block).await? > 0 {}
    Ok(())
}

/// Closes a connection so that the client gets all bytes: if unread bytes were left, the kernel would send a
/// reset.
pub(super) async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let _ = stream.shutdown().await;
    let _ = timeout(LINGER, wait_for_the_end(stream)).await;
}

/// A number of repetitions that no test waits for.
pub(super) const ENDLESS: u64 = u64::MAX;
const BLOCK: usize = 64 << 10;
const LINGER: Duration = Duration::from_secs(5);
