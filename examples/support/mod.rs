//! A local server for the examples, so that they need no network.
#![allow(dead_code, reason = "each example looks at what it needs")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

/// A request as the server has received it.
pub(crate) struct Asked {
    /// The method: `GET` or `POST`.
    pub(crate) method: String,
    /// The path and the query.
    pub(crate) target: String,
    /// The header fields as text, in lower case.
    pub(crate) head: String,
    /// The body of the request.
    pub(crate) body: String,
}

/// Starts a server in another thread, and returns its address. `answer` returns header fields, an empty line
/// and a body.
pub(crate) fn serve(answer: impl Fn(&Asked) -> String + Send + 'static) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for wire in listener.incoming() {
            // If one connection fails, only that connection ends.
            let _ = wire.and_then(|mut wire| {
                let Some(asked) = read(&mut BufReader::new(&wire))? else { return Ok(()) };
                let text = answer(&asked);
                let (fields, body) = text.split_once("\n\n").unwrap_or(("", &text));
                let fields: String = fields.lines().map(|field| format!("{field}\r\n")).collect();
                let length = body.len();
                write!(
                    wire,
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}\r\n{body}"
                )
            });
        }
    });
    Ok(base)
}

fn read(wire: &mut impl BufRead) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    wire.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut head = String::new();
    while wire.read_line(&mut head)? > 2 {}
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|field| field.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0).min(1 << 16)];
    wire.read_exact(&mut body)?;
    Ok(Some(Asked { method, target, head, body: String::from_utf8_lossy(&body).into_owned() }))
}
