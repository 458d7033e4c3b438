//! Tests of `opilio sandbox`, which serves until a signal arrives.

use crate::support::run;

#[cfg(unix)]
#[test]
fn hosts_are_served_until_a_signal() {
    use crate::support::{finish, opilio, signal};
    use std::io::{BufRead, BufReader, Read, Write};

    let args =
        ["sandbox", "--port=0", "--hosts=2", "--rate-limit=1/m", "--retry-after=7", "--dialect=structured"];
    let mut child = opilio().args(args).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let bases: Vec<_> = lines.take(2).collect();
    let get = |base: &str| {
        let addr = base.strip_prefix("http://").unwrap();
        let mut wire = std::net::TcpStream::connect(addr).unwrap();
        wire.write_all(b"GET /deals HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        wire.read_to_string(&mut answer).unwrap();
        answer.to_ascii_lowercase()
    };
    assert!(bases[1].starts_with("http://127.0.0.2:"), "{bases:?}");
    let first = get(&bases[0]);
    assert!(first.starts_with("http/1.1 200") && first.contains("ratelimit-policy:"), "{first}");
    let second = get(&bases[0]);
    assert!(second.starts_with("http/1.1 429") && second.contains("retry-after: 7\r\n"), "{second}");
    signal(&child, "TERM");
    let run = finish(child);
    assert_eq!(run.code, 143);
    assert!(run.stderr.contains(&format!("{}: 2 arrivals, 1 served, 1 refused", bases[0])), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn the_second_edition_of_the_shop_has_other_classes() {
    use crate::support::{finish, opilio, signal};
    use std::io::{BufRead, BufReader};

    let mut child = opilio().args(["sandbox", "--port=0", "--edition=2"]).spawn().unwrap();
    let mut base = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut base).unwrap();
    let page = run(&["fetch", "--allow-private", &format!("{}/products", base.trim())]);
    let html = page.items()[0]["body"].as_str().unwrap().to_owned();
    assert!(html.contains("<span class=\"amount\">$") && !html.contains("class=\"price\""), "{html}");
    signal(&child, "TERM");
    assert_eq!(finish(child).code, 143);
}

#[test]
fn what_cannot_be_served_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = std::net::TcpListener::bind(taken).unwrap();
    let addr = listener.local_addr().unwrap();
    for (args, part) in [
        (vec!["--port".to_owned(), addr.port().to_string()], addr.to_string()),
        (vec!["--retry-after=maybe".to_owned()], "\"maybe\"".to_owned()),
        (vec!["--edition=3".to_owned()], "1..=2".to_owned()),
        (vec!["--errors=2".to_owned()], "\"2\" is not a share".to_owned()),
        (vec!["--dialect=structured".to_owned()], "--rate-limit".to_owned()),
    ] {
        let args: Vec<_> = std::iter::once("sandbox").chain(args.iter().map(String::as_str)).collect();
        let run = run(&args);
        assert_eq!(run.code, 2, "{args:?}");
        assert!(run.error().contains(&part), "{}", run.stderr);
    }
}
