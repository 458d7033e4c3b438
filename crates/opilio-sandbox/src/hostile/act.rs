//! The acts of the server on a connection, one after the other.

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
    /// Sends these bytes over and over, with this pause in between.
    Drip(Bytes, Duration),
    /// Says nothing more, and keeps the connection.
    Stall,
    /// Closes the connection in an orderly way, after the client has read everything.
    Close,
    /// Ends the connection by a reset (RST).
    Reset,
}

/// How a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// The next request may come.
    Keep,
    Close,
    Reset,
}

pub(super) fn send(bytes: impl AsRef<[u8]>) -> Act {
    Act::Send(Bytes::copy_from_slice(bytes.as_ref()))
}

/// A head with this status line and these fields, each ended by CRLF; no framing is added.
pub(super) fn head(status: &str, fields: &str) -> Act {
    send(format!("HTTP/1.1 {status}\r\n{fields}\r\n"))
}

/// A whole page of HTML.
pub(super) fn page(html: impl AsRef<[u8]>) -> Vec<Act> {
    whole("200 OK", "Content-Type: text/html; charset=utf-8\r\n", html)
}

/// A whole answer, framed as it should be.
pub(super) fn whole(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<Act> {
    let body = body.as_ref();
    vec![head(status, &format!("{fields}Content-Length: {}\r\n", body.len())), send(body)]
}

/// A redirect with this `Location`, as it is.
pub(super) fn redirect(location: impl AsRef<[u8]>) -> Vec<Act> {
    let head = [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ", location.as_ref(), b"\r\n\r\n"];
    vec![send(head.concat())]
}

/// Does all of it, until the end or the client's departure.
pub(super) async fn perform<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, acts: Vec<Act>) -> After {
    for act in acts {
        let done = match act {
            Act::Send(bytes) => stream.write_all(&bytes).await,
            Act::Repeat(bytes, times) => repeat(stream, &bytes, times).await,
            Act::Drip(bytes, pause) => drip(stream, &bytes, pause).await,
            Act::Stall => wait_for_the_end(stream).await,
            Act::Close => return After::Close,
            Act::Reset => {
                // Earlier bytes should arrive first.
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
    // Many small pieces go together, or this would be about system calls.
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

/// Reads and discards until the client closes.
async fn wait_for_the_end<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut block = [0; 1_024];
    while stream.read(&mut block).await? > 0 {}
    Ok(())
}

/// Ends a connection so that the client gets all that was sent: unread bytes would make it a reset.
pub(super) async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let _ = stream.shutdown().await;
    let _ = timeout(LINGER, wait_for_the_end(stream)).await;
}

/// Longer than any test.
pub(super) const ENDLESS: u64 = u64::MAX;
const BLOCK: usize = 64 << 10;
const LINGER: Duration = Duration::from_secs(5);
