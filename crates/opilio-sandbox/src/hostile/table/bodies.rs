//! Bodies that are too large, that decompress to large sizes, or that have wrong labels.

use super::super::act::{Act, ENDLESS, head, send, whole};
use super::super::coding::{bomb, encode};
use super::super::{Ends, Trouble};
use super::heads::noise;
use super::{BOMB, HTML, TOO_LARGE, UNDECODABLE, acts, answer, fails};

pub(super) fn troubles() -> Vec<Trouble> {
    let mut all = sizes();
    all.extend(codings());
    all.extend(charsets());
    all
}

fn sizes() -> Vec<Trouble> {
    let block = "y".repeat(64 << 10);
    let times = (100 << 20) / block.len() as u64;
    let large = || Act::Repeat(block.clone().into(), times);
    let chunk = format!("{:x}\r\n{block}\r\n", block.len());
    vec![
        acts(
            "stated-100-mb",
            "100 MB, and says so",
            TOO_LARGE,
            answer("Content-Type: text/html\r\nContent-Length: 104857600\r\n", vec![large()]),
        ),
        acts(
            "unstated-100-mb",
            "100 MB without a length",
            TOO_LARGE,
            answer(HTML, vec![large(), Act::Close]),
        ),
        acts(
            "chunked-100-mb",
            "100 MB in chunks",
            TOO_LARGE,
            vec![
                head("200 OK", "Content-Type: text/html\r\nTransfer-Encoding: chunked\r\n"),
                Act::Repeat(chunk.into(), times),
                send("0\r\n\r\n"),
            ],
        ),
        acts(
            "endless-body",
            "a body that never ends",
            TOO_LARGE,
            answer(HTML, vec![Act::Repeat(block.clone().into(), ENDLESS)]),
        ),
        acts(
            "large-failure",
            "404 with a body that never ends",
            fails(&["http_4xx"]),
            vec![head("404 Not Found", HTML), Act::Repeat(block.clone().into(), ENDLESS)],
        ),
        acts(
            "large-redirect",
            "a redirect to /ok's host with a body that never ends",
            fails(&["http_4xx"]),
            vec![head("302 Found", "Location: /nowhere\r\n"), Act::Repeat(block.into(), ENDLESS)],
        ),
    ]
}

/// Makes a trouble whose answer is complete and is labelled with these codings, whatever its bytes really are.
fn coded(name: &str, does: &str, ends: Ends, coding: &str, body: impl AsRef<[u8]>) -> Trouble {
    acts(name, does, ends, whole("200 OK", &format!("{HTML}Content-Encoding: {coding}\r\n"), body))
}

fn codings() -> Vec<Trouble> {
    let html = "<p>hello</p>".repeat(2_000);
    let gzip = encode("gzip", html.as_bytes());
    let cut = &gzip[..gzip.len() - 9];
    let mut broken = gzip.clone();
    let end = broken.len();
    broken[end - 6] ^= 1;
    let inner = bomb("gzip");
    let thousand = bomb("gzip").repeat(500);
    // A frame of zstd that claims a window of 2 GiB (RFC 8878 §3.1.1.1.2), and a block of one byte.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x09, 0x00, 0x00, b'x'];
    vec![
        coded("gzip-bomb", "a gigabyte of zeros in gzip", BOMB, "gzip", thousand),
        coded("deflate-bomb", "zeros in deflate", BOMB, "deflate", bomb("deflate")),
        coded("br-bomb", "zeros in brotli", BOMB, "br", bomb("br")),
        coded("zstd-bomb", "zeros in zstd", BOMB, "zstd", bomb("zstd")),
        coded("bomb-in-bomb", "a bomb, compressed again", BOMB, "gzip, gzip", encode("gzip", &inner)),
        coded(
            "mixed-bomb",
            "a bomb in brotli, compressed again by zstd",
            BOMB,
            "br, zstd",
            encode("zstd", &bomb("br")),
        ),
        coded(
            "three-codings",
            "three codings",
            UNDECODABLE,
            "gzip, gzip, gzip",
            encode("gzip", &encode("gzip", &gzip)),
        ),
        coded("gzip-that-is-plain", "says gzip and sends HTML", UNDECODABLE, "gzip", &html),
        coded("br-that-is-gzip", "says brotli and sends gzip", UNDECODABLE, "br", &gzip),
        coded("zstd-that-is-noise", "says zstd and sends noise", UNDECODABLE, "zstd", noise(500)),
        coded("cut-gzip", "gzip without its end, with the right length", UNDECODABLE, "gzip", cut),
        coded("broken-gzip", "gzip with a wrong checksum", UNDECODABLE, "gzip", broken),
        coded("zstd-window", "a window of two gigabytes", UNDECODABLE, "zstd", window),
        coded("unknown-coding", "a coding that nobody knows", UNDECODABLE, "rot13", &html),
        coded("chunked-as-coding", "names the transfer as content", UNDECODABLE, "chunked", &html),
        coded("healthy-gzip", "gzip as it should be", Ends::Page, "gzip", &gzip),
        coded(
            "gzip-with-padding",
            "gzip with zeros behind it",
            Ends::Page,
            "gzip",
            [&gzip[..], &[0; 500]].concat(),
        ),
        coded(
            "gzip-twice",
            "gzip in gzip, which is allowed",
            Ends::Page,
            "gzip, gzip",
            encode("gzip", &gzip),
        ),
    ]
}

fn charsets() -> Vec<Trouble> {
    let typed = |name: &str, does: &str, kind: &str, body: &[u8]| {
        acts(name, does, Ends::Page, whole("200 OK", &format!("Content-Type: {kind}\r\n"), body))
    };
    let html = b"<title>Caf\xc3\xa9</title><p>ok";
    let wide: Vec<u8> = "<title>Caf\u{e9}</title>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        typed("called-utf-16", "UTF-8 that is called UTF-16", "text/html; charset=utf-16le", html),
        typed("utf-16-called-utf-8", "UTF-16 that is called UTF-8", "text/html; charset=utf-8", &wide),
        typed("called-utf-7", "a charset that no browser reads any more", "text/html; charset=utf-7", html),
        typed("replacement-charset", "a charset that is forbidden", "text/html; charset=iso-2022-kr", html),
        typed(
            "invalid-utf-8",
            "bytes that are no UTF-8, everywhere",
            "text/html; charset=utf-8",
            &[b"<title>\xff\xfe\xc0\x80</title><a href=\"/\xff\">", &noise(60_000)[..]].concat(),
        ),
        typed(
            "two-boms",
            "two byte order marks that disagree",
            "text/html",
            b"\xef\xbb\xbf\xff\xfe<title>x</title>",
        ),
        typed("binary-html", "noise that is called HTML", "text/html", &noise(200_000)),
        typed(
            "nested-json",
            "JSON in a hundred thousand brackets",
            "application/json",
            "[".repeat(100_000).as_bytes(),
        ),
        typed("entity-bomb", "XML that explodes where entities are expanded", "application/xml", &entities()),
    ]
}

/// Returns the "billion laughs" attack: XML entities whose text grows exponentially when they are expanded.
fn entities() -> Vec<u8> {
    let mut xml = String::from("<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY l0 \"lol\">");
    for n in 1..12 {
        xml += &format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10));
    }
    (xml + "]><l>&l11;</l>").into_bytes()
}
