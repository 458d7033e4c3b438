//! Tests of the server over real sockets, with a minimal client.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::*;
use crate::config::{Fault, Trigger};
use crate::limit::Limit;

fn start(config: HostConfig) -> Sandbox {
    Sandbox::builder().host(config).start().unwrap()
}

fn connect(sandbox: &Sandbox, host: usize) -> TcpStream {
    let wire = TcpStream::connect(sandbox.addr(host)).unwrap();
    wire.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    wire
}

fn send(wire: &mut TcpStream, head: &str, body: &str) {
    let text = format!("{head} HTTP/1.1\r\nhost: shop\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    wire.write_all(text.as_bytes()).unwrap();
}

/// Reads one answer, whose length its head states. Returns the text of the answer, and the error that ended
/// reading, if any.
fn receive(wire: &mut TcpStream) -> (String, Result<(), ErrorKind>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match wire.read(&mut buffer) {
            Ok(0) => return (text(bytes), Err(ErrorKind::UnexpectedEof)),
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            Err(error) => return (text(bytes), Err(error.kind())),
        }
        if is_whole(&bytes) {
            return (text(bytes), Ok(()));
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.split("content-length: ").nth(1).unwrap();
    let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
    body.len() >= length
}

fn get(sandbox: &Sandbox, host: usize, path: &str) -> (String, Result<(), ErrorKind>) {
    let mut wire = connect(sandbox, host);
    send(&mut wire, &format!("GET {path}"), "");
    receive(&mut wire)
}

/// Waits until every request has ended in the log, and returns the log. The client may be done before the server
/// has logged the end of its request.
fn settled(sandbox: &Sandbox) -> Log {
    loop {
        let log = sandbox.log(0);
        if log.entries().iter().all(|arrival| arrival.left.is_some()) {
            return log;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_connection_is_kept_and_every_request_is_logged() {
    let sandbox = start(HostConfig::new());
    let mut wire = connect(&sandbox, 0);
    for path in ["/", "/products?page=2", "/products/334-black-wooden-cable"] {
        send(&mut wire, &format!("GET {path}"), "");
        let (text, end) = receive(&mut wire);
        assert_eq!(end, Ok(()));
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert_eq!(text.matches("date: ").count(), 1);
    }
    let log = settled(&sandbox);
    assert_eq!((log.served(), log.max_in_flight()), (3, 1));
    assert_eq!(&*log.entries()[1].path, "/products?page=2");
    assert_eq!(log.counts().abandoned, 0);
}

#[test]
fn hosts_share_a_port_and_nothing_else() {
    let sandbox = Sandbox::builder()
        .host(HostConfig::new())
        .hosts([HostConfig::new().products(1), HostConfig::new()])
        .start()
        .unwrap();
    assert_eq!(sandbox.addr(1).ip().to_string(), "127.0.0.2");
    assert_eq!(sandbox.addr(0).port(), sandbox.addr(2).port());
    let (sitemap, _) = get(&sandbox, 1, "/sitemap.xml");
    assert!(sitemap.contains(&format!("<loc>{}</loc>", sandbox.url(1, "/deals"))));
    let arrivals = [0, 1, 2].map(|host| sandbox.log(host).arrivals());
    assert_eq!(arrivals, [0, 1, 0]);
    assert_eq!(sandbox.catalog(1).unwrap().products().len(), 1);
}

#[test]
fn a_reset_is_a_real_one() {
    let fault = |path: &str, fault| (Trigger::Path(path.to_owned()), fault);
    let (before, b) = fault("/before", Fault::Reset);
    let (middle, m) = fault("/deals", Fault::ResetMidBody);
    let sandbox = start(HostConfig::new().fault(before, b).fault(middle, m));
    let (text, end) = get(&sandbox, 0, "/before");
    assert_eq!((text.as_str(), end), ("", Err(ErrorKind::ConnectionReset)));
    let (text, end) = get(&sandbox, 0, "/deals");
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
    let log = settled(&sandbox);
    assert_eq!((log.served(), log.counts().faulted, log.counts().abandoned), (0, 2, 0));
}

#[test]
fn a_truncated_body_ends_in_order_and_too_early() {
    let sandbox = start(HostConfig::new().truncations(1.0));
    let (text, end) = get(&sandbox, 0, "/deals");
    assert_eq!(end, Err(ErrorKind::UnexpectedEof));
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length: usize =
        head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert_eq!(body.len(), length / 2);
}

#[test]
fn a_dripping_body_takes_its_time_and_comes_whole() {
    let every = Duration::from_millis(10);
    let sandbox = start(HostConfig::new().fault(Trigger::Share(1.0), Fault::Drip { chunk: 100, every }));
    let began = Instant::now();
    let (text, end) = get(&sandbox, 0, "/");
    assert_eq!(end, Ok(()));
    let chunks = text.split_once("\r\n\r\n").unwrap().1.len().div_ceil(100) as u32;
    assert!(chunks >= 3 && began.elapsed() >= every * (chunks - 1));
    assert_eq!(settled(&sandbox).served(), 1);
}

#[test]
fn who_leaves_early_has_abandoned() {
    let sandbox = start(HostConfig::new().latency(Duration::from_secs(30)));
    let mut wire = connect(&sandbox, 0);
    send(&mut wire, "GET /", "");
    while sandbox.log(0).arrivals() == 0 {
        std::thread::yield_now();
    }
    drop(wire);
    let log = settled(&sandbox);
    assert!(log.entries()[0].abandoned);
    assert!(log.entries()[0].left.unwrap() < Duration::from_secs(20));
}

#[test]
fn an_order_is_carried_out_even_if_its_answer_is_lost() {
    let sandbox = start(HostConfig::new().resets(1.0));
    let mut wire = connect(&sandbox, 0);
    send(&mut wire, "POST /orders", "one chair");
    assert_eq!(receive(&mut wire).1, Err(ErrorKind::ConnectionReset));
    let times = sandbox.with_host(0, |host| host.orders()[&b"one chair"[..]]);
    assert_eq!(times, 1);
}

#[test]
fn an_unreachable_host_is_refused_by_the_kernel_and_comes_back() {
    let from = Duration::from_millis(150);
    let to = Duration::from_millis(600);
    let sandbox = start(HostConfig::new().outage(from, to, Fault::Unreachable));
    let mut wire = connect(&sandbox, 0);
    while sandbox.elapsed() < from + Duration::from_millis(50) {
        std::thread::yield_now();
    }
    let refused = TcpStream::connect(sandbox.addr(0)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    send(&mut wire, "GET /", "");
    assert_eq!(receive(&mut wire).1, Err(ErrorKind::ConnectionReset));
    let back = loop {
        match TcpStream::connect(sandbox.addr(0)) {
            Ok(wire) => break wire,
            Err(_) => std::thread::yield_now(),
        }
    };
    assert!(sandbox.elapsed() >= to);
    drop(back);
    assert_eq!(get(&sandbox, 0, "/").1, Ok(()));
}

#[test]
fn the_reports_stand_outside_of_limit_and_log() {
    let sandbox = start(HostConfig::new().limit(Limit::per_minute(1)));
    get(&sandbox, 0, "/deals").1.unwrap();
    get(&sandbox, 0, "/deals").1.unwrap();
    let (stats, _) = get(&sandbox, 0, "/__stats");
    assert!(stats.contains("\"refused\":1") && stats.starts_with("HTTP/1.1 200"));
    let (log, _) = get(&sandbox, 0, "/__log");
    assert!(log.contains("\"path\":\"/deals\"") && log.contains("\"statements\""));
    assert_eq!(sandbox.log(0).arrivals(), 2);
}

#[test]
fn logs_outlive_the_server_and_stopping_closes_the_port() {
    let mut sandbox = start(HostConfig::new());
    get(&sandbox, 0, "/").1.unwrap();
    let stopper = sandbox.stopper();
    stopper.stop();
    sandbox.wait();
    assert_eq!(sandbox.log(0).served(), 1);
    let refused = TcpStream::connect(sandbox.addr(0)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn what_cannot_start_says_why() {
    let none = Sandbox::builder().start().unwrap_err();
    assert_eq!(none.to_string(), "cannot start a sandbox of 0 hosts: 1 to 254 are possible");
    let sandbox = start(HostConfig::new());
    let port = sandbox.addr(0).port();
    let taken = Sandbox::builder().host(HostConfig::new()).port(port).start().unwrap_err();
    assert_eq!(taken.to_string(), format!("cannot listen on 127.0.0.1:{port}"));
}

#[test]
fn a_silent_page_waits_until_the_client_has_gone() {
    let sandbox = start(HostConfig::new().fault(Trigger::Path("/deals".into()), Fault::Silence));
    let mut wire = connect(&sandbox, 0);
    wire.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    send(&mut wire, "GET /deals", "");
    assert!(
        matches!(receive(&mut wire), (text, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)) if text.is_empty())
    );
    drop(wire);
    assert!(settled(&sandbox).entries()[0].abandoned);
}
