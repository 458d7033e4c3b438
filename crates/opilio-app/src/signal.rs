//! SIGINT and SIGTERM, as events to wait for.

use std::io;

/// The signal that asked the command to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A plain `kill`, or a service manager. Windows has none.
    #[cfg_attr(not(unix), allow(dead_code, reason = "there is no such signal here"))]
    Terminate,
}

impl Signal {
    /// 128 and the signal's number, as shells tell it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Catches both signals from its making on; without it they end the process at once.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to catch them; needs a tokio runtime.
    ///
    /// # Errors
    /// When the system does not let us.
    #[cfg(unix)]
    pub fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Begins to catch them; needs a tokio runtime.
    #[cfg(not(unix))]
    pub fn catch() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The next of them.
    #[cfg(unix)]
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }

    /// The next of them.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            // It cannot be caught: then it ends the process by itself.
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}
