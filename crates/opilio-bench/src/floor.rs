//! Floors: crawls with only the libraries that Opilio uses. They show the least that fetching and parsing can cost,
//! for comparison with Opilio.
//!
//! Each floor is one thread with several tasks that take URLs from one queue. A *list* floor is given every URL. A
//! *crawl* floor is given one URL and finds the others: it resolves links, removes their fragments, and drops
//! duplicates by a 64-bit hash. Floors have no robots.txt, no limits, no retries and no resumption: at the first
//! error a floor ends.

use std::cell::RefCell;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use scraper::{Html, Selector};
use serde::Serialize;
use tokio::sync::Notify;
use url::Url;

use crate::args::Args;
use crate::measure;

/// How much of a page's body a floor (a crawl with only the libraries that Opilio uses) parses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FloorReading {
    /// Does not parse the body.
    None,
    /// Parses links, title and the page's field with a streaming parser.
    Links,
    /// Parses the body to a tree, and reads links, title and the page's field from the tree.
    Dom,
}

/// The row that a floor writes for one page.
#[derive(Default, Serialize)]
struct FloorRow<'a> {
    url: &'a str,
    title: String,
    sku: String,
    #[serde(skip)]
    links: Vec<String>,
}

/// Runs a floor. Arguments: `--mode fetch|links|dom`, `--list FILE` or `--seed URL`, `--out FILE`, `--tasks N`.
///
/// # Errors
/// When an argument is wrong, a request fails, or the rows cannot be written.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut reading, mut tasks) = (FloorReading::None, 32);
    let (mut list, mut seed, mut out) = (None, None, None);
    let mut args = Args::new(args);
    while let Some(name) = args.name() {
        match name {
            "--mode" => reading = FloorReading::named(args.text()?)?,
            "--tasks" => tasks = args.value()?,
            "--list" => list = Some(PathBuf::from(args.text()?)),
            "--seed" => seed = Some(args.text()?.to_owned()),
            "--out" => out = Some(PathBuf::from(args.text()?)),
            other => bail!("bench-floor has no argument {other}"),
        }
    }
    let mut queue: VecDeque<String> = seed.into_iter().collect();
    let follows = list.is_none();
    if let Some(path) = list {
        queue.extend(
            std::fs::read_to_string(path).context("cannot read the list")?.lines().map(str::to_owned),
        );
    }
    measure::raise_descriptors();
    let floor = Floor {
        client: client()?,
        reading,
        follows,
        parser: Parser::new()?,
        out: RefCell::new(BufWriter::with_capacity(
            1 << 18,
            File::create(out.context("a floor needs --out FILE")?).context("cannot create the output")?,
        )),
        known: RefCell::new(KnownUrls {
            met: queue.iter().map(|url| hash(url)).collect(),
            queue,
            in_flight: 0,
        }),
        more: Notify::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, Rc::new(floor).crawl(tasks))
}

impl FloorReading {
    fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "fetch" => Self::None,
            "links" => Self::Links,
            "dom" => Self::Dom,
            other => bail!("--mode is fetch, links or dom, not {other}"),
        })
    }
}

fn client() -> Result<reqwest::Client> {
    // The HTTP client cannot be built without a TLS provider, although no request of the benchmark is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.build().context("cannot make a client")
}

struct Floor {
    client: reqwest::Client,
    reading: FloorReading,
    follows: bool,
    parser: Parser,
    out: RefCell<BufWriter<File>>,
    known: RefCell<KnownUrls>,
    more: Notify,
}

struct KnownUrls {
    queue: VecDeque<String>,
    met: HashSet<u64>,
    in_flight: usize,
}

impl Floor {
    async fn crawl(self: Rc<Self>, tasks: usize) -> Result<()> {
        let tasks: Vec<_> = (0..tasks).map(|_| tokio::task::spawn_local(self.clone().work())).collect();
        for task in tasks {
            task.await.context("a task of a floor panicked")??;
        }
        self.out.borrow_mut().flush().context("cannot write the output")
    }

    async fn work(self: Rc<Self>) -> Result<()> {
        while let Some(url) = self.take().await {
            let body = self.fetch(&url).await.with_context(|| format!("cannot fetch {url}"))?;
            let row = match self.reading {
                FloorReading::None => None,
                FloorReading::Links => Some(self.parser.stream(&url, &body)?),
                FloorReading::Dom => Some(self.parser.tree(&url, &body)),
            };
            let mut links = row.map_or(Ok(Vec::new()), |row| self.write(row))?;
            links.truncate(if self.follows { usize::MAX } else { 0 });
            let base = Url::parse(&url)?;
            self.end(links.iter().filter_map(|link| base.join(link).ok()));
        }
        Ok(())
    }

    /// Returns the next URL, and waits for a URL if there is none now. Returns `None` when no URL is left and no
    /// other task can find a new one.
    async fn take(&self) -> Option<String> {
        loop {
            {
                let mut known = self.known.borrow_mut();
                if let Some(url) = known.queue.pop_front() {
                    known.in_flight += 1;
                    return Some(url);
                }
                if known.in_flight == 0 {
                    self.more.notify_waiters();
                    return None;
                }
            }
            // No wake-up can be missed here: there is only one thread, so no other task runs between the check above
            // and this wait.
            self.more.notified().await;
        }
    }

    async fn fetch(&self, url: &str) -> Result<Bytes> {
        let mut request = self.client.get(url);
        request = request.header(reqwest::header::ACCEPT_ENCODING, "gzip");
        let response = request.send().await?;
        let compressed = response.headers().contains_key(reqwest::header::CONTENT_ENCODING);
        let body = response.bytes().await?;
        if !compressed {
            return Ok(body);
        }
        let mut plain = Vec::with_capacity(body.len() * 4);
        flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain)?;
        Ok(plain.into())
    }

    fn write(&self, row: FloorRow<'_>) -> Result<Vec<String>> {
        let mut out = self.out.borrow_mut();
        serde_json::to_writer(&mut *out, &row)?;
        out.write_all(b"\n")?;
        Ok(row.links)
    }

    /// Records that the request for a URL has ended, and queues the new links of its page.
    fn end(&self, links: impl Iterator<Item = Url>) {
        let mut known = self.known.borrow_mut();
        known.in_flight -= 1;
        for mut link in links.filter(|link| link.scheme() == "http") {
            link.set_fragment(None);
            if known.met.insert(hash(link.as_str())) {
                known.queue.push_back(link.into());
            }
        }
        if known.in_flight == 0 || !known.queue.is_empty() {
            self.more.notify_waiters();
        }
    }
}

fn hash(url: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    url.hash(&mut hasher);
    hasher.finish()
}

struct Parser {
    title: Selector,
    sku: Selector,
    links: Selector,
}

impl Parser {
    fn new() -> Result<Self> {
        let selector =
            |css| Selector::parse(css).map_err(|error| anyhow::anyhow!("the selector {css}: {error}"));
        Ok(Self {
            title: selector("title")?,
            sku: selector(".product-info .sku")?,
            links: selector("a[href]")?,
        })
    }

    fn stream<'a>(&self, url: &'a str, body: &[u8]) -> Result<FloorRow<'a>> {
        let row = RefCell::new(FloorRow { url, links: Vec::with_capacity(40), ..FloorRow::default() });
        let settings = lol_html::Settings::new()
            .append_element_content_handler(lol_html::element!("a[href]", |element| {
                row.borrow_mut().links.extend(element.get_attribute("href"));
                Ok(())
            }))
            .append_element_content_handler(lol_html::text!("head > title", |text| {
                row.borrow_mut().title.push_str(text.as_str());
                Ok(())
            }))
            .append_element_content_handler(lol_html::text!(".product-info .sku", |text| {
                row.borrow_mut().sku.push_str(text.as_str());
                Ok(())
            }));
        let mut rewriter = lol_html::HtmlRewriter::new(settings, |_: &[u8]| {});
        rewriter.write(body)?;
        rewriter.end()?;
        Ok(row.into_inner())
    }

    fn tree<'a>(&self, url: &'a str, body: &[u8]) -> FloorRow<'a> {
        let tree = Html::parse_document(&String::from_utf8_lossy(body));
        let text = |selector| tree.select(selector).next().map(|found| found.text().collect());
        FloorRow {
            url,
            title: text(&self.title).unwrap_or_default(),
            sku: text(&self.sku).unwrap_or_default(),
            links: tree.select(&self.links).filter_map(|link| link.attr("href")).map(str::to_owned).collect(),
        }
    }
}
