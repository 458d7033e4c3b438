//! Runs the binary, and starts small servers for it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Arguments for a crawl that is so fast that no test waits for the rate limit.
pub const FAST: [&str; 6] = ["--allow-private", "--rate", "2000/s", "--in-flight", "8", "--min-backoff=20ms"];

/// A run of the binary that has ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Returns the values on stdout: each line is one JSON value.
    pub fn items(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns the error: the only line on stderr.
    pub fn error(&self) -> &str {
        let lines: Vec<_> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "one line, not: {}", self.stderr);
        assert!(lines[0].starts_with("error: "), "{}", lines[0]);
        lines[0]
    }
}

/// Returns a command that runs the binary without settings from the environment of the tests.
pub fn opilio() -> Command {
    command_of(env!("CARGO_BIN_EXE_opilio").as_ref())
}

/// Returns a command that runs a program without settings from the environment of the tests.
pub fn command_of(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OPILIO_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Run {
    finish(opilio().args(args).spawn().unwrap())
}

/// Runs the binary to its end with this text on stdin.
pub fn run_with_input(args: &[&str], input: &[u8]) -> Run {
    let mut child = opilio().args(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Writing fails if the binary stops reading early, which is not an error.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let run = finish(child);
    feeding.join().unwrap();
    run
}

/// Waits until a process has ended, and returns its output. The test fails if that takes too long.
pub fn finish(mut child: Child) -> Run {
    let stdout = child.stdout.take().map(read_all);
    finish_reading(child, stdout)
}

/// Does the same as `finish`, but does not read stdout before the process has ended.
#[cfg(unix)]
pub fn finish_unread(mut child: Child) -> Run {
    let mut stdout = child.stdout.take().unwrap();
    let run = finish_reading(child, None);
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    Run { stdout: text, ..run }
}

fn finish_reading(mut child: Child, stdout: Option<JoinHandle<String>>) -> Run {
    let stderr = child.stderr.take().map(read_all);
    let deadline = Instant::now() + HANGS;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("opilio hangs: {}", stderr.map(|text| text.join().unwrap()).unwrap_or_default());
        }
        std::thread::sleep(POLL);
    };
    let text =
        |thread: Option<JoinHandle<String>>| thread.map(|text| text.join().unwrap()).unwrap_or_default();
    let run = Run { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) };
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run
}

/// Runs `opilio crawl` with these arguments, as fast as possible. Also returns its report.
pub fn crawl(args: &[&str]) -> (Run, Value) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.json");
    let report = ["--report", path.to_str().unwrap()];
    let run = run(&[&["crawl"], &FAST[..], &report, args].concat());
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no report: {} {}", text, run.stderr));
    assert_balanced(&report);
    (run, report)
}

/// Checks the two equations that the counts of a report must satisfy.
pub fn assert_balanced(report: &Value) {
    let n = |key: &str| report[key].as_u64().unwrap();
    let sum = |key: &str| report[key].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!(n("discovered"), n("admitted") + sum("filtered"), "{report}");
    let failures = report["failures"].as_array().unwrap().len() as u64;
    assert_eq!(sum("reasons"), failures, "{report}");
    let ended = n("pages") + n("sitemaps") + n("aliases") + failures;
    assert_eq!(n("admitted"), ended + n("left"), "{report}");
}

/// Waits until a condition holds. The test fails if that takes too long.
pub fn until(mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANGS;
    while !so() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(POLL);
    }
}

/// Sends a signal, given by its name (such as `INT`), to a process.
#[cfg(unix)]
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A server that answers every request with an empty page and passes on the heads of the requests. The tests use it
/// for header fields, which the sandbox does not log.
pub struct Ears {
    pub addr: SocketAddr,
    pub heads: mpsc::Receiver<String>,
}

pub fn ears() -> Ears {
    ears_with("", "")
}

/// Starts such a server. Every answer has these header lines and this page.
pub fn ears_with(headers: &'static str, page: &'static str) -> Ears {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, heads) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
            // The body is read as well: closing a connection with unread bytes would reset it.
            let length = head.to_ascii_lowercase();
            let length = length.split_once("content-length:").and_then(|(_, rest)| rest.lines().next());
            let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap_or(0))];
            let _ = reader.read_exact(&mut body);
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{page}",
                page.len()
            );
            let _ = reader.into_inner().write_all(answer.as_bytes());
            if tell.send(head).is_err() {
                return;
            }
        }
    });
    Ears { addr, heads }
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    })
}

const HANGS: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
