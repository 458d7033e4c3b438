//! The acts of the hostile server on a connection. They are performed one after the other.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// One act of the server after it has received a request.
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

/// The state of the connection after all acts were performed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// The connection stays open for the next request.
    Keep,
    Close,
    Reset,
}

pub(super) fn send(bytes: impl AsRef<[u8]>) -> Act {
    Act::Send(Bytes::copy_from_slice(bytes.as_ref()))
}

/// Returns an act that sends a head with this status line and these fields, each of which ends with CRLF. No fields
/// that state the length of the body are added.
pub(super) fn head(status: &str, fields: &str) -> Act {
    send(format!("HTTP/1.1 {status}\r\n{fields}\r\n"))
}

/// Returns acts that send a complete HTML page.
pub(super) fn page(html: impl AsRef<[u8]>) -> Vec<Act> {
    whole("200 OK", "Content-Type: text/html; charset=utf-8\r\n", html)
}

/// Returns acts that send a complete answer, with the correct length of the body.
pub(super) fn whole(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<Act> {
    let body = body.as_ref();
    vec![head(status, &format!("{fields}Content-Length: {}\r\n", body.len())), send(body)]
}

/// Returns acts that send a redirect with exactly this `Location`.
pub(super) fn redirect(location: impl AsRef<[u8]>) -> Vec<Act> {
    let head = [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ", location.as_ref(), b"\r\n\r\n"];
    vec![send(head.concat())]
}

/// Performs the acts in order, until the last one or until the client closes the connection.
pub(super) async fn perform<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, acts: Vec<Act>) -> After {
    for act in acts {
        let done = match act {
            Act::Send(bytes) => stream.write_all(&bytes).await,
            Act::Repeat(bytes, times) => repeat(stream, &bytes, times).await,
            Act::Drip(bytes, pause) => drip(stream, &bytes, pause).await,
            Act::Stall => wait_for_the_end(stream).await,
            Act::Close => return After::Close,
            Act::Reset => {
                // This pause makes sure that the bytes sent before the reset arrive first.
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
    // Small pieces are joined and written together: otherwise the many system calls would limit the speed.
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

/// Closes a connection in such a way that the client gets all bytes. For this, everything from the client is read
/// first: if bytes were left unread, the kernel would send a reset.
pub(super) async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let _ = stream.shutdown().await;
    let _ = timeout(LINGER, wait_for_the_end(stream)).await;
}

/// A number of repetitions so large that no test reaches its end.
pub(super) const ENDLESS: u64 = u64::MAX;
const BLOCK: usize = 64 << 10;
const LINGER: Duration = Duration::from_secs(5);
