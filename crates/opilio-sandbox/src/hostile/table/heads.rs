//! Heads that are malformed or far too large.

use bytes::Bytes;

use super::super::act::{Act, ENDLESS, page, send, whole};
use super::super::{Ends, Trouble};
use super::{PROTOCOL, TOO_MANY_HEADERS, acts, fails};

pub(super) fn troubles() -> Vec<Trouble> {
    let mut all = statuses();
    all.extend(malformed_fields());
    all.extend(senseless_values());
    all.extend(framing());
    all.extend(floods());
    all
}

fn statuses() -> Vec<Trouble> {
    let status = |name: &str, does: &str, line: &str| {
        acts(name, does, PROTOCOL, vec![send(format!("{line}\r\nContent-Length: 0\r\n\r\n")), Act::Close])
    };
    let ends_as = |name: &str, line: &str, reason: &'static [&'static str]| {
        acts(name, &format!("answers {line}"), fails(reason), whole(line, "", ""))
    };
    vec![
        status("status-99", "a status of two digits", "HTTP/1.1 99 Odd"),
        status("status-000", "a status of zeros", "HTTP/1.1 000 Odd"),
        status("status-600", "a status that is not in use", "HTTP/1.1 600 Odd"),
        status("status-999", "a status that is not in use", "HTTP/1.1 999 Request denied"),
        status("status-2000", "a status of four digits", "HTTP/1.1 2000 OK"),
        status("status-word", "a status that is a word", "HTTP/1.1 OK OK"),
        status("status-negative", "a negative status", "HTTP/1.1 -200 OK"),
        status("version-9", "a version of HTTP that there is not", "HTTP/9.9 200 OK"),
        acts(
            "http-0.9",
            "a page without a head",
            PROTOCOL,
            vec![send("<html><title>0.9</title>hello\r\n\r\n"), Act::Close],
        ),
        acts(
            "another-protocol",
            "speaks SSH",
            PROTOCOL,
            vec![send("SSH-2.0-OpenSSH_9.6\r\n\r\n"), Act::Close],
        ),
        acts("noise", "answers random bytes", PROTOCOL, vec![Act::Send(noise(4_096)), Act::Close]),
        acts(
            "upgrade",
            "changes to another protocol without being asked",
            fails(&["http_other", "protocol", "reset"]),
            vec![
                send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
                Act::Send(noise(64)),
                Act::Close,
            ],
        ),
        ends_as("teapot", "418 I'm a teapot", &["http_4xx"]),
        ends_as("gone", "410 Gone", &["http_4xx"]),
        ends_as("legal-reasons", "451 Unavailable For Legal Reasons", &["http_4xx"]),
        ends_as("internal-error", "500 Oops", &["http_5xx"]),
        ends_as("edge-error", "599 Whatever", &["http_5xx"]),
        ends_as("not-implemented", "501 Not Implemented", &["http_5xx"]),
        acts(
            "unavailable-for-ages",
            "503 with a Retry-After of three million years",
            fails(&["host_closed"]),
            whole("503 Busy", "Retry-After: 99999999999999\r\n", ""),
        )
        .while_ok(fails(&["host_closed"])),
    ]
}

/// Makes a trouble whose answer is complete and has these lines among its header fields.
fn head(name: &str, does: &str, ends: Ends, fields: &[u8]) -> Trouble {
    let fields = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", fields, b"\r\nok"].concat();
    acts(name, does, ends, vec![Act::Send(fields.into())])
}

/// Returns troubles with header fields that break the grammar of RFC 9112 §5.
fn malformed_fields() -> Vec<Trouble> {
    vec![
        head("no-colon", "a field without a colon", Ends::Page, b"nonsense\r\n"),
        head("nul-in-name", "a NUL in a field's name", PROTOCOL, b"A\0B: x\r\n"),
        head("nul-in-value", "a NUL in a field's value", PROTOCOL, b"A: x\0y\r\n"),
        head("space-in-name", "a space before the colon", PROTOCOL, b"Content-Length : 3\r\n"),
        head("folded-field", "a field that goes on in the next line", Ends::Page, b"A: x\r\n y: z\r\n"),
        head("empty-name", "a field without a name", Ends::Page, b": x\r\n"),
        head("latin-1-field", "a field that is no UTF-8", Ends::Page, b"X-Name: caf\xe9\r\n"),
        head(
            "escape-codes-in-field",
            "a field that would clear a terminal",
            Ends::Page,
            b"X-Name: \x1b[2J\r\n",
        ),
    ]
}

/// Returns troubles with header fields that have a known name but a senseless value.
fn senseless_values() -> Vec<Trouble> {
    vec![
        head(
            "odd-content-type",
            "a content type of quotes and noise",
            Ends::Page,
            b"Content-Type: text/html; charset=\"\xff;;=\"; x=\r\n",
        ),
        head(
            "unknown-charset",
            "a charset that nobody knows",
            Ends::Page,
            b"Content-Type: text/html; charset=klingon\r\n",
        ),
        head(
            "two-content-types",
            "two content types",
            Ends::Page,
            b"Content-Type: text/html\r\nContent-Type: image/png\r\n",
        ),
        head(
            "odd-links",
            "Link fields that never close",
            Ends::Page,
            b"Link: <<<>;rel=\"next, <;;;\r\nLink: <http://[::1>; rel=next\r\n",
        ),
        head(
            "odd-robots-tag",
            "an X-Robots-Tag of nonsense",
            Ends::Page,
            b"X-Robots-Tag: :::,,,unavailable_after: never\xff\r\n",
        ),
        head(
            "odd-dates",
            "dates that there are not",
            Ends::Page,
            b"Date: Fri, 99 Foo 99999 99:99:99 GMT\r\nLast-Modified: 0\r\nExpires: -1\r\nAge: x\r\n",
        ),
        head(
            "odd-limits",
            "limits that make no sense",
            Ends::Page,
            b"RateLimit: \"x\";r=-1;t=nan\r\nX-RateLimit-Remaining: 0x\r\nX-RateLimit-Reset: 1e999\r\n",
        ),
    ]
}

/// Returns troubles with line ends or lengths that contradict the bytes that follow.
fn framing() -> Vec<Trouble> {
    vec![
        acts(
            "bare-newlines",
            "ends its lines as Unix does",
            Ends::Page,
            vec![send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")],
        ),
        acts(
            "body-with-204",
            "a body where there is none",
            Ends::Page,
            vec![send("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"), Act::Close],
        ),
        acts(
            "more-than-stated",
            "sends another answer behind its own",
            Ends::Page,
            vec![
                send(
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
                ),
                Act::Close,
            ],
        ),
    ]
}

fn floods() -> Vec<Trouble> {
    let flood = |name: &str, does: &str, did: Vec<Act>| acts(name, does, TOO_MANY_HEADERS, did);
    let fields = |count: usize, bytes: usize| -> String {
        (0..count).map(|n| format!("Set-Cookie: c{n}={}; Path=/\r\n", "y".repeat(bytes))).collect()
    };
    let one = |name: &str| format!("{name}: {}\r\n", "y".repeat(1 << 20));
    vec![
        flood("many-fields", "twelve hundred fields", whole("200 OK", &"X-Y: z\r\n".repeat(1_200), "")),
        flood(
            "large-fields",
            "a hundred and twenty fields of a kilobyte",
            whole("200 OK", &fields(120, 1_000), ""),
        ),
        flood("one-large-field", "one field of a megabyte", whole("200 OK", &one("X-Y"), "")),
        flood(
            "endless-field",
            "a field that never ends",
            vec![send("HTTP/1.1 200 OK\r\nX-Y: "), Act::Repeat("y".into(), ENDLESS)],
        ),
        flood(
            "endless-fields",
            "fields that never end",
            vec![send("HTTP/1.1 200 OK\r\n"), Act::Repeat("X-Y: z\r\n".into(), ENDLESS)],
        ),
        acts(
            "endless-reason",
            "a reason phrase that never ends",
            fails(&["too_many_headers", "protocol"]),
            vec![send("HTTP/1.1 200 "), Act::Repeat("y".into(), ENDLESS)],
        ),
        flood("cookie-flood", "a thousand cookies", whole("200 OK", &fields(1_000, 20), "")),
        flood("cookie-monster", "a cookie of a megabyte", whole("200 OK", &one("Set-Cookie"), "")),
        acts("some-cookies", "ninety cookies, some for everybody", Ends::Page, {
            let all =
                fields(88, 20) + "Set-Cookie: all=1; Domain=com; Path=/\r\nSet-Cookie: =;;;Max-Age=x\r\n";
            let mut acts = page("");
            acts[0] =
                send(format!("HTTP/1.1 200 OK\r\n{all}Content-Type: text/html\r\nContent-Length: 0\r\n\r\n"));
            acts
        }),
    ]
}

/// Returns bytes that look random but are always the same.
pub(super) fn noise(count: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    };
    (0..count).map(|_| next()).collect()
}
