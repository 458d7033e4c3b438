//! Catches SIGINT and SIGTERM for a crawl that stops on these signals. While no such crawl runs, both signals have
//! their default effect.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Catches SIGINT and SIGTERM until this value is dropped.
pub(crate) struct Signals {
    came: Arc<AtomicBool>,
    ids: Vec<SigId>,
}

impl Signals {
    /// Begins to catch the signals.
    ///
    /// # Errors
    /// If the operating system does not allow a handler to be set.
    pub(crate) fn catch() -> io::Result<Self> {
        static DEFAULTS: OnceLock<()> = OnceLock::new();
        if DEFAULTS.get().is_none() {
            for signal in BOTH {
                signal_hook::flag::register_conditional_default(signal, IDLE.clone())?;
            }
            // If another thread has done the same in the meantime, the default effect is registered twice, which
            // does no harm.
            let _ = DEFAULTS.set(());
        }
        RUNNING.fetch_add(1, Ordering::SeqCst);
        IDLE.store(false, Ordering::SeqCst);
        let mut signals = Self { came: Arc::default(), ids: Vec::new() };
        for signal in BOTH {
            signals.ids.push(signal_hook::flag::register(signal, signals.came.clone())?);
        }
        Ok(signals)
    }

    /// Returns whether a signal has arrived since the last call.
    pub(crate) fn came(&self) -> bool {
        self.came.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            signal_hook::low_level::unregister(id);
        }
        if RUNNING.fetch_sub(1, Ordering::SeqCst) == 1 {
            IDLE.store(true, Ordering::SeqCst);
        }
    }
}

const BOTH: [i32; 2] = [SIGINT, SIGTERM];
/// The number of crawls in this process that catch these signals.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// Whether no crawl catches the signals. Then a signal has its default effect.
static IDLE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));
