//! Measures the cost of an operation, with the counters of the operating system.

use std::path::Path;
use std::time::Duration;

use crate::Result;

/// Measures calls whose input is generated between the calls: the CPU time of all threads, background merges
/// included, without the time in which this thread generated the input.
pub(crate) struct Meter {
    start: Duration,
    aside: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { start: cpu(), aside: Duration::ZERO }
    }

    /// Runs `make` without counting its CPU time, and returns its result.
    pub(crate) fn aside<T>(&mut self, make: impl FnOnce() -> T) -> T {
        let start = own_cpu();
        let made = make();
        self.aside += own_cpu().saturating_sub(start);
        made
    }

    /// Waits until no merge is running, because merges belong to the calls that caused them. Returns the measured CPU
    /// time in seconds.
    pub(crate) fn stop(self) -> f64 {
        settle_down();
        cpu().saturating_sub(self.start).saturating_sub(self.aside).as_secs_f64()
    }
}

/// Waits until the process uses no more CPU time, because merges go on for a while after the last call.
fn settle_down() {
    loop {
        let before = cpu();
        std::thread::sleep(Duration::from_millis(300));
        if cpu().saturating_sub(before) < Duration::from_millis(10) {
            return;
        }
    }
}

/// Returns the CPU time that all threads of this process have used so far.
#[cfg(unix)]
pub(crate) fn cpu() -> Duration {
    clock(rustix::time::ClockId::ProcessCPUTime)
}

/// Returns the CPU time that this thread has used so far.
#[cfg(unix)]
fn own_cpu() -> Duration {
    clock(rustix::time::ClockId::ThreadCPUTime)
}

#[cfg(unix)]
fn clock(clock: rustix::time::ClockId) -> Duration {
    rustix::time::clock_gettime(clock).try_into().unwrap_or_default()
}

#[cfg(not(unix))]
pub(crate) fn cpu() -> Duration {
    Duration::ZERO
}

#[cfg(not(unix))]
fn own_cpu() -> Duration {
    Duration::ZERO
}

/// Returns a value from `/proc/self/status`, in KiB.
pub(crate) fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Returns the space in bytes that the file system has allocated for the files of a directory.
pub(crate) fn files(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes +=
            if entry.file_type()?.is_dir() { files(&entry.path())? } else { allocated(&entry.metadata()?) };
    }
    Ok(bytes)
}

#[cfg(unix)]
fn allocated(file: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file) * 512
}

#[cfg(not(unix))]
fn allocated(file: &std::fs::Metadata) -> u64 {
    file.len()
}
