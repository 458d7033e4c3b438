//! Tests of steps: how a resumed crawl treats steps that another build of the spider has stored, and URLs that are
//! requested with two different steps.

use std::path::Path;

use opilio_core::{HostPolicy, Reason, per_second};
use opilio_export::{Collect, JsonLines};
use opilio_fetch::AddressPolicy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{page, run, web};
use crate::{
    CrawlError, CrawlReport, Crawler, Found, Page, ParseError, Request, SeedError, Spider, StepError,
};

/// A spider that requests a list of URLs, each with a step, and records with which step each page was read.
struct Reads<Step>(Vec<Request<Step>>);

impl<Step> Spider for Reads<Step>
where
    Step: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Item = String;
    type Step = Step;

    fn name(&self) -> &str {
        "reads"
    }

    fn seeds(&self) -> Vec<Request<Step>> {
        self.0.clone()
    }

    fn parse(&self, page: &Page<Step>, found: &mut Found<Self>) -> Result<(), ParseError> {
        let step = serde_json::to_value(page.step())?;
        let kind = step.as_object().and_then(|step| step.keys().next().cloned());
        found.item(format!(
            "{} {}",
            page.url().path(),
            kind.unwrap_or(step.as_str().unwrap_or("").to_owned())
        ));
        Ok(())
    }
}

fn reads<Step>(requests: Vec<Request<Step>>) -> Crawler<Reads<Step>>
where
    Step: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    Crawler::new(Reads(requests))
        .host(HostPolicy::new().rate(per_second(2)))
        .addresses(AddressPolicy::allow_all())
        .no_robots()
        .transport(web(|_, _, _| page()))
}

#[derive(Clone, Serialize, Deserialize)]
enum Before {
    Listing,
    Product { id: u32 },
}

fn asked() -> Vec<Request<Before>> {
    let step = |n| if n % 2 == 0 { Before::Listing } else { Before::Product { id: n } };
    (0..10).map(|n| Request::get(format!("http://a.example/{n}"), step(n))).collect()
}

/// Performs the first run, which fetches some of the ten pages.
fn begin(dir: &Path) -> CrawlReport {
    let output = JsonLines::create(dir.join("out.jsonl")).unwrap();
    run(reads(asked()).export(output).state(dir.join("state")).max_pages(4)).0.unwrap()
}

/// Resumes the crawl with a spider of another build, whose steps have this type.
fn go_on<Step>(dir: &Path) -> Result<CrawlReport, CrawlError>
where
    Step: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let output = JsonLines::create(dir.join("out.jsonl")).unwrap();
    run(reads::<Step>(Vec::new()).export(output).state(dir.join("state")).resume()).0
}

fn rows(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("out.jsonl")).unwrap();
    let mut rows: Vec<String> = text.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    rows.sort();
    rows
}

fn all_rows() -> Vec<String> {
    (0..10).map(|n| format!("/{n} {}", if n % 2 == 0 { "Listing" } else { "Product" })).collect()
}

#[test]
fn a_crawl_goes_on_after_a_variant_was_put_first_and_a_field_added() {
    #[derive(Clone, Serialize, Deserialize)]
    enum After {
        Home,
        Product { shop: Option<String>, id: u32 },
        Listing,
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(begin(dir.path()).left, 6);
    let report = go_on::<After>(dir.path()).unwrap();
    assert_eq!((report.pages, report.items, report.failed()), (10, 10, 0));
    assert_eq!(rows(dir.path()), all_rows());
}

#[test]
fn a_crawl_under_other_names_is_refused_and_nothing_of_it_changes() {
    #[derive(Clone, Serialize, Deserialize)]
    enum Renamed {
        Overview,
        Product { id: u32 },
    }
    #[derive(Clone, Serialize, Deserialize)]
    enum OtherField {
        Listing,
        Product { number: u32 },
    }
    #[derive(Clone, Serialize, Deserialize)]
    enum NoField {
        Listing,
        Product {},
    }
    #[derive(Clone, Serialize, Deserialize)]
    enum Mapped {
        Product {
            id: u32,
        },
        #[serde(alias = "Listing")]
        Overview,
    }
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let before = rows(dir.path());
    let refusals = [
        (go_on::<Renamed>(dir.path()), vec!["`Listing`", "`Overview`", "`Product`"]),
        (go_on::<OtherField>(dir.path()), vec!["{\"Product\":{\"id\":", "`number`"]),
        (go_on::<NoField>(dir.path()), vec!["{\"Product\":{\"id\":", "does not read"]),
        (go_on::<()>(dir.path()), vec!["expected unit"]),
    ];
    for (refusal, words) in refusals {
        let error = refusal.unwrap_err();
        assert!(matches!(error, CrawlError::OtherSteps(_)));
        let said = format!("{error:?}");
        assert!(!said.contains("line 1"), "a kept step is one line: {said}");
        assert_eq!(said.matches("expected").count(), said.matches(", expected").count().min(1), "{said}");
        assert_eq!(
            said.contains("alias"),
            !said.contains("invalid type"),
            "an alias mends names only: {said}"
        );
        for word in words {
            assert!(format!("{error:?}").contains(word), "{error:?} lacks {word}");
        }
        assert_eq!(rows(dir.path()), before);
    }
    assert_eq!(go_on::<Mapped>(dir.path()).unwrap().pages, 10);
    assert_eq!(rows(dir.path()).len(), 10);
}

#[test]
fn a_seed_whose_step_cannot_be_read_back_is_refused_before_anything_is_sent() {
    #[derive(Clone, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Shadowed {
        Listing { page: u32 },
        Product { page: u32, id: u32 },
    }
    let requests = vec![
        Request::get("http://a.example/1", Shadowed::Listing { page: 1 }),
        Request::get("http://a.example/2", Shadowed::Product { page: 1, id: 2 }),
    ];
    let (error, _, arrivals) = run(reads(requests));
    let error = error.unwrap_err();
    let words = format!("{error:?}");
    assert!(words.contains("http://a.example/2") && words.contains(r#"{"page":1,"id":2}"#), "{words}");
    assert!(matches!(error, CrawlError::Seed(SeedError::Step { source: StepError::Other { .. }, .. })));
    assert!(arrivals.is_empty(), "{arrivals:?}");
}

#[test]
fn steps_of_any_form_that_serde_reads_back_are_kept() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Skips {
        #[serde(skip_serializing_if = "Option::is_none")]
        page: Option<u32>,
    }
    let value = vec![Request::get("http://a.example/1", serde_json::json!({ "any": [1, null] }))];
    assert_eq!(run(reads(value)).0.unwrap().pages, 1);
    let skips = vec![Request::get("http://a.example/1", Skips { page: None })];
    assert_eq!(run(reads(skips)).0.unwrap().pages, 1);
}

/// A spider whose first page requests another page, with a step that cannot be read back.
struct Late;

#[derive(Clone, Serialize, Deserialize)]
struct LateStep {
    #[serde(skip_serializing_if = "is_zero")]
    page: u32,
}

fn is_zero(page: &u32) -> bool {
    *page == 0
}

impl Spider for Late {
    type Item = String;
    type Step = LateStep;

    fn seeds(&self) -> Vec<Request<LateStep>> {
        vec![Request::get("http://a.example/", LateStep { page: 1 })]
    }

    fn parse(&self, page: &Page<LateStep>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.link(page, "/next", LateStep { page: page.step().page - 1 });
        Ok(())
    }
}

#[test]
fn a_step_that_comes_later_and_cannot_be_read_back_is_said_in_words() {
    let late = Crawler::new(Late).no_robots().transport(web(|_, _, _| page()));
    let (report, _, arrivals) = run(late);
    let report = report.unwrap();
    assert_eq!((report.failures.len(), arrivals.len()), (1, 1), "{report:?}");
    let failure = &report.failures[0];
    assert_eq!(failure.reason, Reason::ParseError);
    let words = failure.error.as_deref().unwrap_or_default();
    assert!(words.contains("/next") && words.contains("missing field `page`"), "{words}");
}

/// A spider that requests the same page with several steps, in several ways.
struct Twice {
    again: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Step {
    Home,
    Product,
    Reviews,
}

impl Spider for Twice {
    type Item = String;
    type Step = Step;

    fn seeds(&self) -> Vec<Request<Step>> {
        vec![Request::get("http://a.example/", Step::Home)]
    }

    fn parse(&self, page: &Page<Step>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(format!("{} {:?}", page.url().path(), page.step()));
        let ask = |path: &str, step| {
            let request = Request::get(format!("http://a.example{path}"), step);
            if self.again { request.again() } else { request }
        };
        match page.step() {
            Step::Home => {
                found.link(page, "/lamp", Step::Product);
                found.request(ask("/lamp", Step::Reviews));
                found.request(ask("/lamp", Step::Reviews));
            }
            Step::Product => found.request(ask("/", Step::Product)),
            Step::Reviews => {}
        }
        Ok(())
    }
}

fn twice(again: bool) -> (CrawlReport, Vec<String>) {
    let (output, collected) = Collect::new();
    let crawler = Crawler::new(Twice { again }).no_robots().export(output).max_pages(6);
    let report = run(crawler.transport(web(|_, _, _| page()))).0.unwrap();
    let mut rows = collected.items::<String>().unwrap();
    rows.sort();
    (report, rows)
}

#[test]
fn a_url_that_is_requested_with_two_steps_is_counted() {
    let (report, rows) = twice(false);
    assert_eq!(rows, ["/ Home", "/lamp Product"]);
    // `/lamp` is linked on one page, `/` on two pages.
    assert_eq!((report.pages, report.other_step), (2, 2));
    assert!(report.to_string().contains("2 URLs requested again with another step"), "{report}");
    assert!(report.balances());
}

#[test]
fn a_request_that_is_made_again_is_one_more_within_the_books() {
    let (report, rows) = twice(true);
    assert_eq!(rows[..4], ["/ Home", "/ Product", "/ Product", "/ Product"]);
    assert_eq!(rows[4..], ["/lamp Product", "/lamp Reviews"]);
    assert_eq!((report.other_step, report.pages, report.requests), (0, 6, 6));
    assert!(report.balances());
}
