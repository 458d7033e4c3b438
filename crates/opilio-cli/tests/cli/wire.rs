//! Tests of answers that break the rules of HTTP: pages still arrive, robots.txt is still obeyed, and a head that
//! cannot be read makes only its own URL fail.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{assert_balanced, crawl, run};

/// A server whose answers are bytes that a closure makes. It answers one request on each connection, and records
/// the requests.
struct Server {
    base: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let log: Arc<Mutex<Vec<_>>> = Arc::default();
        let seen = log.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
                let path = head.split(' ').nth(1).unwrap_or_default();
                seen.lock().unwrap().push(path.to_owned());
                let _ = reader.into_inner().write_all(&answer(path));
            }
        });
        Self { base, log }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn asked(&self, path: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}

/// Adds a header line to an answer that says that the server closes the connection. Without this line a client may
/// send its next request on a connection that is about to close.
fn closing(answer: Vec<u8>) -> Vec<u8> {
    let end = answer.windows(2).position(|two| two == b"\r\n").map_or(answer.len(), |at| at + 2);
    [&answer[..end], b"Connection: close\r\n", &answer[end..]].concat()
}

/// Returns an answer with these header lines and the length of the body.
fn with(lines: &[u8], body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    [b"HTTP/1.1 200 OK\r\n", lines, length.as_bytes(), body].concat()
}

/// Returns a page with these links.
fn page(links: &[&str]) -> Vec<u8> {
    let links: String = links.iter().map(|link| format!("<a href={link}>x</a>")).collect();
    with(b"Content-Type: text/html\r\n", format!("<title>t</title>{links}").as_bytes())
}

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Flaws that occur in the heads of real servers. Each must not affect the rest of the answer.
const LENIENT: [&[u8]; 12] = [
    b"X-A: one\r\n two\r\n",
    b"Name : v\r\n",
    b"PHP Warning: session_start(): headers already sent\r\n",
    b"X[1]: a\r\n",
    b"X-Control: a\x01b\r\n",
    b": v\r\n",
    b"no colon\r\n",
    b"Content-Encoding: none\r\n",
    b"Content-Encoding: utf-8\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding:\r\n",
    b"Set-Cookie: a=\xe9\tb\r\n",
];

#[test]
fn rules_and_pages_are_read_whatever_stands_between_their_header_lines() {
    let rules = "User-agent: *\nDisallow: /private\n";
    for lines in LENIENT {
        let server = Server::start(move |path| match path {
            "/robots.txt" => with(lines, rules.as_bytes()),
            "/" => with(
                &[b"Content-Type: text/html\r\n", lines].concat(),
                b"<a href=/a>a</a><a href=/private>p</a>",
            ),
            _ => with(lines, b"<title>a</title>"),
        });
        let (run, report) = crawl(&[&server.url("/")]);
        let what = String::from_utf8_lossy(lines);
        assert_eq!((run.code, &report["pages"]), (0, &json!(2)), "{what}: {report}");
        assert_eq!((server.asked("/robots.txt"), server.asked("/private")), (1, 0), "{what}");
        assert_eq!(report["reasons"], json!({"robots": 1}), "{what}");
    }
}

#[test]
fn rules_in_utf_16_are_obeyed() {
    let rules = "User-agent: *\r\nDisallow: /private\r\n";
    let server = Server::start(move |path| match path {
        "/robots.txt" => with(b"Content-Type: text/plain\r\n", &utf16(rules)),
        _ => page(&["/a", "/private"]),
    });
    let (_, report) = crawl(&[&server.url("/")]);
    assert_eq!((&report["pages"], server.asked("/private")), (&json!(2), 0), "{report}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("robots.txt");
    std::fs::write(&file, utf16(rules)).unwrap();
    let run = run(&["robots", "check", "--file", file.to_str().unwrap(), "/private/x", "/a"]);
    assert_eq!(run.stdout, "disallow\t/private/x\nallow\t/a\n");
}

#[test]
fn a_head_that_cannot_be_read_is_its_urls_own_failure() {
    let broken: [(&str, &[u8]); 8] = [
        ("/two-lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        ("/no-number", b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello"),
        (
            "/two-framings",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("/chunked-twice", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("/compressed", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("/old-chunks", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("/zero", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\nhello"),
        ("/unspoken", b"HTTP/1.1 200 OK\r\nContent-Encoding: compress\r\nContent-Length: 5\r\n\r\nhello"),
    ];
    // The crawl requests all of the broken paths in a row, and then the good pages.
    let paths: Vec<_> = broken.iter().map(|(path, _)| *path).chain(["/a", "/b", "/c"]).collect();
    let answer = move |path: &str| match broken.iter().find(|(broken, _)| *broken == path) {
        Some((_, bytes)) => bytes.to_vec(),
        None if path == "/robots.txt" => b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
        None if path == "/" => page(&paths),
        None => page(&[]),
    };
    let server = Server::start(move |path| closing(answer(path)));
    for more in [&[][..], &["--no-robots"]] {
        server.log.lock().unwrap().clear();
        let url = server.url("/");
        let (_, report) = crawl(&[&[url.as_str(), "--retries", "2"], more].concat());
        assert_balanced(&report);
        assert_eq!(report["pages"], json!(4), "{report}");
        assert_eq!(report["reasons"], json!({"protocol": 7, "undecodable": 1}), "{report}");
        for (path, _) in broken {
            let requests = if path == "/unspoken" { 1 } else { 3 };
            assert_eq!(server.asked(path), requests, "{path} {more:?}");
        }
        // If the crawl had blamed the host, it would have sent one more request (a witness) to check the host.
        let rules = usize::from(more.is_empty());
        assert_eq!(server.log.lock().unwrap().len(), rules + 4 + 7 * 3 + 1);
    }
}

#[test]
fn header_fields_are_shown_in_the_order_in_which_they_came() {
    let server = Server::start(|_| {
        with(b"X-A: 1\r\nX-B: 2\r\nX-A: 3\r\nX-C: 4\r\n 5\r\nX-B:\r\nX-A: \xe9\r\n", b"hello")
    });
    let run = run(&["fetch", "--allow-private", "--no-robots", &server.url("/")]);
    let json: Value = run.items().remove(0);
    let expected = json!([
        ["x-a", "1"],
        ["x-b", "2"],
        ["x-a", "3"],
        ["x-c", "4 5"],
        ["x-b", ""],
        ["x-a", "\u{fffd}"],
        ["content-length", "5"]
    ]);
    assert_eq!((run.code, &json["headers"]), (0, &expected));
}

#[test]
fn a_wall_of_two_cookies_is_passed_up_to_the_limit_of_redirects() {
    // This cookie contains bytes that are not ASCII. The site shows its pages only if the cookie is sent back
    // unchanged.
    let cookies = Arc::new(Mutex::new(Vec::<String>::new()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/wall", listener.local_addr().unwrap());
    let seen = cookies.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut head = Vec::new();
            while reader.read_until(b'\n', &mut head).is_ok_and(|n| n > 2) {}
            let has = |cookie: &[u8]| head.windows(cookie.len()).any(|part| part == cookie);
            let to_itself = |cookie: &[u8]| {
                let fields = [b"Location: /wall\r\nSet-Cookie: ", cookie, b"; Path=/\r\n"].concat();
                [b"HTTP/1.1 302 Found\r\n", &fields[..], b"Content-Length: 0\r\n\r\n"].concat()
            };
            let answer = match () {
                () if !has(b"GET /wall") => b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
                () if !has(b"first=M\xfcller") => to_itself(b"first=M\xfcller"),
                () if !has(b"second=a\tb") => to_itself(b"second=a\tb"),
                () => page(&[]),
            };
            seen.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
            let _ = reader.into_inner().write_all(&answer);
        }
    });
    let (run, report) = crawl(&[&base]);
    assert_eq!((run.code, &report["pages"]), (0, &json!(1)), "{report} {:?}", cookies.lock().unwrap());
    let (_, report) = crawl(&[&base, "--max-redirects", "1"]);
    assert_eq!(report["reasons"], json!({"too_many_redirects": 1}));
}
