//! `cargo xtask bench-spider`: Opilio as a user would use it, for comparison with other crawlers.
//!
//! All rules of Opilio are in force, but the limits are so high that they do not slow the crawl down. The spider
//! writes one JSON line per page: `url`, `title` and, if pages are read through a DOM, `sku`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use opilio::prelude::*;

use crate::args::Args;
use crate::measure;

/// The row that is written for each page of the benchmark's site.
#[derive(Serialize)]
struct SpiderRow {
    url: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
}

/// A spider that reads the title and the links of a page and, if wanted, a field through a DOM.
struct Bench {
    seed: String,
    fields: FieldSource,
}

/// The way in which the spider reads a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldSource {
    /// Title and links in one pass, without a DOM.
    Skim,
    /// Title, links and the field `sku`, through a DOM.
    Dom,
}

impl Spider for Bench {
    type Item = SpiderRow;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        vec![Request::get(&*self.seed, ())]
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        let (title, sku) = match self.fields {
            FieldSource::Skim => (page.title().unwrap_or_default().to_owned(), None),
            FieldSource::Dom => {
                let sku = page.css(".product-info .sku, body > .sku")?.text();
                (page.css("title")?.text().unwrap_or_default(), Some(sku.unwrap_or_default()))
            }
        };
        found.item(SpiderRow { url: page.requested_url().to_owned(), title, sku });
        found.follow_links(page, ());
        Ok(())
    }
}

/// Crawls from `--seed URL` and writes rows to `--out FILE` (`-` is standard output). `--dom` reads a field through a
/// DOM; `--limit N`, `--shards N` and `--in-flight N` set limits; `--state DIR` stores the crawl on disk.
///
/// # Errors
/// When an argument is wrong, or when the crawl fails.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut seed, mut out, mut fields, mut limit, mut shards) = (None, None, FieldSource::Skim, 0, 0);
    let mut in_flight = 32;
    let mut state: Option<PathBuf> = None;
    let mut args = Args::new(args);
    while let Some(name) = args.name() {
        match name {
            "--seed" => seed = Some(args.text()?.to_owned()),
            "--out" => out = Some(args.text()?),
            "--limit" => limit = args.value()?,
            "--shards" => shards = args.value()?,
            "--in-flight" => in_flight = args.value()?,
            "--state" => state = Some(args.text()?.into()),
            "--dom" => fields = FieldSource::Dom,
            other => bail!("bench-spider has no argument {other}"),
        }
    }
    let seed = seed.context("bench-spider needs --seed URL")?;
    let rows = match out.context("bench-spider needs --out FILE")? {
        "-" => JsonLines::stdout(),
        file => JsonLines::create(file)?,
    };
    // A process that crawls needs many file descriptors. The `opilio` command raises this limit, too.
    measure::raise_descriptors();
    let mut crawler = Crawler::new(Bench { seed, fields })
        .host(HostPolicy::new().rate(per_second(1_000_000)).in_flight(32))
        .total_in_flight(in_flight)
        .shards(shards)
        .scope(Scope::new().follow(Follow::All))
        .addresses(AddressPolicy::allow_all())
        .export(rows);
    if limit > 0 {
        crawler = crawler.max_pages(limit);
    }
    if let Some(dir) = state {
        crawler = crawler.state(dir);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("cannot start a runtime")?;
    let report = runtime.block_on(crawler.run())?;
    eprintln!("pages {} failures {} bytes {}", report.pages, report.failed(), report.bytes);
    Ok(())
}
