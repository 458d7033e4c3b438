//! `cargo xtask bench-spider`: Opilio as a user would use it, for comparison with other crawlers.
//!
//! All rules of Opilio are in force, but the limits are so high that they do not slow the crawl down. The spider
//! follows all links, and writes one JSON line per page. What else it reads is chosen by an argument (see `reading`).

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use opilio::core::Rate;
use opilio::prelude::*;

use crate::args::Args;
use crate::measure;
use crate::reading::{CssByHand, CssDerived, DomRow, LinksRow, PageReading, TypedRow};

/// A spider that reads a row from each page, and follows its links.
struct Bench<R> {
    seed: String,
    reading: PhantomData<R>,
}

impl<R: PageReading> Spider for Bench<R> {
    type Item = R;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        vec![Request::get(&*self.seed, ())]
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(R::read(page)?);
        found.follow_links(page, ());
        Ok(())
    }
}

/// The limits and files of a crawl, from the command line.
struct CrawlWish<'a> {
    seed: String,
    out: &'a str,
    limit: u64,
    shards: usize,
    in_flight: u32,
    rate: Rate,
    state: Option<&'a Path>,
}

/// Crawls from `--seed URL` and writes rows to `--out FILE` (`-` is standard output). `--limit N`, `--shards N`
/// `--in-flight N` and `--per-minute N` (requests to a host) set limits; `--state DIR` stores the crawl on disk. `--dom`, `--typed`, `--css` and
/// `--css-by-hand` select what is read from a page, besides its links; without them, it is the title.
///
/// # Errors
/// When an argument is wrong, or when the crawl fails.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut seed, mut out, mut limit, mut shards, mut in_flight) = (None, None, 0, 0, 32);
    let mut rate = per_second(1_000_000);
    let mut state: Option<PathBuf> = None;
    let mut crawl: fn(CrawlWish<'_>) -> Result<()> = crawl_reading::<LinksRow>;
    let mut args = Args::new(args);
    while let Some(name) = args.name() {
        match name {
            "--seed" => seed = Some(args.text()?.to_owned()),
            "--out" => out = Some(args.text()?),
            "--limit" => limit = args.value()?,
            "--shards" => shards = args.value()?,
            "--in-flight" => in_flight = args.value()?,
            "--per-minute" => rate = per_minute(args.value()?),
            "--state" => state = Some(args.text()?.into()),
            "--dom" => crawl = crawl_reading::<DomRow>,
            "--typed" => crawl = crawl_reading::<TypedRow>,
            "--css" => crawl = crawl_reading::<CssDerived>,
            "--css-by-hand" => crawl = crawl_reading::<CssByHand>,
            other => bail!("bench-spider has no argument {other}"),
        }
    }
    let seed = seed.context("bench-spider needs --seed URL")?;
    let out = out.context("bench-spider needs --out FILE")?;
    crawl(CrawlWish { seed, out, limit, shards, in_flight, rate, state: state.as_deref() })
}

fn crawl_reading<R: PageReading>(wish: CrawlWish<'_>) -> Result<()> {
    let rows = match wish.out {
        "-" => JsonLines::stdout(),
        file => JsonLines::create(file)?,
    };
    // A process that crawls needs many file descriptors. The `opilio` command raises this limit, too.
    measure::raise_descriptors();
    let mut crawler = Crawler::new(Bench::<R> { seed: wish.seed, reading: PhantomData })
        .host(HostPolicy::new().rate(wish.rate).in_flight(32))
        .total_in_flight(wish.in_flight)
        .shards(wish.shards)
        .scope(Scope::new().follow(Follow::All))
        .addresses(AddressPolicy::allow_all())
        .export(rows);
    if wish.limit > 0 {
        crawler = crawler.max_pages(wish.limit);
    }
    if let Some(dir) = wish.state {
        crawler = crawler.state(dir);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("cannot start a runtime")?;
    let report = runtime.block_on(crawler.run())?;
    eprintln!("pages {} failures {} bytes {}", report.pages, report.failed(), report.bytes);
    Ok(())
}
