//! The workloads: which crawler fetches which site, and which floor the crawler is compared with.

use crate::site::SitePlan;

/// A group of crawls that run one after another and are compared with each other.
pub(crate) struct Workload {
    /// The workload's name on the command line.
    pub(crate) name: &'static str,
    /// A short text about what the workload measures, for the table of results.
    pub(crate) about: &'static str,
    /// The crawls, in the order in which they run in each round.
    pub(crate) cases: Vec<BenchCase>,
}

/// One crawl of a workload.
#[derive(Clone)]
pub(crate) struct BenchCase {
    /// The crawl's name in the table.
    pub(crate) name: String,
    /// The site that is crawled.
    pub(crate) site: SitePlan,
    /// The crawler that fetches the site.
    pub(crate) who: Who,
    /// The allocator that the crawler uses.
    pub(crate) allocator: Allocator,
    /// The index, in this workload, of the case that this case is compared with. `None` if it is compared with no
    /// other.
    pub(crate) beside: Option<usize>,
    /// The highest allowed ratio of this case's cost to the cost of the case at `beside`. Used in runs that check
    /// ratios.
    pub(crate) ratio_max: f64,
}

/// The crawler of a case.
#[derive(Clone)]
pub(crate) enum Who {
    /// A floor that is given a list of every URL. The text names the way in which it reads pages.
    List(&'static str),
    /// A floor that is given one URL and finds the others. The text names the way in which it reads pages.
    Crawl(&'static str),
    /// Opilio, with these command-line arguments.
    Opilio(Vec<&'static str>),
    /// Another program, given as a command line in which `{seed}`, `{out}` and `{list}` are replaced.
    Peer(String),
}

/// The allocator that a crawler uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allocator {
    /// The default allocator of the system.
    System,
    /// The allocator mimalloc.
    Mimalloc,
}

impl Who {
    /// Returns whether the crawler writes a row for each page.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::List("fetch"))
    }

    /// Returns whether the crawler's output goes to a slow reader.
    pub(crate) fn streams(&self) -> bool {
        matches!(self, Self::Opilio(args) if args.contains(&STREAMED))
    }
}

/// A command-line argument that only the harness reads: the output of the crawler goes to a slow reader.
pub(crate) const STREAMED: &str = "--streamed";
/// A command-line argument of Opilio whose value the harness adds: a directory for the state of the crawl.
pub(crate) const STATE: &str = "--state";

/// Returns every workload. If `small` is true, each round takes only a second or two.
pub(crate) fn all(small: bool, allocators: &[Allocator], peers: &[(String, String)]) -> Vec<Workload> {
    let sized = |hosts: usize, pages: usize, small_hosts: usize, small_pages: usize| {
        if small { SitePlan::new(small_hosts, small_pages) } else { SitePlan::new(hosts, pages) }
    };
    let one = sized(1, 20_000, 1, 3_000);
    let many = sized(200, 100, 100, 30);
    let set = |site: SitePlan| side_by_side(site, allocators, peers);
    let mut all = vec![
        workload("one-host", "one host", set(one)),
        workload("many-hosts", "many hosts, a third of the links between them", set(many)),
        workload(
            "gzip",
            "one host that compresses",
            set(SitePlan { gzip: true, ..sized(1, 20_000, 1, 2_000) }),
        ),
        workload("small-pages", "pages of 4 kB", set(SitePlan { bytes: 4_000, links: 12, ..one })),
        workload(
            "large-pages",
            "pages of 100 kB",
            set(SitePlan { bytes: 100_000, ..sized(1, 5_000, 1, 800) }),
        ),
        workload("floors", "the parts of a crawl: fetching, reading, finding", floors(one, allocators)),
        workload(
            "few-pages",
            "20,000 hosts of 5 pages and 2,000 of 50, each with its own budget",
            few_pages(many, [sized(20_000, 5, 600, 5), sized(2_000, 50, 700, 8)]),
        ),
        workload("slots", "8,000 hosts of 5 pages, 64 requests in flight", slots(sized(8_000, 5, 600, 5))),
        workload(
            "slow-reader",
            "standard output that is read slowly",
            pair(sized(1, 5_000, 1, 1_000), [vec![], vec![STREAMED]], 1.8),
        ),
        workload(
            "typed",
            "structs of fields: JSON-LD and `<meta>` without a DOM, CSS beside the same by hand",
            typed(one),
        ),
        workload("state", "a crawl that is kept on disk", pair(one, [vec![], vec![STATE]], 2.2)),
        workload("shards", "two threads that crawl, beside one", shards(many)),
    ];
    // The ratios of this workload are only printed and not checked, so a small run leaves it out.
    all.retain(|workload| !small || workload.name != "floors");
    all
}

fn workload(name: &'static str, about: &'static str, cases: Vec<BenchCase>) -> Workload {
    Workload { name, about, cases }
}

/// Returns a case that is compared with no other.
fn case(name: &str, site: SitePlan, who: Who) -> BenchCase {
    let allocator = Allocator::System;
    BenchCase { name: name.to_owned(), site, who, allocator, beside: None, ratio_max: f64::INFINITY }
}

/// Returns the cases of a comparison: two floors and Opilio's two ways of reading, for each allocator, and then the
/// other crawlers.
fn side_by_side(site: SitePlan, allocators: &[Allocator], peers: &[(String, String)]) -> Vec<BenchCase> {
    let mut cases = Vec::new();
    for allocator in allocators {
        let first = cases.len();
        for (name, who, beside) in [
            ("floor, links", Who::Crawl("links"), None),
            ("Opilio, links", Who::Opilio(vec![]), Some(first)),
            ("floor, DOM", Who::Crawl("dom"), None),
            ("Opilio, DOM", Who::Opilio(vec!["--dom"]), Some(first + 2)),
        ] {
            cases.push(BenchCase { beside, ratio_max: GROSS, ..case(name, site, who) }.with(*allocator));
        }
    }
    for (name, command) in peers {
        cases.push(BenchCase { beside: Some(0), ..case(name, site, Who::Peer(command.clone())) });
    }
    cases
}

fn floors(site: SitePlan, allocators: &[Allocator]) -> Vec<BenchCase> {
    let mut cases = Vec::new();
    for allocator in allocators {
        let first = cases.len();
        for (name, who) in [
            ("list: fetch", Who::List("fetch")),
            ("list: fetch, links", Who::List("links")),
            ("list: fetch, DOM", Who::List("dom")),
            ("crawl: links", Who::Crawl("links")),
            ("crawl: DOM", Who::Crawl("dom")),
        ] {
            let beside = (cases.len() > first).then_some(first);
            cases.push(BenchCase { beside, ..case(name, site, who) }.with(*allocator));
        }
    }
    cases
}

/// Compares crawls of more hosts than connections are kept open for with a crawl of fewer hosts.
fn few_pages(many: SitePlan, few: [SitePlan; 2]) -> Vec<BenchCase> {
    let opilio =
        |plan: SitePlan| case(&format!("Opilio, {} × {}", plan.hosts, plan.pages), plan, Who::Opilio(vec![]));
    let beside = |plan| BenchCase { beside: Some(0), ratio_max: GROSS, ..opilio(plan) };
    std::iter::once(opilio(many)).chain(few.map(beside)).collect()
}

fn slots(site: SitePlan) -> Vec<BenchCase> {
    vec![
        case("floor, links", site, Who::Crawl("links")),
        BenchCase {
            beside: Some(0),
            ratio_max: GROSS * 1.5,
            ..case("Opilio, links", site, Who::Opilio(vec!["--in-flight", "64"]))
        },
    ]
}

fn typed(site: SitePlan) -> Vec<BenchCase> {
    joined([
        pair(site, [vec![], vec!["--typed"]], 1.6),
        pair(site, [vec!["--css-by-hand"], vec!["--css"]], 1.4),
    ])
}

/// Compares two shards with one: for their CPU time with the usual site, and for their wall time by DOM. The site shares
/// the cores with the crawler, so for the second pair it is as cheap as it can be: one thread, and pages that are kept.
fn shards(many: SitePlan) -> Vec<BenchCase> {
    let cheap = SitePlan { kept: true, threads: 1, ..many };
    joined([
        pair(many, [vec!["--shards", "1"], vec!["--shards", "2"]], 1.8),
        pair(cheap, [vec!["--dom", "--shards", "1"], vec!["--dom", "--shards", "2"]], 1.8),
    ])
}

/// Puts groups of cases after each other.
fn joined<const N: usize>(groups: [Vec<BenchCase>; N]) -> Vec<BenchCase> {
    let mut cases = Vec::new();
    for group in groups {
        let first = cases.len();
        cases.extend(
            group.into_iter().map(|case| BenchCase { beside: case.beside.map(|n| n + first), ..case }),
        );
    }
    cases
}

/// Returns two cases with Opilio. The second case is compared with the first.
fn pair(site: SitePlan, args: [Vec<&'static str>; 2], ratio_max: f64) -> Vec<BenchCase> {
    let [first, second] = args.map(|args| {
        let name = if args.is_empty() { "Opilio".to_owned() } else { format!("Opilio {}", args.join(" ")) };
        case(&name, site, Who::Opilio(args))
    });
    vec![first, BenchCase { beside: Some(0), ratio_max, ..second }]
}

impl BenchCase {
    fn with(mut self, allocator: Allocator) -> Self {
        if allocator == Allocator::Mimalloc {
            self.name.push_str(", mimalloc");
        }
        self.allocator = allocator;
        self
    }
}

/// The highest ratio that a run accepts. A higher ratio means that something is broken; a lower ratio is not
/// necessarily good.
const GROSS: f64 = 2.2;
