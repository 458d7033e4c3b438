//! Measures the cost of a process: the time and memory that the operating system reports when the process has ended.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use wait4::Wait4;

/// The time and the peak memory of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessUsage {
    /// The time from the start of the process to its end.
    pub(crate) wall: Duration,
    /// The CPU time of all threads of the process, in user mode and in the system.
    pub(crate) cpu: Duration,
    /// The peak resident memory in bytes. The system never reports less than the memory of the parent process, so the
    /// parent process must be small.
    pub(crate) peak_bytes: u64,
}

/// The destination of the output of a child process.
#[derive(Clone, Copy)]
pub(crate) enum ChildOutput<'a> {
    /// The process writes its output to a file itself.
    Own,
    /// The standard output of the process is copied to this file, at most this many bytes a second.
    Throttled(&'a Path, u64),
}

/// Runs a command to its end, and returns its cost.
///
/// # Errors
/// When the command cannot be started, fails, or takes longer than `limit`. The error contains the last lines of the
/// command's error output.
pub(crate) fn run(command: &mut Command, output: ChildOutput<'_>, limit: Duration) -> Result<ProcessUsage> {
    let said = tempfile::NamedTempFile::new().context("cannot create a file for the output of a process")?;
    command.stdin(Stdio::null()).stderr(said.reopen()?);
    command.stdout(match output {
        ChildOutput::Own => said.reopen()?.into(),
        ChildOutput::Throttled(..) => Stdio::piped(),
    });
    let start = Instant::now();
    let mut child =
        command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let reader = child.stdout.take();
    let (ended, end) = mpsc::channel::<()>();
    let pid =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("the process has no valid id")?;
    let waited = thread::scope(|scope| {
        scope.spawn(move || {
            if end.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                // An error means that the process has just ended by itself, which is fine.
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let copied = match (reader, output) {
            (Some(from), ChildOutput::Throttled(path, rate)) => copy_slowly(from, path, rate),
            _ => Ok(()),
        };
        let waited = child.wait4().context("cannot wait for a process");
        drop(ended);
        copied.and(waited)
    })?;
    let wall = start.elapsed();
    if !waited.status.success() {
        let said = std::fs::read_to_string(said.path()).unwrap_or_default();
        let tail: Vec<&str> = said.lines().rev().take(5).collect();
        bail!("{command:?} ended with {} after {wall:.1?}: {tail:?}", waited.status);
    }
    let usage = waited.rusage;
    ensure!(usage.maxrss > 0, "the system does not report the memory of a process");
    Ok(ProcessUsage { wall, cpu: usage.utime + usage.stime, peak_bytes: usage.maxrss })
}

/// Copies at most `bytes_per_s` bytes a second, like a slow reader.
fn copy_slowly(mut from: impl Read, path: &Path, bytes_per_s: u64) -> Result<()> {
    let mut to = std::fs::File::create(path).context("cannot create the output")?;
    let mut buffer = [0; 4_096];
    let (start, mut copied) = (Instant::now(), 0_u64);
    loop {
        let n = from.read(&mut buffer).context("cannot read the output")?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..n]).context("cannot write the output")?;
        copied += n as u64;
        let due = Duration::from_secs_f64(copied as f64 / bytes_per_s as f64);
        thread::sleep(due.saturating_sub(start.elapsed()));
    }
}

/// Returns the CPU time of this process so far.
pub(crate) fn own_cpu() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// Returns the resident memory of this process, in bytes.
///
/// # Errors
/// On systems without `/proc`.
pub(crate) fn own_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib =
        line.and_then(|line| line.split_whitespace().next()).context("no VmRSS in /proc/self/status")?;
    Ok(kib.parse::<u64>().context("VmRSS is not a number")? * 1_024)
}

/// Raises the limit of open files of this process to the maximum that the system allows.
pub(crate) fn raise_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // An error is ignored: a process that needs more descriptors will report an error of its own.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
