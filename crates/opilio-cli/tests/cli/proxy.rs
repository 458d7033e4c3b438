//! Tests of proxies that do not work: how soon the crawl ends, and which message it prints.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use opilio_sandbox::{HostConfig, Sandbox};

use crate::support::{crawl, opilio};

/// Starts a proxy that answers every request, including CONNECT, with 407 (login required).
fn shut() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
            let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"x\"\r\n\
                          content-length: 0\r\nconnection: close\r\n\r\n";
            let _ = reader.into_inner().write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

/// Starts a proxy that accepts connections and closes them at once.
fn rude() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(drop));
    format!("http://{address}")
}

fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_crawl_whose_only_proxy_carries_nothing_ends_soon_and_names_it() {
    let (dead, rude, shut) = (dead(), rude(), shut());
    let login = shut.replace("http://", "http://me:s3cret@");
    for (proxy, says) in [
        (&dead, "the proxy"),
        (&rude, "the proxy"),
        (&shut, "requires a login (407)"),
        (&login, "does not accept the login (407)"),
    ] {
        for seed in ["http://shop.example/", "https://shop.example/"] {
            for robots in [&[][..], &["--no-robots"]] {
                let began = Instant::now();
                // This crawl waits between its attempts as long as the default settings say.
                let mut command = opilio();
                command.args(["crawl", seed, "--proxy", proxy, "--retries", "1"]).args(robots);
                let run = crate::support::finish(command.spawn().unwrap());
                assert_eq!(run.code, 1, "{}", run.stderr);
                assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
                let error = run.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
                assert!(error.contains("ended as proxy") && error.contains(says), "{error}");
                assert!(error.contains("--proxy") && !run.stderr.contains("s3cret"), "{}", run.stderr);
            }
        }
    }
}

#[test]
fn what_one_proxy_does_not_carry_another_one_does() {
    // A host of the sandbox serves as the proxy: it accepts requests that contain a whole URL, and answers by the
    // URL's path.
    let host = HostConfig::new().page("/1", "text/html", "page").page("/2", "text/html", "page");
    let shop = Sandbox::builder().host(host).start().unwrap();
    let live = shop.base(0);
    let (dead, shut) = (dead(), shut());
    let proxies = ["--proxy", &dead, "--proxy", &shut, "--proxy", live.trim_end_matches('/')];
    let seeds = ["http://shop.example/1", "http://shop.example/2", "--no-robots", "--retries", "0"];
    let (run, report) = crawl(&[&seeds[..], &proxies].concat());
    assert_eq!((run.code, &report["pages"]), (0, &2.into()), "{} {report}", run.stderr);
}
