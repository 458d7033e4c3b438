//! SIGINT and SIGTERM, for a crawl that stops on them. While no such crawl runs they do what they did before.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Catches both from its making on until it is dropped.
pub(crate) struct Signals {
    came: Arc<AtomicBool>,
    ids: Vec<SigId>,
}

impl Signals {
    /// # Errors
    /// When the system does not let us.
    pub(crate) fn catch() -> io::Result<Self> {
        static DEFAULTS: OnceLock<()> = OnceLock::new();
        if DEFAULTS.get().is_none() {
            for signal in BOTH {
                signal_hook::flag::register_conditional_default(signal, IDLE.clone())?;
            }
            // Had another thread done so meanwhile, the default is asked for twice, which is the same.
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

    /// Whether one came since the last call.
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
/// How many crawls of this process catch them.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// None does: a signal does what it does by default.
static IDLE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));
