//! A small crawl that is written as one closure. The closure is called for every page. `cargo run --example
//! closure_job`
#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use opilio::prelude::*;
use opilio_sandbox::{HostConfig, Sandbox};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = Sandbox::builder().host(HostConfig::new().products(20)).start()?;

    let report = opilio::crawl(shop.base(0))
        .each(|page, found| {
            found.item(json!({
                "url": page.requested_url(),
                "title": page.title(),
                "prices": page.css(".price")?.texts(),
            }));
            found.follow_links(page, ());
            Ok(())
        })
        .scope(Scope::new().exclude("*/deals*")?.max_depth(3))
        .max_pages(100)
        .host(HostPolicy::new().rate(per_second(500)).in_flight(4))
        .addresses(AddressPolicy::allow_all())
        .export(JsonLines::stdout())
        .run()
        .await?;
    println!("{report}");
    assert!(report.balances() && report.items > 20);
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example ends well");
}
