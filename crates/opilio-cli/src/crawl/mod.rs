//! The command `opilio crawl`: prints one line for each page. No spider has to be written.
//!
//! The file `args` holds the flags, `seeds` reads the URLs, and `spider` makes items from pages. The crate
//! `opilio_app` does everything else, as for every program with a spider.

mod args;
mod seeds;
mod spider;

use opilio::FileStore;
use opilio_app::exit::{Exit, Failure};
use opilio_app::program::{self, Program};
use opilio_app::settings::Format;

pub(crate) use args::CrawlArgs;
pub(crate) use seeds::web_url;
use spider::PageSpider;

/// Runs `opilio crawl`.
///
/// # Errors
/// When the arguments are wrong (which is found before any request is sent), or the crawl fails.
pub(crate) fn run(args: &CrawlArgs) -> Result<Exit, Failure> {
    let (verbose, quiet) = args.messages();
    let display = program::begin(verbose, quiet, args.output().is_none())?;
    let seeds = seeds::read(args).map_err(Failure::Usage)?;
    let fields = args.css();
    spider::check_names(&fields).map_err(Failure::Usage)?;
    let program = Program::open(args.settings().map_err(Failure::Usage)?, display)?;
    program.hint(seeds.iter().chain(&args.sitemap()));
    let files = args.bodies().map(FileStore::open).transpose().map_err(Failure::usage)?;
    let mut spider = PageSpider::new(seeds, fields).sitemaps(args.sitemaps()).sitemaps_at(args.sitemap());
    if program.draft.run.merge_canonical {
        spider = spider.with_canonical();
    }
    if files.is_some() {
        spider = spider.with_files();
    }
    if program.format == Format::Csv {
        spider = spider.with_csv();
    }
    let columns = spider.columns();
    let keep = |crawler| match files {
        Some(files) => opilio::Crawler::files(crawler, files),
        None => crawler,
    };
    Ok(program.crawl(spider, Some(columns), keep)?.tell())
}
