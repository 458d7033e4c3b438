//! Tests of logins, cookies and proxies: which servers receive a secret, and that no secret is printed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use crate::support::{Ears, crawl, ears, run};

fn head(ears: &Ears) -> String {
    ears.heads.recv_timeout(std::time::Duration::from_secs(10)).unwrap()
}

#[test]
fn user_info_of_a_seed_is_its_login_and_is_never_shown() {
    let ears = ears();
    let seed = format!("http://me:s3cret@{}/", ears.addr);
    let (run, report) = crawl(&[&seed, "--no-robots", "-vv"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(head(&ears).contains("authorization: Basic bWU6czNjcmV0"));
    for shown in [&run.stdout, &run.stderr, &report.to_string()] {
        assert!(!shown.contains("s3cret") && !shown.contains("czNjcmV0"), "{shown}");
    }
    assert_eq!(run.items()[0]["url"], format!("http://{}/", ears.addr));
}

#[test]
fn a_login_in_the_file_goes_to_its_host_alone() {
    let (own, other) = (ears(), ears());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("opilio.toml");
    std::fs::write(&path, format!("[host.\"{}\"]\nbearer = \"t0k3n\"\n", own.addr)).unwrap();
    let seeds = [&own, &other].map(|ears| format!("http://{}/", ears.addr));
    let (run, _) = crawl(&[&seeds[0], &seeds[1], "--no-robots", "-vv", "--config", path.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(head(&own).contains("authorization: Bearer t0k3n"));
    assert!(!head(&other).contains("authorization"));
    assert!(!run.stderr.contains("t0k3n"), "{}", run.stderr);
}

/// Starts a proxy for plain http that answers every request itself. Returns its address and the request lines that
/// it receives.
fn proxy() -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://me:s3cret@{}", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut first, mut line) = (String::new(), String::new());
            let _ = reader.read_line(&mut first);
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {}
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let mut stream = reader.into_inner();
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut [0]);
            if tell.send(first).is_err() {
                return;
            }
        }
    });
    (url, told)
}

#[test]
fn a_crawl_goes_through_its_proxies_and_past_a_dead_one() {
    let (live, asked) = proxy();
    let dead = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let seeds = ["http://shop.test/1", "http://shop.test/2", "http://shop.test/3"];
    let args =
        [&seeds[..], &["--follow=none", "--no-robots", "--proxy", &live, "--proxy", &dead, "-vv"]].concat();
    let (run, report) = crawl(&args);
    assert_eq!((run.code, run.items().len()), (0, 3), "{} {report}", run.stderr);
    assert_eq!(report["failures"], serde_json::json!([]));
    let mut lines: Vec<String> = (0..3).map(|_| asked.recv().unwrap()).collect();
    lines.sort();
    assert_eq!(lines[0], "GET http://shop.test/1 HTTP/1.1\r\n");
    assert!(run.stderr.contains("the proxy resolves names"), "{}", run.stderr);
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
}

#[test]
fn what_is_no_proxy_is_refused_without_its_password() {
    let run = run(&["crawl", "http://x.test/", "--proxy", "ftp://me:s3cret@x"]);
    assert_eq!(run.code, 2);
    assert!(
        run.error().contains("this is not a proxy address") && !run.stderr.contains("s3cret"),
        "{}",
        run.stderr
    );
}
