//! The pages that are compared: which fields each has, and which pages are chosen.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use opilio_cassette::Cassette;
use opilio_engine::{Page, Spider};
use opilio_extract::typed::coverage::Coverage;
use opilio_extract::typed::{ExtractPlan, FieldPlan, SourceAt};
use opilio_extract::{Document, FieldCounts};
use serde_json::Value;
use url::Url;

use super::nearest::ElementSketch;
use crate::command::step;
use crate::observed::PageRead;

/// The name of a field with its struct, such as `Product.price`.
pub(super) type FieldName = String;

/// A page as the spider read it.
#[derive(Clone)]
pub(super) struct CheckedPage {
    pub(super) url: Url,
    /// The step as JSON; `None` if it cannot be written as JSON.
    step: Option<Value>,
    pub(super) step_name: String,
    pub(super) session: Option<String>,
    /// The values that the page has for each field. If the page has several structs of one type, their values are added.
    pub(super) fields: BTreeMap<FieldName, PageField>,
    /// The number of requests that the page led to; `None` if `parse` returned an error.
    pub(super) requests: Option<usize>,
}

/// The values that one page has for one field.
#[derive(Clone)]
pub(super) struct PageField {
    /// The plan of the struct that has the field.
    pub(super) of: &'static ExtractPlan,
    pub(super) plan: &'static FieldPlan,
    pub(super) counts: FieldCounts,
    /// The first element of the field's first selector that matches; `None` if no selector matches.
    pub(super) element: Option<ElementSketch>,
}

impl CheckedPage {
    pub(super) fn of<S: Spider>(page: &Page<S::Step>, read: PageRead<'_, S>, coverage: &Coverage) -> Self {
        let step = serde_json::to_value(page.step()).ok();
        Self {
            // The requested URL was a URL, so it is one again.
            url: page.requested_url().parse().unwrap_or_else(|_| page.url().clone()),
            step_name: step.as_ref().map(step::name_of).unwrap_or_default(),
            step,
            session: page.session().map(str::to_owned),
            fields: fields_of(page.document(), coverage),
            requests: read.ok().map(|found| found.requested()),
        }
    }

    /// Returns whether another page is an answer to the same request.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.url == other.url && self.session == other.session && self.step == other.step
    }

    fn filled(&self) -> impl Iterator<Item = &FieldName> {
        self.fields.iter().filter(|(_, field)| field.counts.filled > 0).map(|(name, _)| name)
    }
}

fn fields_of(page: &Document, coverage: &Coverage) -> BTreeMap<FieldName, PageField> {
    let mut fields: BTreeMap<FieldName, PageField> = BTreeMap::new();
    for read in coverage.structs() {
        for (plan, counts) in read.fields() {
            let name = format!("{}.{}", read.plan().name, plan.name);
            let field = fields.entry(name).or_insert_with(|| PageField {
                of: read.plan(),
                plan,
                counts: FieldCounts::default(),
                element: None,
            });
            field.counts = field.counts.plus(counts);
            if counts.filled > 0 && field.element.is_none() {
                field.element = selectors(plan).find_map(|css| ElementSketch::first(page, css));
            }
        }
    }
    fields
}

/// Returns the selectors of a field that mean the same on the whole page.
fn selectors(plan: &FieldPlan) -> impl Iterator<Item = &'static str> {
    let selectors = plan.sources.iter().filter_map(|source| match source.at {
        SourceAt::Css { css, .. } => Some(css),
        SourceAt::JsonIn(css, _) => Some(css),
        _ => None,
    });
    selectors.filter(|css| !css.contains(":scope"))
}

/// The pages to compare.
pub(super) struct Chosen {
    /// The places of the pages in the list from which they were chosen.
    pub(super) pages: Vec<usize>,
    /// A line for each step that is not compared, with the reason.
    pub(super) left_out: Vec<String>,
}

/// Chooses up to `count` pages of each step that can be fetched again: such that each field is filled on as many of
/// them as possible. `refused` returns the method of the request of the page at this place, if the request must not be
/// sent again.
pub(super) fn choose(
    pages: &[CheckedPage],
    cassette: &Cassette,
    refused: &dyn Fn(usize) -> Option<String>,
    count: usize,
) -> Chosen {
    let safe: HashSet<&Url> = cassette
        .exchanges()
        .iter()
        .filter(|exchange| exchange.request.key.method.is_safe())
        .map(|exchange| &exchange.request.key.url)
        .collect();
    // For each step: the pages that can be fetched again, and the methods of the other pages.
    let mut steps: BTreeMap<&str, (Vec<PageAt<'_>>, BTreeSet<String>)> = BTreeMap::new();
    for (at, page) in pages.iter().enumerate() {
        let (again, others) = steps.entry(&page.step_name).or_default();
        match refused(at) {
            Some(method) => {
                others.insert(format!("by {method}"));
            }
            None if !safe.contains(&cassette.without_secrets(&page.url)) => {
                others.insert("otherwise than by GET".to_owned());
            }
            // A request that the spider has sent several times is sent once.
            None if again.iter().any(|(_, known)| known.is_same(page)) => {}
            None => again.push((at, page)),
        }
    }
    let mut chosen = Chosen { pages: Vec::new(), left_out: Vec::new() };
    for (step, (again, others)) in steps {
        if again.is_empty() {
            let how: Vec<String> = others.into_iter().collect();
            let how = how.join(" and ");
            chosen.left_out.push(format!("the step {step} is not compared: its pages were requested {how}"));
        }
        chosen.pages.extend(choose_of_step(again, count));
    }
    chosen
}

/// A page with its place in the list from which pages are chosen.
type PageAt<'p> = (usize, &'p CheckedPage);

fn choose_of_step(mut pages: Vec<PageAt<'_>>, count: usize) -> Vec<usize> {
    let mut chosen = Vec::new();
    let mut times: BTreeMap<&FieldName, u32> = BTreeMap::new();
    while chosen.len() < count && !pages.is_empty() {
        let worth = |page: &CheckedPage| -> f64 {
            let fields: f64 =
                page.filled().map(|name| 1.0 / f64::from(1 + times.get(name).copied().unwrap_or(0))).sum();
            // A page that leads on shows whether links are still found.
            fields + if page.requests.is_some_and(|requests| requests > 0) { 0.5 } else { 0.0 }
        };
        let best = (0..pages.len()).max_by(|a, b| {
            // If several pages are worth the same, the first is used.
            worth(pages[*a].1).total_cmp(&worth(pages[*b].1)).then(b.cmp(a))
        });
        let Some(best) = best else { break };
        let (at, page) = pages.remove(best);
        page.filled().for_each(|name| *times.entry(name).or_default() += 1);
        chosen.push(at);
    }
    chosen
}
