//! Tests of `opilio robots`, which prints line by line what a robots.txt allows.

use serde_json::json;

use crate::support::{run, run_with_input};

fn check(file: &str, user_agent: &str, urls: &[&str]) -> String {
    let args = ["robots", "check", "--file", "-", "--user-agent", user_agent];
    let run = run_with_input(&[&args, urls].concat(), file.as_bytes());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    run.stdout
}

/// Returns only the verdicts: `a` (allowed) or `d` (disallowed) for each URL.
fn verdicts(file: &str, user_agent: &str, urls: &[&str]) -> String {
    check(file, user_agent, urls).lines().map(|line| &line[..1]).collect()
}

#[test]
fn each_url_gets_a_line_with_its_verdict_in_the_order_asked() {
    let file = "User-agent: *\nDisallow: /private\nAllow: /private/news\n";
    let urls = ["https://a.example/private?x", "https://a.example/private/news/1", "/private", "/"];
    assert_eq!(
        check(file, "Opilio/0.1", &urls),
        "disallow\thttps://a.example/private?x\nallow\thttps://a.example/private/news/1\n\
         disallow\t/private\nallow\t/\n"
    );
}

#[test]
fn the_rules_are_those_of_rfc_9309_and_googles_tolerances() {
    for (what, file, user_agent, urls, expected) in [
        (
            "the longest match wins",
            "user-agent: *\nallow: /a\ndisallow: /a/b\n",
            "x",
            &["/a", "/a/b/c"][..],
            "ad",
        ),
        ("allow wins a tie", "user-agent: *\ndisallow: /a\nallow: /a\n", "x", &["/a"], "a"),
        ("wildcards", "user-agent: *\ndisallow: /*.php$\n", "x", &["/x.php", "/x.php?y"], "da"),
        (
            "groups merge",
            "user-agent: x\ndisallow: /a\n\nuser-agent: *\ndisallow: /c\n\nuser-agent: x\ndisallow: /b\n",
            "x/1",
            &["/a", "/b", "/c"],
            "dda",
        ),
        ("several agents, one group", "user-agent: y\nuser-agent: x\ndisallow: /a\n", "x/1", &["/a"], "d"),
        (
            "tokens ignore case and version",
            "user-agent: FooBot/2.1\ndisallow: /a\n",
            "foobot/9",
            &["/a"],
            "d",
        ),
        ("a token is no prefix", "user-agent: foo\ndisallow: /a\n", "foobot", &["/a"], "a"),
        (
            "percent-encoding",
            "user-agent: *\ndisallow: /caf%C3%A9\n",
            "x",
            &["https://a.example/café", "/caf%c3%a9"],
            "dd",
        ),
        ("non-ASCII rules", "user-agent: *\ndisallow: /café\n", "x", &["https://a.example/caf%C3%A9"], "d"),
        ("a byte order mark and CR alone", "\u{feff}user-agent: *\rdisallow: /a\r", "x", &["/a"], "d"),
        ("a forgotten colon and a typo", "useragent *\ndissallow /a\n", "x", &["/a"], "d"),
        ("an empty disallow", "user-agent: *\ndisallow:\n", "x", &["/a"], "a"),
        ("a comment", "user-agent: * # all\ndisallow: /a # that\n", "x", &["/a"], "d"),
        ("a NUL is no line end", "user-agent: *\ndisallow: /a\0\ndisallow: /b\n", "x", &["/a", "/b"], "ad"),
        ("robots.txt itself", "user-agent: *\ndisallow: /\n", "x", &["/robots.txt", "/a"], "ad"),
        ("no file at all", "", "x", &["/a"], "a"),
    ] {
        assert_eq!(verdicts(file, user_agent, urls), expected, "{what}");
    }
}

#[test]
fn a_file_beyond_500_kib_counts_up_to_its_last_whole_line() {
    let filler = format!("# {}\n", "x".repeat(97)).repeat(6_000);
    let file = format!("user-agent: *\ndisallow: /early\n{filler}disallow: /late\n");
    assert_eq!(verdicts(&file, "x", &["/early", "/late"]), "da");
}

#[test]
fn delay_and_sitemaps_are_one_object() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("robots.txt");
    let show = |file: &str| {
        std::fs::write(&path, file).unwrap();
        let run = run(&["robots", "show", "--file", path.to_str().unwrap(), "--user-agent", "x/1"]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        run.items().remove(0)
    };
    assert_eq!(
        show("Sitemap: https://a.example/1.xml\nuser-agent: x\ncrawl-delay: 2.5\nsitemap: /2.xml\n"),
        json!({"crawl_delay_ms": 2500, "sitemaps": ["https://a.example/1.xml", "/2.xml"]})
    );
    assert_eq!(
        show("user-agent: y\ncrawl-delay: 9\nuser-agent: *\ncrawl-delay: 1\n"),
        json!({"crawl_delay_ms": 1000, "sitemaps": []}),
        "a delay is for the agents named before it"
    );
    assert_eq!(
        show("user-agent: x\ncrawl-delay: 1\n\nuser-agent: *\ncrawl-delay: 60\n"),
        json!({"crawl_delay_ms": 1000, "sitemaps": []}),
    );
    assert_eq!(show("crawl-delay: 1\n"), json!({"crawl_delay_ms": null, "sitemaps": []}));
}

#[test]
fn questions_that_cannot_be_answered_are_refused_before_any_answer() {
    for (args, part) in [
        (&["check", "--file", "-", "/a", "no url"][..], "\"no url\" is not a URL"),
        (&["check", "--file", "-", "mailto:a@b.example"], "scheme mailto"),
        (&["check", "--file", "/no/such/robots.txt", "/a"], "open /no/such/robots.txt"),
        (&["check", "--file", "/", "/a"], "it is a directory"),
        (&["check", "--file", "-"], "<URL>"),
        (&["show"], "--file"),
    ] {
        let run = run(&[&["robots"], args].concat());
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}");
        assert!(run.error().contains(part), "{args:?}: {}", run.stderr);
    }
}
