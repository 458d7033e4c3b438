//! Redirects in circles, redirects without a target, and redirects to forbidden addresses.

use super::super::act::{head, redirect, send};
use super::super::{Asked, Ends, Targets, Trouble, TroublePlace};
use super::{BAD_REDIRECT, BLOCKED, PROTOCOL, acts, fails};

pub(super) fn troubles(targets: &Targets) -> Vec<Trouble> {
    let mut all = circles();
    all.extend(no_target());
    all.extend(bad_locations());
    all.extend(unreachable());
    all.extend(forbidden(targets));
    all.extend(links(targets));
    all
}

fn circles() -> Vec<Trouble> {
    const LOOP: Ends = fails(&["redirect_loop"]);
    const TOO_MANY: Ends = fails(&["too_many_redirects"]);
    vec![
        acts("loop-of-one", "redirects to itself", LOOP, redirect("/loop-of-one")),
        acts(
            "loop-by-fragment",
            "redirects to itself with a fragment",
            LOOP,
            redirect("/loop-by-fragment#again"),
        ),
        Trouble::at("loop-of-two", "two URLs that redirect to each other", LOOP, |asked| {
            redirect(if asked.path.ends_with("-b") { "/loop-of-two" } else { "/loop-of-two-b" })
        }),
        Trouble::at("loop-of-seven", "seven URLs in a circle", LOOP, |asked| {
            redirect(format!("/loop-of-seven?n={}", (number(&asked.path) + 1) % 7))
        }),
        Trouble::at("chain-of-fifty", "fifty redirects in a row, then a page", TOO_MANY, |asked| {
            let n = number(&asked.path);
            redirect(if n < 50 { format!("/chain-of-fifty?n={}", n + 1) } else { "/ok".into() })
        }),
        Trouble::at("endless-chain", "redirects that never end", TOO_MANY, |asked| {
            redirect(format!("/endless-chain?n={}", number(&asked.path) + 1))
        }),
        Trouble::at("random-chain", "redirects to a new random place each time", TOO_MANY, |asked| {
            redirect(format!("/random-chain?t={:x}", scramble(asked.count)))
        }),
        Trouble::at(
            "growing-chain",
            "redirects that make their URL longer",
            fails(&["too_many_redirects", "bad_redirect", "out_of_scope"]),
            |asked| redirect(format!("{}{}", asked.path, "y".repeat(300))),
        ),
        Trouble::at(
            "nesting-chain",
            "redirects deeper into the same path",
            fails(&["too_many_redirects", "out_of_scope"]),
            |asked| redirect(format!("{}/again", asked.path)),
        ),
    ]
}

/// Returns troubles with redirects that have no target, or two targets.
fn no_target() -> Vec<Trouble> {
    vec![
        acts(
            "no-location",
            "a redirect without Location",
            BAD_REDIRECT,
            vec![head("302 Found", "Content-Length: 0\r\n")],
        ),
        acts(
            "two-locations",
            "a redirect to two places",
            BAD_REDIRECT,
            vec![head("302 Found", "Content-Length: 0\r\nLocation: /ok\r\nLocation: /no\r\n")],
        ),
        acts(
            "multiple-choices",
            "300 without a choice",
            fails(&["bad_redirect", "http_other"]),
            vec![head("300 Multiple Choices", "Content-Length: 0\r\n")],
        ),
        acts(
            "use-proxy",
            "305, which asks to be proxied",
            fails(&["bad_redirect", "http_other"]),
            vec![head("305 Use Proxy", "Content-Length: 0\r\nLocation: http://127.0.0.1:1/\r\n")],
        ),
    ]
}

/// Returns troubles with redirects whose `Location` is not a URL that a crawler may fetch.
fn bad_locations() -> Vec<Trouble> {
    let to = |name: &str, location: &[u8], ends: Ends| {
        acts(
            name,
            &format!("redirects to {:?}", String::from_utf8_lossy(&location[..location.len().min(60)])),
            ends,
            redirect(location),
        )
    };
    let large = [b"/", &[b'y'; 60_000][..]].concat();
    vec![
        to("empty-location", b"", BAD_REDIRECT),
        to("open-bracket", b"http://[::1", BAD_REDIRECT),
        to("no-host", b"http://", BAD_REDIRECT),
        to("to-file", b"file:///etc/passwd", BAD_REDIRECT),
        to("to-ftp", b"ftp://127.0.0.1/x", BAD_REDIRECT),
        to("to-gopher", b"gopher://127.0.0.1:6379/_FLUSHALL", BAD_REDIRECT),
        to("to-javascript", b"javascript:alert(1)", BAD_REDIRECT),
        to("to-data", b"data:text/html,<script>alert(1)</script>", BAD_REDIRECT),
        to("to-mail", b"mailto:you@example.com", BAD_REDIRECT),
        to("to-unix-socket", b"http+unix://%2Frun%2Fdocker.sock/info", BAD_REDIRECT),
        to("large-location", &large, BAD_REDIRECT),
        to("control-characters", b"/\x01\x02\x1b[2J", BAD_REDIRECT),
        to(
            "percent-encoded-newlines",
            b"/nowhere%0d%0aSet-Cookie:%20a=b%0d%0a%0d%0a<script>",
            fails(&["http_4xx"]),
        ),
        acts(
            "header-injection",
            "a Location with a newline in it",
            fails(&["http_4xx"]),
            vec![send(
                "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /nowhere\r\nLocation-Too: http://127.0.0.1/\r\n\r\n",
            )],
        ),
        acts(
            "carriage-return",
            "a Location with a bare carriage return",
            PROTOCOL,
            redirect("/x\rLocation: http://127.0.0.1/"),
        ),
    ]
}

/// Returns troubles with redirects to an address where no server answers.
fn unreachable() -> Vec<Trouble> {
    vec![
        acts(
            "to-a-closed-port",
            "a redirect to where nobody listens",
            fails(&["connect", "host_closed"]),
            redirect("http://127.66.255.254:9/"),
        ),
        acts(
            "to-a-name-that-is-none",
            "a redirect to a name that cannot exist",
            fails(&["dns", "host_closed"]),
            redirect("http://no-such-name.invalid/"),
        ),
    ]
}

/// Returns notations of private addresses, each with a short name in front. `{port}` stands for the port of the
/// forbidden listener.
fn addresses() -> Vec<(&'static str, &'static str)> {
    vec![
        ("loopback", "http://127.0.0.1:{port}/"),
        ("loopback-as-decimal", "http://2130706433:{port}/"),
        ("loopback-as-hex", "http://0x7f000001:{port}/"),
        ("loopback-as-octal", "http://017700000001:{port}/"),
        ("loopback-in-hex-parts", "http://0x7f.0x0.0x0.0x1:{port}/"),
        ("loopback-in-octal-parts", "http://0177.0.0.01:{port}/"),
        ("loopback-in-two-parts", "http://127.1:{port}/"),
        ("loopback-in-three-parts", "http://127.0.1:{port}/"),
        ("loopback-with-zeros", "http://127.000.000.001:{port}/"),
        ("loopback-with-dot", "http://127.0.0.1.:{port}/"),
        ("loopback-percent-encoded", "http://%31%32%37.0.0.1:{port}/"),
        ("loopback-in-full-width", "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1:{port}/"),
        ("loopback-in-circles", "http://\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}:{port}/"),
        ("loopback-with-ideographic-dots", "http://127\u{3002}0\u{3002}0\u{3002}1:{port}/"),
        ("another-loopback", "http://127.255.255.254:{port}/"),
        ("any-address", "http://0.0.0.0:{port}/"),
        ("any-address-short", "http://0:{port}/"),
        ("loopback-v6", "http://[::1]:{port}/"),
        ("any-address-v6", "http://[::]:{port}/"),
        ("mapped", "http://[::ffff:127.0.0.1]:{port}/"),
        ("mapped-in-hex", "http://[::ffff:7f00:1]:{port}/"),
        ("compatible", "http://[::127.0.0.1]:{port}/"),
        ("nat64", "http://[64:ff9b::127.0.0.1]:{port}/"),
        ("nat64-local", "http://[64:ff9b:1::7f00:1]:{port}/"),
        ("six-to-four", "http://[2002:7f00:1::]:{port}/"),
        ("teredo", "http://[2001:0:7f00:1::]:{port}/"),
        ("link-local-v6", "http://[fe80::1]:{port}/"),
        ("unique-local-v6", "http://[fd00::1]:{port}/"),
        ("name-of-loopback", "http://localhost:{port}/"),
        ("name-of-loopback-with-dot", "http://localhost.:{port}/"),
        ("name-in-capitals", "http://LOCALHOST:{port}/"),
        ("user-info", "http://127.66.0.1@127.0.0.1:{port}/"),
        ("user-info-and-password", "http://example.com:80@127.0.0.1:{port}/"),
        ("user-info-with-at", "http://a%40b@127.0.0.1:{port}/"),
        ("fragment-before-host", "http://127.0.0.1:{port}#@example.com/"),
        ("backslashes", "http:\\\\127.0.0.1:{port}\\"),
        ("no-scheme", "//127.0.0.1:{port}/"),
        ("three-slashes", "http:///127.0.0.1:{port}/"),
        ("one-slash", "https:/127.0.0.1:{port}/"),
        ("tabs", "ht\ttp://127.0.\t0.1:{port}/"),
        ("over-tls", "https://127.0.0.1:{port}/"),
        ("private-10", "http://10.0.0.1/"),
        ("private-172", "http://172.16.0.1/"),
        ("private-192", "http://192.168.1.1/"),
        ("shared-100", "http://100.64.0.1/"),
        ("metadata", "http://169.254.169.254/latest/meta-data/iam/security-credentials/"),
        ("metadata-as-decimal", "http://2852039166/latest/meta-data/"),
        ("metadata-mapped", "http://[::ffff:169.254.169.254]/latest/meta-data/"),
        ("metadata-v6", "http://[fd00:ec2::254]/latest/meta-data/"),
        ("metadata-elsewhere", "http://100.100.100.200/latest/meta-data/"),
        ("metadata-agent", "http://168.63.129.16/machine?comp=goalstate"),
        ("multicast", "http://239.255.255.250:1900/"),
        ("broadcast", "http://255.255.255.255/"),
        ("benchmarks", "http://198.18.0.1/"),
        ("documentation", "http://192.0.2.1/"),
    ]
}

/// Returns troubles with one redirect to each of the forbidden addresses.
fn forbidden(targets: &Targets) -> Vec<Trouble> {
    let port = targets.forbidden.port().to_string();
    let mut all: Vec<Trouble> = addresses()
        .into_iter()
        .map(|(name, url)| {
            let mut url = url.replace("{port}", &port);
            // Each target gets a path of its own. Otherwise several targets would be the same URL, and all but one
            // of them would be reported as aliases.
            if url.ends_with(['/', '\\']) {
                url += &format!("to-{name}");
            }
            acts(&format!("to-{name}"), &format!("redirects to {url}"), BLOCKED, redirect(&url))
        })
        .collect();
    let to = format!("http://127.0.0.1:{port}/late");
    all.push(Trouble::at(
        "late-to-loopback",
        "redirects to a private address after three hops",
        BLOCKED,
        move |asked: &Asked| {
            let n = number(&asked.path);
            redirect(if n < 3 { format!("/late-to-loopback?n={}", n + 1) } else { to.clone() })
        },
    ));
    all
}

/// Returns troubles that are links to some of the forbidden addresses. Their paths differ, because several
/// notations mean the same host by the URL standard.
fn links(targets: &Targets) -> Vec<Trouble> {
    let port = targets.forbidden.port().to_string();
    addresses()
        .into_iter()
        .filter(|(_, url)| url.starts_with("http://") && url.ends_with("{port}/"))
        .map(|(name, url)| {
            let url = url.replace("{port}", &port) + name;
            Trouble::new(&format!("link-to-{name}"), "is a private address", BLOCKED, TroublePlace::Url(url))
        })
        .collect()
}

/// Returns the number after `n=` in a path, or 0 if there is none.
fn number(path: &str) -> u64 {
    path.split_once("n=").and_then(|(_, n)| n.parse().ok()).unwrap_or(0)
}

/// Mixes the bits of a number, so that the result looks random.
pub(super) fn scramble(count: u64) -> u64 {
    (count + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0x5851_f42d_4c95_7f2d
}
