//! SIGINT and SIGTERM as values to wait for.

use std::io;

/// The signal that asked the command to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A plain `kill`, or a service manager. Windows has no SIGTERM.
    #[cfg_attr(not(unix), allow(dead_code, reason = "there is no such signal here"))]
    Terminate,
}

impl Signal {
    /// The exit code: 128 plus the signal's number, as shells have it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Catches both signals as long as it lives. Without it they end the process at once.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to catch the signals. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    #[cfg(unix)]
    pub fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Begins to catch Ctrl-C. Needs a tokio runtime.
    #[cfg(not(unix))]
    pub fn catch() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next signal.
    #[cfg(unix)]
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }

    /// Waits for the next signal.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            // Ctrl-C cannot be caught, so it ends the process.
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}
