//! Tests of `run`: flags, the program's own settings, both signals, resume, exit codes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use opilio_engine::{Found, Page, ParseError, Request, Spider};
use opilio_extract::Extract;
use opilio_sandbox::{Fault, HostConfig, Sandbox, Trigger};
use serde::Serialize;
use tempfile::TempDir;

use super::support::{self, Ended, begin_program, run_program, signal, until};

/// A spider whose item is the title of each page: of a product its name.
struct Titles {
    base: String,
}

#[derive(Serialize)]
struct Title {
    url: String,
    title: Option<String>,
}

/// The heading of a page. Only the pages of products have the name of one.
#[derive(Extract)]
struct Heading {
    #[css("h1.name")]
    product: Option<String>,
}

impl Spider for Titles {
    type Item = Title;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        vec![Request::get(self.base.as_str(), ())]
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        let Heading { product } = page.extract()?;
        let title = product.or_else(|| page.title().map(str::to_owned));
        found.item(Title { url: page.url().to_string(), title });
        found.links(page, page.links(), ());
        Ok(())
    }
}

/// The program under test.
#[test]
fn the_program() {
    run_program(|base| Titles { base }, |app| app.output("titles.jsonl"));
}

fn begin(dir: &TempDir, args: &str) -> Child {
    let args: Vec<&str> = args.split_whitespace().collect();
    begin_program("run::the_program", dir, &args)
}

fn run(dir: &TempDir, args: &str) -> (i32, String, String) {
    finish(begin(dir, args))
}

fn finish(child: Child) -> (i32, String, String) {
    let Ended { code, stdout, stderr } = support::finish(child);
    (code, stdout, stderr)
}

fn urls(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| line["url"].as_str().unwrap().to_owned()).collect()
}

fn report(dir: &TempDir) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(dir.path().join("report.json")).unwrap()).unwrap()
}

#[test]
fn a_program_crawls_by_its_own_settings_and_a_flag_goes_before_them() {
    let shop = Sandbox::builder().host(HostConfig::new().products(8)).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let base = shop.base(0);
    // The program also works without the subcommand.
    let (code, _, stderr) = run(&dir, &format!("--base {base} --report report.json"));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("done in"), "{stderr}");
    let all = urls(&dir.path().join("titles.jsonl"));
    assert_eq!(all.len() as u64, report(&dir)["pages"].as_u64().unwrap());
    assert!(shop.log(0).max_in_flight() <= 4 && all.len() > 8, "{all:?}");

    let (code, _, stderr) = run(&dir, &format!("run --base {base} --max-pages 3 -o other.csv --quiet"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let text = std::fs::read_to_string(dir.path().join("other.csv")).unwrap();
    assert_eq!((text.lines().next(), text.lines().count()), (Some("url,title"), 4), "{text}");

    std::fs::write(dir.path().join("opilio.toml"), "[crawl]\nallow_private = false\n").unwrap();
    let (code, _, stderr) = run(&dir, &format!("run --base {base}"));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("settings: opilio.toml") && stderr.contains("blocked_address"), "{stderr}");
    let (code, _, stderr) = run(&dir, &format!("run --base {base} --allow-private --max-pages=1"));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn help_shows_what_opilio_crawl_has_and_mistakes_are_usage() {
    let dir = tempfile::tempdir().unwrap();
    let (code, help, _) = run(&dir, "--help");
    assert_eq!(code, 0);
    assert!(help.contains("run") && help.contains("Without a subcommand it runs"), "{help}");
    let (code, help, _) = run(&dir, "run --help");
    assert_eq!(code, 0);
    for part in ["--base", "--rate <RATE>", "[env: OPILIO_RATE=]", "--state <DIR>", "--resume", "Exit codes"]
    {
        assert!(help.contains(part), "{part}");
    }
    for (args, part) in [
        ("run --base http://127.0.0.1:1/ --raet 1/s", "'--rate'"),
        ("run --base http://127.0.0.1:1/ --rate banana", "\"banana\" is not a rate"),
        ("run", "--base"),
        ("rnu", "'rnu'"),
        ("run --base http://127.0.0.1:1/ -o x.parquet", ".parquet is the ending of another format"),
    ] {
        let (code, _, stderr) = run(&dir, args);
        assert_eq!(code, 2, "{args}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(part), "{args}: {stderr}");
    }
}

#[cfg(not(feature = "cache"))]
#[test]
fn a_cache_is_a_mistake_in_a_program_without_the_feature() {
    let shop = Sandbox::builder().host(HostConfig::new().products(3)).start().unwrap();
    let (dir, base) = (tempfile::tempdir().unwrap(), shop.base(0));
    let error = "error: this program cannot use a cache: turn on the feature `cache` of the crate `opilio` in its Cargo.toml";
    for command in ["run".to_owned(), format!("parse {base}")] {
        let (code, _, stderr) = run(&dir, &format!("{command} --base {base} --cache kept --cache-for 1h"));
        assert_eq!((code, stderr.trim_end()), (2, error), "{command}");
    }
    assert_eq!(shop.log(0).arrivals(), 0);
    assert!(!dir.path().join("kept").exists());
}

#[test]
fn a_signal_drains_the_program_and_a_resume_writes_the_rest_once() {
    let host = HostConfig::new().products(40).latency(Duration::from_millis(50));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let args = format!("run --base {} --state s --resume --report report.json", shop.base(0));
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let before = shop.log(0).served();
        let child = begin(&dir, &args);
        until(|| shop.log(0).served() >= before + 5);
        signal(&child, name);
        let (ended, _, stderr) = finish(child);
        assert_eq!(ended, code, "{stderr}");
        assert_eq!(report(&dir)["stopped"], "interrupted");
    }
    assert!(report(&dir)["left"].as_u64().unwrap() > 0);
    // Even after a kill, nothing is written twice.
    let before = shop.log(0).served();
    let mut child = begin(&dir, &args);
    until(|| shop.log(0).served() >= before + 5);
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, _, stderr) = run(&dir, &args);
    assert_eq!(code, 0, "{stderr}");
    let all = urls(&dir.path().join("titles.jsonl"));
    assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len(), "{all:?}");
    assert_eq!(all.len() as u64, report(&dir)["pages"].as_u64().unwrap());
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let host = HostConfig::new().fault(Trigger::Path("/".into()), Fault::Slow(Duration::from_secs(60)));
    let shop = Sandbox::builder().host(host).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let child = begin(&dir, &format!("run --base {} --no-robots", shop.base(0)));
    until(|| shop.log(0).arrivals() == 1);
    let began = std::time::Instant::now();
    // Two signals of the same kind that arrive together count as one, so the second signal is of the other kind.
    signal(&child, "INT");
    signal(&child, "TERM");
    let (code, _, stderr) = finish(child);
    assert!([130, 143].contains(&code), "{code} {stderr}");
    assert!(began.elapsed() < Duration::from_secs(5), "{stderr}");
}

#[test]
fn a_field_that_is_filled_less_often_than_expected_ends_the_program_with_1() {
    let shop = Sandbox::builder().host(HostConfig::new().products(8)).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let crawl = |more: &str| run(&dir, &format!("--base {} --report report.json {more}", shop.base(0)));
    let (code, _, stderr) = crawl("--expect Heading.product=25%");
    assert_eq!(code, 0, "{stderr}");
    let all = report(&dir);
    let (filled, pages) = (all["coverage"]["Heading.product"]["filled"].as_u64(), all["pages"].as_u64());
    assert!(filled == Some(8) && pages > Some(8), "{all}");
    assert_eq!(all["shortfalls"], serde_json::json!([]));
    let shown = format!(" % (8 of {}), {} empty", pages.unwrap(), pages.unwrap() - 8);
    assert!(
        stderr.lines().any(|line| line.starts_with("    product ") && line.ends_with(&shown)),
        "{stderr}"
    );

    std::fs::write(dir.path().join("opilio.toml"), "[crawl]\nexpect = [\"product=98%\"]\n").unwrap();
    let (code, _, stderr) = crawl("");
    assert_eq!(code, 1, "{stderr}");
    let missed = format!(" % (8 of {}), and 98 % are expected", pages.unwrap());
    assert!(stderr.contains("error: not what --expect asks for: product was filled in "), "{stderr}");
    assert!(stderr.contains(&missed), "{stderr}");
    assert_eq!(report(&dir)["shortfalls"][0]["field"], "product");

    // The flag replaces the key, and a name that is no field is an error with the names of the fields.
    let (code, _, stderr) = crawl("--expect product=25% --expect prodct=25%");
    assert_eq!(code, 1, "{stderr}");
    let names = "error: not what --expect asks for: prodct is not a field of this crawl, whose fields are Heading.product";
    assert!(stderr.contains(names), "{stderr}");
    let (code, _, stderr) = crawl("--expect product=98");
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("for per cent, write 98%"), "{stderr}");
}

#[test]
fn a_resumed_program_judges_the_sum_of_its_runs() {
    let shop = Sandbox::builder().host(HostConfig::new().products(8)).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let crawl = |more: &str| {
        run(&dir, &format!("--base {} --report report.json --state state --resume {more}", shop.base(0)))
    };
    let (code, _, stderr) = crawl("--max-pages 2");
    assert_eq!(code, 0, "{stderr}");
    let first = report(&dir)["coverage"]["Heading.product"].clone();
    let (code, _, stderr) = crawl("--expect product=98%");
    assert_eq!(code, 1, "{stderr}");
    let all = report(&dir);
    let counts = &all["coverage"]["Heading.product"];
    assert_eq!(first["filled"].as_u64().unwrap() + first["empty"].as_u64().unwrap(), 2);
    assert_eq!(counts["filled"], 8);
    assert_eq!(counts["empty"].as_u64().unwrap(), all["pages"].as_u64().unwrap() - 8);
    // A run that has nothing to do judges the earlier ones.
    let (code, _, stderr) = crawl("--expect product=98%");
    assert!(code == 1 && stderr.contains("nothing was left to do"), "{stderr}");
}

#[test]
fn the_error_of_a_page_is_told_once_in_the_log_or_else_in_the_summary() {
    let listing = "<a class=product href=/bare>bare</a>";
    let host = HostConfig::new().answer("/products", 200, [], listing).answer("/bare", 200, [], "<p>");
    let host = host.answer("/no/products", 200, [], "<h1 class=fails>no</h1>");
    let (shop, dir) = (Sandbox::builder().host(host).start().unwrap(), tempfile::tempdir().unwrap());
    let run = |path: &str, more: &[&str]| {
        let base = format!("{}{path}", shop.base(0));
        support::run(&dir, &[&["run", "--base", &base], more].concat())
    };
    for (path, more, words) in [
        ("", &[][..], "Product.sku: nothing is there"),
        ("/no", &[], "it says no"),
        ("/no", &["--quiet"], "it says no"),
        // The failures of a resumed crawl may be those of an earlier run.
        ("", &["--state", "shop.state"], "Product.sku: nothing is there"),
        ("", &["--state", "shop.state", "--resume"], "Product.sku: nothing is there"),
    ] {
        let ended = run(path, more);
        assert_eq!(ended.stderr.matches(words).count(), 1, "{path} {more:?}: {}", ended.stderr);
        let is_named = more == ["--quiet"] || ended.stderr.contains("1 parse_error");
        assert!(is_named && ended.stderr.contains(" ended as parse_error"), "{}", ended.stderr);
    }
}
