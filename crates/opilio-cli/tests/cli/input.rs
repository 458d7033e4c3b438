//! Tests of bad input: the program prints one clear line that names the cause, returns the right exit code, and
//! does not panic.

use std::net::TcpListener;

use opilio_sandbox::{HostConfig, Sandbox};

use crate::support::{crawl, run};

/// Runs the binary, and expects a usage error that contains all of these texts.
fn refused(args: &[&str], parts: &[&str]) {
    let run = run(args);
    assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
    assert_eq!(run.stdout, "");
    for part in parts {
        assert!(run.error().contains(part), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn seeds_that_are_none() {
    refused(&["crawl", "htp://x"], &["seed \"htp://x\"", "\"htp\" is neither http nor https"]);
    refused(&["crawl", "example.com"], &["seed \"example.com\"", "no scheme"]);
    refused(&["crawl", "http://"], &["seed \"http://\"", "empty host"]);
    refused(&["crawl", "http://a:99999/"], &["seed \"http://a:99999/\"", "port"]);
    refused(&["crawl", "ftp://me:secret@x/"], &["seed \"ftp://…@x/\""]);
    refused(&["crawl"], &["<URL>"]);
}

#[test]
fn lists_of_seeds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("urls.txt");
    std::fs::write(&path, "http://a.example/\n# b\nhttp//b\n").unwrap();
    let name = path.to_str().unwrap();
    refused(&["crawl", "--urls", name], &[&format!("{name}:3: seed \"http//b\"")]);
    std::fs::write(&path, "\n").unwrap();
    refused(&["crawl", "--urls", name], &["no URL to begin at"]);
    let missing = dir.path().join("missing");
    let missing = missing.to_str().unwrap();
    refused(&["crawl", "--urls", missing], &[missing, "No such file"]);
}

#[test]
fn values_that_mean_nothing() {
    let url = "http://127.0.0.1:1/";
    for (flag, value, part) in [
        ("--rate", "banana", "\"banana\" is not a rate"),
        ("--memory-limit", "banana", "\"banana\" is not a size"),
        ("--memory-limit", "1MiB", "16 MiB is the least"),
        ("--rate", "0/s", "\"0/s\" is not a rate"),
        ("--timeout", "30", "\"30\" is not a time"),
        ("--timeout", "0s", "1ms is the least"),
        ("--max-body", "big", "\"big\" is not a size"),
        ("--in-flight", "0", "0 is not in 1..="),
        ("--max-pages", "-1", "--max-pages"),
        ("--follow", "everything", "everything"),
        ("--css", "price", "NAME=SELECTOR"),
        ("--css", "price=a[", "`a[`"),
        ("--css", "x=h1::text", "as in the field x=h1"),
        ("--css", "x=a::attr(href)", "as in the field x[attr=href]=a"),
        ("--css", "x=p:contains(\"y\")", "as in the field x[all]=p"),
        ("--css", "x=//h1", "as in the field x=h1"),
        ("--css", "x[href]=a", "the words are attr=NAME"),
        ("--user-agent", "a\nb", "not a user agent"),
        ("--config", "/nonexistent/opilio.toml", "/nonexistent/opilio.toml"),
    ] {
        let flag_value = format!("{flag}={value}");
        refused(
            &["crawl", url, &flag_value],
            &[part, flag.trim_start_matches('-').split('-').next().unwrap()],
        );
    }
    refused(&["crawl", url, "--css=a=b", "--css=a=c"], &["two fields \"a\""]);
    refused(&["crawl", url, "--allow-private=lan"], &["\"lan\" is not an address or network"]);
    refused(&["crawl", url, "--raet", "1/s"], &["'--raet'", "'--rate'"]);
    refused(&["crwal"], &["'crwal'", "'crawl'"]);
}

#[test]
fn values_of_the_environment() {
    let mut command = crate::support::opilio();
    command.args(["crawl", "http://127.0.0.1:1/"]).env("OPILIO_RATE", "banana");
    let run = crate::support::finish(command.spawn().unwrap());
    assert_eq!(run.code, 2);
    assert!(run.error().contains("\"banana\" is not a rate"));
}

#[test]
fn outputs_that_cannot_be_written_are_found_out_before_anything_is_fetched() {
    let shop = Sandbox::builder().host(HostConfig::new()).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing").join("out");
    let path = path.to_str().unwrap();
    for flag in ["--output", "--report"] {
        refused(
            &["crawl", &shop.base(0), "--allow-private", flag, path],
            &[path, "No such file or directory"],
        );
        let folder = dir.path().to_str().unwrap();
        refused(&["crawl", &shop.base(0), "--allow-private", flag, folder], &[folder, "directory"]);
    }
    assert_eq!(shop.log(0).arrivals(), 0);
}

#[test]
fn a_disk_that_is_full_is_named() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let shop = Sandbox::builder().host(HostConfig::new()).start().unwrap();
    let run = run(&["crawl", &shop.base(0), "--allow-private", "--max-depth=0", "--output", "/dev/full"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("/dev/full: No space left"), "{}", run.stderr);
}

#[test]
fn private_addresses_need_leave() {
    let shop = Sandbox::builder().host(HostConfig::new()).start().unwrap();
    let seed = shop.url(0, "/deals");
    let refused = run(&["crawl", &seed]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    let last = refused.stderr.lines().last().unwrap();
    for part in ["error: ", &seed, "blocked_address", "--allow-private"] {
        assert!(last.contains(part), "{}", refused.stderr);
    }
    assert_eq!(shop.log(0).arrivals(), 0);
    for (leave, code) in [("--allow-private=127.0.0.0/8", 0), ("--allow-private=10.0.0.0/8,::1", 1)] {
        let run = run(&["crawl", &seed, "--no-robots", "--max-depth=0", leave]);
        assert_eq!(run.code, code, "{}", run.stderr);
    }
}

#[test]
fn an_unreachable_host_ends_by_itself() {
    // The port was bound and is free again, so nothing listens on it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let seed = format!("http://127.0.0.1:{port}/");
    let (run, report) = crawl(&[&seed]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert_eq!(report["reasons"], serde_json::json!({"connect": 1}));
    assert!(
        run.stderr.contains(&format!("error: no page was fetched: {seed} ended as connect")),
        "{}",
        run.stderr
    );
}

#[test]
fn a_crawl_beyond_loopback_without_a_contact_gets_one_hint() {
    let hints = |args: &[&str]| {
        let seed = "http://no-such-name.invalid/";
        let run = run(&[&["crawl", seed, "--no-robots", "--retries=0"], args].concat());
        assert_eq!(run.code, 1, "{}", run.stderr);
        run.stderr.matches("hint: ").count()
    };
    assert_eq!(hints(&[]), 1);
    assert_eq!(hints(&["--user-agent", "bot/1"]), 1);
    assert_eq!(hints(&["--user-agent", "bot/1 (me@there.example)"]), 0);
}
