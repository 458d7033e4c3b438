//! Several hosts with different rates and header fields. `cargo run --example hosts_and_rates`
#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use opilio::prelude::*;
use opilio::{HostSettings, json};
use opilio_sandbox::{HostConfig, Sandbox};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shops =
        Sandbox::builder().hosts([HostConfig::new().products(20), HostConfig::new().products(20)]).start()?;
    let [quick, slow] = [0, 1].map(|shop| format!("{}/products", shops.base(shop)));
    let name = |url: &str| Url::parse(url).map(|url| url.authority().to_owned());

    let report = opilio::crawl(quick.as_str())
        .and(slow.as_str())
        .each(|page, found| {
            found.item(json!({ "url": page.requested_url(), "title": page.title() }));
            found.follow(page, "a.product", ())?;
            Ok(())
        })
        // The settings of all hosts without settings of their own: two requests a second, one at a time.
        .host(HostPolicy::new().rate(per_second(2)))
        // Name a host as `shop.example` or `shop.example:8080`. The pattern `*.example` matches all hosts
        // below `example`.
        .host_named(&name(&quick)?, HostPolicy::new().rate(per_second(100)).in_flight(4))
        .host_named(
            &name(&slow)?,
            HostSettings::from(HostPolicy::new().rate(per_second(20))).bearer("token")?,
        )
        .header("accept-language", "de, en;q=0.5")
        .addresses(AddressPolicy::allow_all())
        .export(JsonLines::stdout())
        .run()
        .await?;
    println!("{report}");
    assert!(report.failures.is_empty());
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example ends well");
}
