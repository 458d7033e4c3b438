//! Broken robots.txt files, each on a host of its own. The trouble's URL is a healthy page of that host.

use std::sync::Arc;

use super::super::act::{Act, ENDLESS, head, page, redirect, send, whole};
use super::super::coding::{bomb, encode};
use super::super::serve::OK;
use super::super::{Asked, Ends, Targets, Trouble, TroublePlace};
use super::heads::noise;
use super::{BLOCKED, HTML, LONG, PROTOCOL, RESET, SECOND, TIMEOUT, answer, fails};

/// The required end of a URL whose host's robots.txt cannot be fetched, since that closes the host (RFC 9309
/// §2.3.1.4). A URL of a host that never answered must end with the reason why the host could not be reached.
const CLOSED: Ends = fails(&["host_closed"]);

pub(super) fn troubles(targets: &Targets) -> Vec<Trouble> {
    let mut all = readable();
    all.extend(unreadable(targets));
    all
}

/// Makes a trouble on whose host only robots.txt is broken.
fn rules(
    name: &str,
    does: &str,
    ends: Ends,
    script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
) -> Trouble {
    let place =
        TroublePlace::Host(Arc::new(
            move |asked: &Asked| {
                if asked.path.starts_with("/ok") { page(OK) } else { script(asked) }
            },
        ));
    Trouble::new(&format!("robots-{name}"), &format!("a robots.txt {does}"), ends, place)
}

fn same(name: &str, does: &str, ends: Ends, acts: Vec<Act>) -> Trouble {
    rules(name, does, ends, move |_| acts.clone())
}

const TEXT: &str = "Content-Type: text/plain\r\n";

fn readable() -> Vec<Trouble> {
    let text =
        |name: &str, does: &str, ends: Ends, body: &[u8]| same(name, does, ends, whole("200 OK", TEXT, body));
    let stars =
        format!("User-agent: *\nDisallow: /{}$\nDisallow: /{}b\n", "*a".repeat(2_000), "*o*k".repeat(1_000));
    let ok = Ends::Page;
    vec![
        text(
            "of-html",
            "that is a page",
            ok.clone(),
            b"<!doctype html><title>404</title><p>Disallow everything: / is not here",
        ),
        text("of-noise", "that is binary", ok.clone(), &noise(100_000)),
        text("of-nothing", "that is empty", ok.clone(), b""),
        text("of-nul", "of NUL bytes", ok.clone(), &[0; 10_000]),
        text("of-one-line", "of one line of a megabyte", ok.clone(), &b"Disallow: ".repeat(100_000)),
        text("of-patterns", "whose patterns take for ever to match backwards", ok.clone(), stars.as_bytes()),
        text("of-many-rules", "of fifty thousand rules", ok.clone(), &rules_of(50_000)),
        text("of-ten-megabytes", "of ten megabytes", ok.clone(), &rules_of(700_000)),
        text("forbidding", "that forbids everything", fails(&["robots"]), b"User-agent: *\nDisallow: /\n"),
        text(
            "in-utf-16",
            "in UTF-16",
            ok.clone(),
            &"User-agent: *\nDisallow: /x\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
        ),
        text(
            "of-sitemaps",
            "with a hundred thousand sitemaps",
            ok.clone(),
            &b"Sitemap: http://127.0.0.1:1/x.xml\n".repeat(10_000),
        ),
        same(
            "in-gzip",
            "in gzip",
            ok.clone(),
            whole("200 OK", "Content-Encoding: gzip\r\n", encode("gzip", b"User-agent: *\nDisallow: /no\n")),
        ),
        same(
            "endless",
            "that never ends",
            ok.clone(),
            answer(TEXT, vec![Act::Repeat("# nothing here\n".into(), ENDLESS)]),
        ),
        same(
            "missing",
            "that is missing, at length",
            ok.clone(),
            vec![head("404 Not Found", HTML), Act::Repeat("y".into(), ENDLESS)],
        ),
        same(
            "private",
            "for members only",
            ok.clone(),
            whole("401 Unauthorized", "WWW-Authenticate: Basic\r\n", ""),
        ),
        same("loop", "that redirects to itself", ok.clone(), redirect("/robots.txt")),
        rules("chain", "that redirects for ever", ok, |asked| {
            redirect(format!("/robots.txt?n={}", asked.count))
        }),
        // A crawler may regard this robots.txt as unavailable, which allows everything, or as a server error.
        same("nowhere", "that redirects to nothing", fails(&["bad_redirect", "page"]), redirect("")),
    ]
}

fn unreadable(targets: &Targets) -> Vec<Trouble> {
    let drip = || Act::Drip("#".into(), SECOND / 4);
    vec![
        same("failing", "that fails", CLOSED, whole("500 Oops", "", "")),
        same("unavailable", "that is unavailable", CLOSED, whole("503 Busy", "", "")),
        same("silent", "that is never answered", TIMEOUT, vec![Act::Stall]),
        same(
            "dripping-head",
            "with a head of a byte at a time",
            TIMEOUT,
            vec![send("HTTP/1.1 200 OK\r\nA: "), drip()],
        ),
        same("dripping", "of a byte at a time", TIMEOUT, answer(LONG, vec![drip()])),
        same("reset", "that is reset", RESET, vec![Act::Reset]),
        same("cut", "that is cut", RESET, answer(LONG, vec![send("User-agent: *\n"), Act::Close])),
        same(
            "of-another-protocol",
            "that is no HTTP",
            PROTOCOL,
            vec![send("SSH-2.0-OpenSSH_9.6\r\n\r\n"), Act::Close],
        ),
        // A crawler may ignore everything after the first 500 KiB.
        same(
            "bomb",
            "that is a bomb",
            Ends::Page,
            whole("200 OK", "Content-Encoding: gzip\r\n", bomb("gzip").repeat(20)),
        ),
        same(
            "at-a-private-address",
            "that redirects to a private address",
            BLOCKED,
            redirect(format!("http://127.0.0.1:{}/robots.txt", targets.forbidden.port())),
        ),
    ]
}

fn rules_of(count: usize) -> Vec<u8> {
    let rules: String = (0..count).map(|n| format!("Disallow: /{n}\n")).collect();
    format!("User-agent: *\n{rules}").into_bytes()
}
