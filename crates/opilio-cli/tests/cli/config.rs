//! Tests of the settings. Flags take precedence over environment variables, and these over `opilio.toml`. The
//! effect on each host is measured in the sandbox.

use std::path::PathBuf;
use std::time::Duration;

use opilio_sandbox::{HostConfig, Sandbox};
use tempfile::TempDir;

use crate::support::{Ears, FAST, crawl, ears, finish, opilio, run};

fn file(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("opilio.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn a_host_is_paced_by_its_own_section() {
    let host = || HostConfig::new().products(12).latency(Duration::from_millis(20));
    let shop = Sandbox::builder().hosts([host(), host()]).start().unwrap();
    let slow = format!("[host.\"{}\"]\nrate = \"600/m\"\nin_flight = 1\n", shop.addr(1));
    let (_dir, path) = file(&slow);
    let (run, report) = crawl(&[&shop.base(0), &shop.base(1), "--config", path.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(report["reasons"], serde_json::json!({}));
    let (fast, slow) = (shop.log(0), shop.log(1));
    // The mean gap is tested, since single gaps vary on a busy machine.
    let gaps = u32::try_from(slow.arrivals()).unwrap() - 1;
    assert!(slow.span() >= Duration::from_millis(95) * gaps, "{:?} for {gaps} gaps", slow.span());
    assert_eq!(slow.max_in_flight(), 1);
    assert!(fast.span() * 2 < slow.span(), "{:?} {:?}", fast.span(), slow.span());
    assert!(fast.max_in_flight() > 1);
}

#[test]
fn the_default_section_holds_for_all_and_flags_before_it() {
    let shop = || Sandbox::builder().host(HostConfig::new().products(8)).start().unwrap();
    let (_dir, path) = file("[default]\nrate = \"10/s\"\n[crawl]\nallow_private = true\nmax_pages = 4\n");
    let config = ["--config", path.to_str().unwrap()];

    let slow = shop();
    let paced = run(&[&["crawl", &slow.base(0)], &config[..]].concat());
    assert_eq!((paced.code, paced.items().len()), (0, 4), "{}", paced.stderr);
    // The arrivals are robots.txt and four pages.
    assert!(slow.log(0).span() >= Duration::from_millis(350), "{:?}", slow.log(0).span());

    let fast = shop();
    let flagged = run(&[&["crawl", &fast.base(0), "--max-pages=5"], &config[..], &FAST[1..]].concat());
    assert_eq!((flagged.code, flagged.items().len()), (0, 5), "{}", flagged.stderr);
    assert!(fast.log(0).smallest_gap().unwrap() < Duration::from_millis(60));
}

#[test]
fn headers_reach_their_host_and_no_other() {
    let (own, other) = (ears(), ears());
    let (_dir, path) = file(&format!("[host.\"{}\"]\nheaders = {{ \"X-Api-Key\" = \"k3y\" }}\n", own.addr));
    let seeds = [&own, &other].map(|ears| format!("http://{}/", ears.addr));
    let args = [&seeds[0], &seeds[1], "--no-robots", "-vv", "--config", path.to_str().unwrap()];
    let (run, _) = crawl(&args.map(|arg| arg as &str));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(own.heads.recv().unwrap().to_ascii_lowercase().contains("x-api-key: k3y"));
    assert!(!other.heads.recv().unwrap().to_ascii_lowercase().contains("x-api-key"));
    assert!(!run.stderr.contains("k3y"), "{}", run.stderr);
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let server = ears();
    let (_dir, path) = file("[crawl]\nuser_agent = \"file/1\"\nrobots = false\n");
    let agent = |ears: &Ears, env: Option<&str>, flag: Option<&str>| {
        let mut command = opilio();
        command.arg("crawl").args(FAST).arg(format!("http://{}/", ears.addr)).env("OPILIO_CONFIG", &path);
        command.envs(env.map(|agent| ("OPILIO_USER_AGENT", agent)));
        command.args(flag.map(|agent| format!("--user-agent={agent}")));
        let run = finish(command.spawn().unwrap());
        assert_eq!(run.code, 0, "{}", run.stderr);
        let head = ears.heads.recv().unwrap().to_ascii_lowercase();
        head.lines().find_map(|line| line.strip_prefix("user-agent: ").map(str::to_owned)).unwrap()
    };
    assert_eq!(agent(&server, None, None), "file/1");
    assert_eq!(agent(&server, Some("env/1"), None), "env/1");
    assert_eq!(agent(&server, Some("env/1"), Some("flag/1")), "flag/1");
}

#[test]
fn unknown_keys_are_errors_with_a_suggestion() {
    let (_dir, path) = file("[default]\nrate = \"60/m\"\nin_flihgt = 2\n");
    let run = run(&["crawl", "http://127.0.0.1:1/", "--config", path.to_str().unwrap()]);
    assert_eq!(run.code, 2);
    let expected = ":3: unknown key \"in_flihgt\" in [default]: did you mean \"in_flight\"?";
    assert!(run.error().ends_with(expected), "{}", run.stderr);
}

#[test]
fn the_file_of_this_directory_is_read_unless_another_or_none_is_named() {
    let server = ears();
    let (dir, _) = file("[crawl]\nuser_agent = \"here/1\"\nrobots = false\n");
    let (_other, named) = file("[crawl]\nuser_agent = \"named/1\"\nrobots = false\n");
    let below = dir.path().join("below");
    std::fs::create_dir(&below).unwrap();
    let agent = |place: &std::path::Path, config: Option<&str>, args: &[&str]| {
        let mut command = opilio();
        command.arg("crawl").args(FAST).args(args).arg(format!("http://{}/", server.addr)).current_dir(place);
        command.envs(config.map(|config| ("OPILIO_CONFIG", config)));
        let run = finish(command.spawn().unwrap());
        assert_eq!(run.code, 0, "{}", run.stderr);
        let heads = std::iter::from_fn(|| server.heads.try_recv().ok()).last().unwrap().to_ascii_lowercase();
        let agent = heads.lines().find_map(|line| line.strip_prefix("user-agent: ").map(str::to_owned));
        (agent.unwrap(), run.stderr.contains("settings: opilio.toml"))
    };
    let own = agent(&below, None, &[]).0;
    assert!(own.starts_with("opilio/"), "a folder above says nothing: {own}");
    assert_eq!(agent(dir.path(), None, &[]), ("here/1".to_owned(), true), "and it is said");
    assert_eq!(agent(dir.path(), None, &["--quiet"]), ("here/1".to_owned(), false));
    assert_eq!(agent(dir.path(), None, &["--config=none"]), (own.clone(), false));
    assert_eq!(agent(dir.path(), Some("none"), &[]), (own, false));
    let named = named.to_str().unwrap();
    assert_eq!(agent(dir.path(), None, &["--config", named]), ("named/1".to_owned(), false));
    assert_eq!(agent(dir.path(), Some(named), &[]), ("named/1".to_owned(), false));
    assert_eq!(agent(dir.path(), Some(named), &["--user-agent=flag/1"]), ("flag/1".to_owned(), false));
}

#[test]
fn what_is_wrong_in_the_file_of_this_directory_is_named() {
    let (dir, path) = file("[default]\nrtae = \"60/m\"\n");
    let mut command = opilio();
    command.args(["crawl", "http://127.0.0.1:1/"]).current_dir(dir.path());
    let run = finish(command.spawn().unwrap());
    assert_eq!(run.code, 2);
    assert!(run.error().starts_with("error: opilio.toml:2: unknown key \"rtae\""), "{}", run.stderr);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let mut command = opilio();
    command.args(["crawl", "ftp://x/"]).current_dir(dir.path());
    let run = finish(command.spawn().unwrap());
    assert!(run.error().contains("neither http nor https"), "a folder is no file: {}", run.stderr);
}

/// Sets each setting in every place where it can be set. The flag takes precedence over the variable, and the
/// variable over the file. `-vv` prints which of them was used.
#[test]
fn every_setting_goes_by_its_flag_then_its_variable_then_the_file() {
    use opilio_app::settings::{CommandKind, Described, SettingsTable};

    let settings: Vec<Described> = SettingsTable::of(CommandKind::Crawl).described();
    // The flags that this test itself uses are left out, and so is `delay`, which sets the rate too.
    let settings: Vec<_> = settings
        .into_iter()
        .filter(|setting| {
            !matches!(setting.flag, None | Some("config" | "delay" | "output" | "verbose" | "quiet"))
        })
        .collect();
    let mut text = String::new();
    for section in ["crawl", "default"] {
        text += &format!("[{section}]\n");
        for setting in &settings {
            if let Some((_, key)) = setting.key.as_ref().filter(|(other, _)| *other == section) {
                text += &format!("{key} = {}\n", setting.sample.1);
            }
        }
    }
    let (dir, path) = file(&text);
    let path = path.to_str().unwrap();
    let said = |with_variables: bool, with_flags: bool| {
        let mut command = opilio();
        command.current_dir(dir.path()).args(["crawl", "http://127.0.0.1:1/", "-vv", "--config", path]);
        // No request is sent, since the output cannot be opened.
        command.args(["--output", "missing/out"]);
        for setting in &settings {
            let (flag, value) = (setting.flag.unwrap(), setting.sample.0);
            if let Some(variable) = setting.variable.as_ref().filter(|_| with_variables) {
                command.env(variable, value.unwrap_or("true"));
            }
            if with_flags {
                command.arg(value.map_or(format!("--{flag}"), |value| format!("--{flag}={value}")));
            }
        }
        let run = finish(command.spawn().unwrap());
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains("missing/out"), "{}", run.stderr);
        run.stderr
    };
    let (by_file, by_variable, by_flag) = (said(false, false), said(true, false), said(true, true));
    for setting in &settings {
        let flag = setting.flag.unwrap();
        let from = |text: &str| {
            let mark = format!("name=\"{flag}\" from=");
            text.lines().find_map(|line| line.split_once(&mark).map(|(_, from)| from.to_owned()))
        };
        let line = setting.key.as_ref().map(|(_, key)| {
            let at = text.lines().position(|line| line.starts_with(&format!("{key} = "))).unwrap();
            format!("{path}:{}", at + 1)
        });
        assert_eq!(from(&by_file), line, "{flag}");
        assert_eq!(from(&by_variable), setting.variable.clone().or(line), "{flag}");
        assert_eq!(from(&by_flag), Some(format!("--{flag}")), "{flag}");
    }
}

#[test]
fn a_variable_that_says_no_goes_before_a_file_that_says_yes() {
    let server = ears();
    let (_dir, path) = file("[crawl]\nstrip_tracking = true\nrobots = false\n");
    let mut command = opilio();
    command.arg("crawl").args(FAST).arg(format!("http://{}/?utm_source=x", server.addr));
    command.env("OPILIO_CONFIG", &path).env("OPILIO_STRIP_TRACKING", "false").env("OPILIO_NO_ROBOTS", "no");
    assert_eq!(finish(command.spawn().unwrap()).code, 0);
    let heads: Vec<_> = std::iter::from_fn(|| server.heads.try_recv().ok()).collect();
    assert!(heads.iter().any(|head| head.starts_with("GET /robots.txt ")), "{heads:?}");
    assert!(heads.iter().any(|head| head.starts_with("GET /?utm_source=x ")), "{heads:?}");
}

#[test]
fn a_delay_goes_before_a_rate_of_the_environment_but_not_with_one_by_flag() {
    let said = |args: &[&str], rate: Option<&str>| {
        let mut command = opilio();
        // No request is sent, since the output cannot be opened.
        command.args(["crawl", "http://127.0.0.1:1/", "-vv", "--output", "missing/out", "--delay=2s"]);
        finish(command.args(args).envs(rate.map(|rate| ("OPILIO_RATE", rate))).spawn().unwrap())
    };
    let by_delay = said(&[], Some("60/m"));
    assert!(by_delay.stderr.contains("missing/out"), "{}", by_delay.stderr);
    assert!(by_delay.stderr.contains("name=\"delay\" from=--delay"), "{}", by_delay.stderr);
    let both = said(&["--rate=1/s"], None);
    assert_eq!(both.code, 2);
    assert!(both.stderr.contains("error: --delay cannot be used with --rate"), "{}", both.stderr);
}
