//! Tests of `--output x.csv` and `--format`: the rows are correct, and each is written exactly once even if the
//! crawl is killed.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use opilio_sandbox::{HostConfig, Sandbox};

use crate::support::{Run, crawl, run};

fn read(text: &str) -> Vec<Vec<String>> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// Returns a shop with two pages, of which the second has two URLs.
fn shop() -> Sandbox {
    let first = "<title>=HYPERLINK(\"x\")</title><p class=p>a, \"b\"</p><p class=p>-5</p><i></i><a href='/go?to=/b'>b</a>";
    let host = HostConfig::new().page("/a", "text/html", first).page("/b", "text/html", "<title></title>");
    Sandbox::builder().host(host).start().unwrap()
}

#[test]
fn pages_are_rows_below_a_header() {
    let (shop, dir) = (shop(), tempfile::tempdir().unwrap());
    let (a, b) = (shop.url(0, "/a"), shop.url(0, "/b"));
    let fields = ["--css=first=.p", "--css=all[all]=.p", "--css=empty=i", "--css=none=.none"];
    for name in ["pages.csv", "PAGES.CSV", "pages"] {
        let path = dir.path().join(name);
        let format = if name == "pages" { "--format=csv" } else { "--quiet" };
        let flags = [&a, &b, "--output", path.to_str().unwrap(), format];
        let (run, _) = crawl(&[&flags[..], &fields].concat());
        assert_eq!((run.code, &*run.stdout), (0, ""), "{}", run.stderr);
        let text = std::fs::read_to_string(&path).unwrap();
        let header = "url,final_url,status,title,depth,bytes,links,first,all,empty,none,alias\r\n";
        assert!(text.starts_with(header), "{text}");
        let rows = read(&text);
        let row = |url: &str| rows.iter().find(|row| row[0] == url).unwrap().clone();
        let first = row(&a);
        assert_eq!(first[3..4], ["'=HYPERLINK(\"x\")"], "no spreadsheet runs it");
        assert_eq!(first[7..], ["a, \"b\"", "[\"a, \\\"b\\\"\",\"-5\"]", "", "", ""]);
        let line = text.lines().find(|line| line.starts_with(&*a)).unwrap();
        assert!(line.ends_with(",\"\",,"), "an empty text and null are two things: {line}");
        let alias = rows.iter().find(|row| row.last().unwrap() == "true").unwrap();
        assert_eq!(alias[..3], [shop.url(0, "/go?to=/b"), b.clone(), String::new()]);
        assert_eq!(rows.len(), 4);
    }
    let (kept, _) = crawl(&[&a, "--follow=none", "--format=csv", "--keep-formulas"]);
    assert!(kept.stdout.contains("\"=HYPERLINK(\"\"x\"\")\""), "{}", kept.stdout);
}

#[test]
fn the_form_is_never_another_than_the_name_promises() {
    let (shop, dir) = (shop(), tempfile::tempdir().unwrap());
    let a = shop.url(0, "/a");
    let written = |name: &str, flags: &[&str]| -> (Run, String) {
        let path = dir.path().join(name);
        let output = ["crawl", &a, "--allow-private", "--follow=none", "--output", path.to_str().unwrap()];
        let run = run(&[&output[..], flags].concat());
        (run, std::fs::read_to_string(&path).unwrap_or_default())
    };
    for name in ["x.jsonl", "x.ndjson", "x.json", "x.txt", "x"] {
        assert!(written(name, &[]).1.starts_with('{'), "{name}");
    }
    for name in ["x.tsv", "x.XLSX", "x.parquet", "x.csv.gz"] {
        let (run, text) = written(name, &[]);
        assert_eq!((run.code, &*text), (2, ""), "{name}");
        assert!(run.error().contains("is the ending of another format") && run.error().contains("--format"));
        assert!(!dir.path().join(name).exists());
    }
    assert!(written("y.csv", &["--format=jsonl"]).1.starts_with('{'));
    assert!(written("y.tsv", &["--format=csv"]).1.starts_with("url,"));
    assert_eq!(written("y.csv", &["--format=tsv"]).0.code, 2);
}

#[test]
fn a_crawl_without_a_page_has_a_header_all_the_same() {
    let shop = shop();
    let (run, _) = crawl(&[&shop.url(0, "/missing"), "--format=csv"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.stdout, "url,final_url,status,title,depth,bytes,links,alias\r\n");
}

fn kept(shop: &Sandbox, dir: &Path, flags: &[&str]) -> Vec<String> {
    let (state, output) = (dir.join("state"), dir.join("pages.csv"));
    let fixed = ["crawl", "--allow-private", "--resume", "--rate=300/s", "--in-flight=8"];
    let fixed = fixed.iter().chain(flags).map(|flag| (*flag).to_owned());
    let paths = ["--state", state.to_str().unwrap(), "--output", output.to_str().unwrap()].map(str::to_owned);
    fixed.chain(paths).chain([shop.base(0)]).collect()
}

#[test]
fn a_resumed_file_has_one_header_and_keeps_its_columns() {
    let shop = Sandbox::builder().host(HostConfig::new().products(20)).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let go = |flags: &[&str]| {
        let args = kept(&shop, dir.path(), flags);
        run(&args.iter().map(|arg| &**arg).collect::<Vec<_>>())
    };
    let text = || std::fs::read_to_string(dir.path().join("pages.csv")).unwrap();
    for pages in ["5", "9", "1000"] {
        let run = go(&["--max-pages", pages, "--css=price=.price"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let before = text();
        let refused = go(&["--max-pages=1000", "--css=cost=.price"]);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("its items consist of each page with price=.price"),
            "{}",
            refused.stderr
        );
        let lines = go(&["--max-pages=1000", "--css=price=.price", "--format=jsonl"]);
        assert_eq!(lines.code, 2, "{}", lines.stderr);
        assert_eq!(text(), before, "nothing is cut off");
    }
    let rows = read(&text());
    let urls: BTreeSet<_> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(urls.len(), rows.len(), "each once, and one header");
    assert_eq!(rows.iter().filter(|row| row[0] == "url").count(), 1);
}

#[cfg(unix)]
#[test]
fn a_crawl_that_is_killed_again_and_again_writes_every_row_once() {
    use crate::support::{finish, opilio, signal, until};

    let shop = || {
        let host = HostConfig::new().products(150).latency(Duration::from_millis(10));
        Sandbox::builder().host(host).start().unwrap()
    };
    let paths = |shop: &Sandbox, dir: &Path| {
        let text = std::fs::read_to_string(dir.join("pages.csv")).unwrap();
        let rows = read(&text);
        assert_eq!(rows[0][0], "url");
        let base = shop.base(0);
        let urls = rows[1..].iter().map(|row| row[0].strip_prefix(&*base).unwrap().to_owned());
        let once: BTreeSet<_> = urls.collect();
        assert_eq!(once.len(), rows.len() - 1, "each once");
        once
    };
    let (whole, dir) = (shop(), tempfile::tempdir().unwrap());
    assert_eq!(finish(opilio().args(kept(&whole, dir.path(), &[])).spawn().unwrap()).code, 0);
    let expected = paths(&whole, dir.path());

    let (shop, dir) = (shop(), tempfile::tempdir().unwrap());
    for kill in 0..4_u64 {
        let goal = shop.log(0).arrivals() + 12 + 9 * kill;
        let mut child = opilio().args(kept(&shop, dir.path(), &[])).spawn().unwrap();
        until(|| shop.log(0).arrivals() >= goal || child.try_wait().unwrap().is_some());
        assert!(child.try_wait().unwrap().is_none(), "kill {kill} came too late");
        signal(&child, "KILL");
        finish(child);
    }
    let last = finish(opilio().args(kept(&shop, dir.path(), &[])).spawn().unwrap());
    assert_eq!(last.code, 0, "{}", last.stderr);
    assert_eq!(paths(&shop, dir.path()), expected);
}
