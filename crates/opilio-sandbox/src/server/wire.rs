//! A TCP stream that can end with a reset (RST) instead of an orderly close (FIN).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Whether a [`Wire`] ends with a reset. The wire and the request that decides how it ends share this value.
#[derive(Debug, Clone, Default)]
pub(super) struct WireEnd(Arc<AtomicBool>);

impl WireEnd {
    /// Makes the wire end with a reset when it is dropped.
    pub(super) fn reset(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_reset(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A TCP stream that ends as its [`WireEnd`] says: with a reset, or with an orderly close.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    end: WireEnd,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, end: WireEnd) -> Self {
        Self { stream, end }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.end.is_reset() {
            // With a linger of zero, closing the socket sends RST. If the option cannot be set, the peer has
            // closed the connection already.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end.is_reset() {
            // No FIN is sent before the reset: to a client that reads quickly, a FIN would look like an orderly
            // end.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
