//! The workloads: which crawler fetches which site, and which floor it is compared to.

use crate::site::Plan;

/// Crawls that run in turn.
pub(crate) struct Workload {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// The question that the workload answers.
    pub(crate) about: &'static str,
    /// Who crawls, in this order, round after round.
    pub(crate) cases: Vec<Case>,
}

/// One crawl.
#[derive(Clone)]
pub(crate) struct Case {
    /// Its name in the table.
    pub(crate) name: String,
    /// The site that is crawled.
    pub(crate) site: Plan,
    /// Who crawls.
    pub(crate) who: Who,
    /// With which allocator.
    pub(crate) allocator: Allocator,
    /// The case of this workload that it is compared to.
    pub(crate) beside: Option<usize>,
    /// The most that it may cost beside that one, where a run checks it.
    pub(crate) ratio_max: f64,
}

/// Who crawls.
#[derive(Clone)]
pub(crate) enum Who {
    /// A floor that is given every URL, by how it reads.
    List(&'static str),
    /// A floor that finds the URLs, by how it reads.
    Crawl(&'static str),
    /// Opilio, with these arguments.
    Opilio(Vec<&'static str>),
    /// Another program: a command line with `{seed}`, `{out}` and `{list}`.
    Peer(String),
}

/// Who gives memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allocator {
    /// The system.
    System,
    /// mimalloc.
    Mimalloc,
}

impl Who {
    /// Whether it writes a row for each page, and the title and field of each.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::List("fetch"))
    }

    /// Whether its output is read slowly.
    pub(crate) fn streams(&self) -> bool {
        matches!(self, Self::Opilio(args) if args.contains(&STREAMED))
    }
}

/// An argument that the harness reads: the output goes to a reader that is slow.
pub(crate) const STREAMED: &str = "--streamed";
/// An argument that the harness gives a value: a directory for the state.
pub(crate) const STATE: &str = "--state";

/// Every workload. `small` ones take a second or two a round.
pub(crate) fn all(small: bool, allocators: &[Allocator], peers: &[(String, String)]) -> Vec<Workload> {
    let sized = |hosts: usize, pages: usize, small_hosts: usize, small_pages: usize| {
        if small { Plan::new(small_hosts, small_pages) } else { Plan::new(hosts, pages) }
    };
    let one = sized(1, 20_000, 1, 3_000);
    let many = sized(200, 100, 100, 30);
    let set = |site: Plan| side_by_side(site, allocators, peers);
    let mut all = vec![
        workload("one-host", "one host", set(one)),
        workload("many-hosts", "many hosts, a third of the links between them", set(many)),
        workload("gzip", "one host that compresses", set(Plan { gzip: true, ..sized(1, 20_000, 1, 2_000) })),
        workload("small-pages", "pages of 4 kB", set(Plan { bytes: 4_000, links: 12, ..one })),
        workload("large-pages", "pages of 100 kB", set(Plan { bytes: 100_000, ..sized(1, 5_000, 1, 800) })),
        workload("floors", "the parts of a crawl: fetching, reading, finding", floors(one, allocators)),
        workload(
            "few-pages",
            "20,000 hosts of 5 pages, each with its own budget",
            few_pages(many, sized(20_000, 5, 600, 5)),
        ),
        workload("slots", "8,000 hosts of 5 pages, 64 requests in flight", slots(sized(8_000, 5, 600, 5))),
        workload(
            "slow-reader",
            "standard output that is read slowly",
            pair(sized(1, 5_000, 1, 1_000), [vec![], vec![STREAMED]], 1.8),
        ),
        workload("state", "a crawl that is kept on disk", pair(one, [vec![], vec![STATE]], 2.2)),
        workload(
            "shards",
            "two threads that crawl",
            pair(many, [vec!["--shards", "1"], vec!["--shards", "2"]], 1.8),
        ),
    ];
    // Its ratios are for readers; none is checked.
    all.retain(|workload| !small || workload.name != "floors");
    all
}

fn workload(name: &'static str, about: &'static str, cases: Vec<Case>) -> Workload {
    Workload { name, about, cases }
}

/// A case that is compared to none.
fn case(name: &str, site: Plan, who: Who) -> Case {
    let allocator = Allocator::System;
    Case { name: name.to_owned(), site, who, allocator, beside: None, ratio_max: f64::INFINITY }
}

/// The two floors and Opilio's two ways to read, for each allocator; then the others.
fn side_by_side(site: Plan, allocators: &[Allocator], peers: &[(String, String)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for allocator in allocators {
        let first = cases.len();
        for (name, who, beside) in [
            ("floor, links", Who::Crawl("links"), None),
            ("Opilio, links", Who::Opilio(vec![]), Some(first)),
            ("floor, DOM", Who::Crawl("dom"), None),
            ("Opilio, DOM", Who::Opilio(vec!["--dom"]), Some(first + 2)),
        ] {
            cases.push(Case { beside, ratio_max: GROSS, ..case(name, site, who) }.with(*allocator));
        }
    }
    for (name, command) in peers {
        cases.push(Case { beside: Some(0), ..case(name, site, Who::Peer(command.clone())) });
    }
    cases
}

fn floors(site: Plan, allocators: &[Allocator]) -> Vec<Case> {
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
            cases.push(Case { beside, ..case(name, site, who) }.with(*allocator));
        }
    }
    cases
}

fn few_pages(many: Plan, few: Plan) -> Vec<Case> {
    let name = |plan: Plan| format!("Opilio, {} × {}", plan.hosts, plan.pages);
    vec![
        case(&name(many), many, Who::Opilio(vec![])),
        Case { beside: Some(0), ratio_max: GROSS, ..case(&name(few), few, Who::Opilio(vec![])) },
    ]
}

fn slots(site: Plan) -> Vec<Case> {
    vec![
        case("floor, links", site, Who::Crawl("links")),
        Case {
            beside: Some(0),
            ratio_max: GROSS * 1.5,
            ..case("Opilio, links", site, Who::Opilio(vec!["--in-flight", "64"]))
        },
    ]
}

/// Opilio in two ways, the second beside the first.
fn pair(site: Plan, args: [Vec<&'static str>; 2], ratio_max: f64) -> Vec<Case> {
    let [first, second] = args.map(|args| {
        let name = if args.is_empty() { "Opilio".to_owned() } else { format!("Opilio {}", args.join(" ")) };
        case(&name, site, Who::Opilio(args))
    });
    vec![first, Case { beside: Some(0), ratio_max, ..second }]
}

impl Case {
    fn with(mut self, allocator: Allocator) -> Self {
        if allocator == Allocator::Mimalloc {
            self.name.push_str(", mimalloc");
        }
        self.allocator = allocator;
        self
    }
}

/// Beyond this ratio something is broken; whether a lower one is good is another question.
const GROSS: f64 = 2.2;
