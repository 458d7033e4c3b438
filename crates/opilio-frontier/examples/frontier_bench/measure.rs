//! What the system says that something cost.

use std::path::Path;
use std::time::Duration;

use crate::Result;

/// Adds what a call costs, not what its batch costs to make.
pub(crate) fn timed<T>(spent: &mut Duration, call: impl FnOnce() -> T) -> T {
    let start = cpu();
    let result = call();
    *spent += cpu().saturating_sub(start);
    result
}

/// Merging goes on for a while after the last call: it belongs to what caused it.
pub(crate) fn settle_down(spent: &mut Duration) {
    let start = cpu();
    loop {
        let before = cpu();
        std::thread::sleep(Duration::from_millis(300));
        if cpu().saturating_sub(before) < Duration::from_millis(10) {
            break;
        }
    }
    *spent += cpu().saturating_sub(start);
}

/// CPU time of all threads, to the nanosecond where the scheduler says so.
pub(crate) fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(tasks.map(nanos).sum())
}

/// A line of this process's status, in KiB.
pub(crate) fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What the files of a directory take, by what the system gave them.
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
