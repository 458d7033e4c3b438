//! The pages that are compared: which fields each has, and which pages are chosen.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use opilio_cassette::Cassette;
use opilio_engine::{Page, Request, Spider};
use opilio_extract::FieldCounts;
use opilio_extract::typed::coverage::Coverage;
use opilio_extract::typed::{ExtractPlan, FieldPlan, SourceAt};
use url::Url;

use super::nearest::ElementSketch;
use crate::command::step;
use crate::observed::PageRead;
use crate::requested::Requested;

/// The name of a field with its struct, such as `Product.price`.
pub(super) type FieldName = String;

/// A page as the spider read it.
#[derive(Clone)]
pub(super) struct CheckedPage<Step> {
    pub(super) url: Url,
    pub(super) step: Step,
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

impl<Step: Clone + serde::Serialize> CheckedPage<Step> {
    pub(super) fn of<S: Spider<Step = Step>>(
        page: &Page<Step>,
        read: PageRead<'_, S>,
        coverage: &Coverage,
    ) -> Self {
        Self {
            // The requested URL was a URL, so it is one again.
            url: page.requested_url().parse().unwrap_or_else(|_| page.url().clone()),
            step: page.step().clone(),
            step_name: step::name(page.step()),
            session: page.session().map(str::to_owned),
            fields: fields_of(page, coverage),
            requests: read.ok().map(|found| found.requested()),
        }
    }

    /// Returns whether another page is an answer to the same request.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let step = |page: &Self| serde_json::to_value(&page.step).ok();
        self.url == other.url && self.session == other.session && step(self) == step(other)
    }

    fn filled(&self) -> impl Iterator<Item = &FieldName> {
        self.fields.iter().filter(|(_, field)| field.counts.filled > 0).map(|(name, _)| name)
    }
}

fn fields_of<Step>(page: &Page<Step>, coverage: &Coverage) -> BTreeMap<FieldName, PageField> {
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

/// A page of the cassette, and the request that fetches it again.
pub(super) type PageAgain<'p, Step> = (&'p CheckedPage<Step>, Request<Step>);

/// The pages to compare.
pub(super) struct Chosen<'p, Step> {
    pub(super) pages: Vec<PageAgain<'p, Step>>,
    /// A line for each step that is not compared, with the reason.
    pub(super) left_out: Vec<String>,
}

/// Chooses up to `count` pages of each step that can be fetched again: such that each field is filled on as many of
/// them as possible.
pub(super) fn choose<'p, Step: Clone + serde::Serialize>(
    pages: &'p [CheckedPage<Step>],
    cassette: &Cassette,
    requested: &Requested<Step>,
    count: usize,
) -> Chosen<'p, Step> {
    let safe: HashSet<&Url> = cassette
        .exchanges()
        .iter()
        .filter(|exchange| exchange.request.key.method.is_safe())
        .map(|exchange| &exchange.request.key.url)
        .collect();
    // For each step: the pages that can be fetched again, and the methods of the other pages.
    let mut steps: BTreeMap<&str, (Vec<PageAgain<'p, Step>>, BTreeSet<String>)> = BTreeMap::new();
    for page in pages {
        let (again, others) = steps.entry(&page.step_name).or_default();
        match requested.of(&page.url, &page.step, page.session.as_deref()) {
            Err(method) => {
                others.insert(format!("by {method}"));
            }
            Ok(_) if !safe.contains(&cassette.without_secrets(&page.url)) => {
                others.insert("otherwise than by GET".to_owned());
            }
            // A request that the spider has sent several times is sent once.
            Ok(_) if again.iter().any(|(known, _)| known.is_same(page)) => {}
            Ok(Some(request)) => again.push((page, request)),
            Ok(None) => again.push((page, Request::get(page.url.clone(), page.step.clone()))),
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

fn choose_of_step<Step: Clone + serde::Serialize>(
    mut pages: Vec<PageAgain<'_, Step>>,
    count: usize,
) -> Vec<PageAgain<'_, Step>> {
    let mut chosen = Vec::new();
    let mut times: BTreeMap<&FieldName, u32> = BTreeMap::new();
    while chosen.len() < count && !pages.is_empty() {
        let worth = |page: &CheckedPage<Step>| -> f64 {
            let fields: f64 =
                page.filled().map(|name| 1.0 / f64::from(1 + times.get(name).copied().unwrap_or(0))).sum();
            // A page that leads on shows whether links are still found.
            fields + if page.requests.is_some_and(|requests| requests > 0) { 0.5 } else { 0.0 }
        };
        let best = (0..pages.len()).max_by(|a, b| {
            // If several pages are worth the same, the first is used.
            worth(pages[*a].0).total_cmp(&worth(pages[*b].0)).then(b.cmp(a))
        });
        let Some(best) = best else { break };
        let (page, request) = pages.remove(best);
        page.filled().for_each(|name| *times.entry(name).or_default() += 1);
        chosen.push((page, request));
    }
    chosen
}
