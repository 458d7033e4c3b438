//! Tests of the files that a crawl keeps besides its output: bodies, named by their hash, and the cache.

use opilio_sandbox::{HostConfig, Sandbox};

use crate::support::crawl;

#[test]
fn bodies_are_kept_under_their_hash() {
    let host = HostConfig::new().page("/a", "text/html", "abc").page("/b", "text/plain", "abc");
    let shop = Sandbox::builder().host(host).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let seeds = [shop.url(0, "/a"), shop.url(0, "/b")];
    let args = [&seeds[0], &seeds[1], "--follow=none", "--bodies", dir.path().to_str().unwrap()];
    let (run, _) = crawl(&args.map(|arg| arg as &str));
    assert_eq!(run.code, 0, "{}", run.stderr);
    let file = "ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(run.items().len() == 2 && run.items().iter().all(|item| item["file"] == file), "{}", run.stdout);
    assert_eq!(std::fs::read(dir.path().join(file)).unwrap(), b"abc");
}

#[test]
fn a_second_crawl_is_read_from_the_cache() {
    let shop = Sandbox::builder().host(HostConfig::new().products(12)).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let base = shop.base(0);
    let args = [&base, "--cache", dir.path().to_str().unwrap(), "--cache-for", "1h"];
    let (first, report) = crawl(&args);
    let arrivals = shop.log(0).arrivals();
    assert_eq!((first.code, &report["cached"]), (0, &serde_json::json!(0)), "{}", first.stderr);
    let (second, report) = crawl(&args);
    assert_eq!((second.code, second.items().len()), (0, first.items().len()), "{report}");
    assert!(report["cached"].as_u64().unwrap() >= report["pages"].as_u64().unwrap(), "{report}");
    // These requests may be repeated: robots.txt, and answers that are not pages, since those are not cached.
    let failed = report["failures"].as_array().unwrap().len() as u64;
    assert!(shop.log(0).arrivals() <= arrivals + 1 + failed, "{report}");
}
