//! A crawl that can be stopped or killed and then continued. The second run continues where the first run stopped,
//! and each page is written once. `cargo run --example resume`
#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::path::Path;

use opilio::json;
use opilio::prelude::*;
use opilio_sandbox::{HostConfig, Sandbox};

/// Runs the crawl once. After a stop or a kill, a program calls the same code again.
async fn run(shop: &str, dir: &Path, most: u64) -> Result<CrawlReport, CrawlError> {
    opilio::crawl(shop)
        .each(|page, found| {
            found.item(json!({ "url": page.requested_url(), "title": page.title() }));
            found.follow_links(page, ());
            Ok(())
        })
        .host(HostPolicy::new().rate(per_second(500)).in_flight(4))
        .addresses(AddressPolicy::allow_all())
        .export(JsonLines::create(dir.join("pages.jsonl"))?)
        .state(dir.join("pages.state"))
        .resume()
        // Ctrl-C ends the crawl after the requests in flight. If the process is killed instead, nothing is
        // lost either.
        .stop_on_signals()
        .max_pages(most)
        .run()
        .await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = Sandbox::builder().host(HostConfig::new().products(40)).start()?;
    let dir = std::env::temp_dir().join(format!("opilio-resume-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;

    let first = run(&shop.base(0), &dir, 10).await?;
    println!("first run: {first}");
    let second = run(&shop.base(0), &dir, u64::MAX).await?;
    println!("all runs:  {second}");
    let again = run(&shop.base(0), &dir, u64::MAX).await?;
    println!("{again}");

    assert_eq!((first.pages, second.left, again.nothing_left), (10, 0, true));
    let lines = std::fs::read_to_string(dir.join("pages.jsonl"))?.lines().count() as u64;
    assert_eq!(lines, second.pages + second.aliases);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example ends well");
}
