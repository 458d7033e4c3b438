//! Compares pages of the site with the same pages of the cassette, field by field.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use opilio_engine::{Page, Spider};
use opilio_extract::typed::FieldPlan;
use opilio_extract::typed::coverage::Coverage;

use super::pages::{CheckedPage, FieldName};
use crate::command::schema;
use crate::observed::PageRead;

/// The chosen pages of the cassette, and what the site has for them now.
pub(super) struct Comparison<Step> {
    recorded: Vec<CheckedPage<Step>>,
    /// For each recorded page, the page as it is now; `None` if it was not fetched.
    now: Vec<Option<PageNow>>,
}

/// A page as it is now.
struct PageNow {
    fields: BTreeMap<FieldName, FieldNow>,
    requests: Option<usize>,
}

/// What a page has for a field now.
struct FieldNow {
    filled: bool,
    unreadable: bool,
    /// How often the field was looked for.
    total: u64,
    /// The element that is most like the recorded one, if the field is not filled.
    nearest: Option<String>,
}

/// A field that the recorded pages have and today's pages do not have.
struct Loss<'c> {
    name: &'c str,
    plan: &'static FieldPlan,
    /// The number of compared pages on which the recording has the field.
    had: usize,
    /// The numbers of the pages that have lost the field.
    lost: Vec<usize>,
}

impl<Step: Clone + serde::Serialize> Comparison<Step> {
    /// Begins a comparison with these pages of the cassette.
    pub(super) fn of(recorded: Vec<CheckedPage<Step>>) -> Self {
        let now = recorded.iter().map(|_| None).collect();
        Self { recorded, now }
    }

    /// Adds a page of the site.
    pub(super) fn add<S: Spider<Step = Step>>(
        &mut self,
        page: &Page<Step>,
        read: PageRead<'_, S>,
        coverage: &Coverage,
    ) {
        let checked = CheckedPage::of(page, read, coverage);
        let Some(nth) = self.recorded.iter().position(|recorded| recorded.is_same(&checked)) else { return };
        let recorded = &self.recorded[nth];
        let field = |(name, field): (FieldName, super::pages::PageField)| {
            let filled = field.counts.filled > 0;
            let was = recorded.fields.get(&name).and_then(|was| was.element.as_ref());
            let nearest = was.filter(|_| !filled).and_then(|was| was.nearest(page));
            let (unreadable, total) = (field.counts.unreadable > 0, field.counts.total());
            (name, FieldNow { filled, unreadable, total, nearest })
        };
        let fields = checked.fields.into_iter().map(field).collect();
        self.now[nth] = Some(PageNow { fields, requests: checked.requests });
    }

    /// Returns the pages that were fetched, each as recorded and as it is now.
    fn pairs(&self) -> impl Iterator<Item = (usize, &CheckedPage<Step>, &PageNow)> {
        let pairs = self.recorded.iter().zip(&self.now).enumerate();
        pairs.filter_map(|(nth, (recorded, now))| Some((nth, recorded, now.as_ref()?)))
    }

    /// Returns the fields that at least one page has lost.
    fn losses(&self) -> Vec<Loss<'_>> {
        let mut losses: BTreeMap<&str, Loss<'_>> = BTreeMap::new();
        for (nth, recorded, now) in self.pairs() {
            let had = recorded.fields.iter().filter(|(_, field)| field.counts.filled > 0);
            for (name, field) in had {
                let loss = losses.entry(name).or_insert_with(|| Loss {
                    name,
                    plan: field.plan,
                    had: 0,
                    lost: Vec::new(),
                });
                match now.fields.get(name) {
                    Some(field) if field.filled => loss.had += 1,
                    // The struct around the field was not found on the page: that struct's field is named.
                    Some(field) if field.total == 0 && now.fields.values().any(|other| other.total > 0) => {}
                    Some(_) | None => {
                        loss.had += 1;
                        loss.lost.push(nth);
                    }
                }
            }
        }
        losses.into_values().filter(|loss| !loss.lost.is_empty()).collect()
    }

    /// Returns the steps whose recorded pages led to requests and whose pages of today lead to none, each with a
    /// page.
    fn without_requests(&self) -> Vec<(&str, &CheckedPage<Step>)> {
        let mut steps: BTreeMap<&str, (bool, &CheckedPage<Step>)> = BTreeMap::new();
        for (_, recorded, now) in self.pairs() {
            // Without requests because of an error counts as the loss of a field.
            if let (Some(1..), Some(now)) = (recorded.requests, now.requests) {
                let step = steps.entry(&recorded.step_name).or_insert((false, recorded));
                step.0 |= now > 0;
            }
        }
        steps.into_iter().filter(|(_, (any, _))| !any).map(|(name, (_, page))| (name, page)).collect()
    }

    /// Returns the steps of which no page could be compared.
    fn uncompared(&self) -> Vec<&str> {
        let mut steps: BTreeMap<&str, bool> = BTreeMap::new();
        for (recorded, now) in self.recorded.iter().zip(&self.now) {
            *steps.entry(&recorded.step_name).or_default() |= now.is_some();
        }
        steps.into_iter().filter(|(_, any)| !any).map(|(step, _)| step).collect()
    }

    /// Returns the findings, for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for loss in self.losses() {
            self.write(&mut text, &loss);
        }
        for (step, page) in self.without_requests() {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "the step {step} leads to no requests now\n  page:     {}\n  recorded: {} requests",
                page.url,
                page.requests.unwrap_or_default()
            );
        }
        text
    }

    fn write(&self, text: &mut String, loss: &Loss<'_>) {
        let Some(first) = loss.lost.first() else { return };
        let recorded = &self.recorded[*first];
        let now = self.now[*first].as_ref().and_then(|now| now.fields.get(loss.name));
        let how = if now.is_some_and(|now| now.unreadable) { "cannot be read" } else { "is empty" };
        let (lost, had) = (loss.lost.len(), loss.had);
        let sources: Vec<String> = loss.plan.sources.iter().map(schema::source).collect();
        let was = recorded.fields.get(loss.name).and_then(|field| field.element.as_ref());
        let mut lines = vec![
            format!("{} {how} now, on {lost} of {had} pages that have it in the cassette", loss.name),
            format!("  asked:    {}", sources.join(", or ")),
            format!("  page:     {}", opilio_cassette::without_secrets(&recorded.url)),
        ];
        lines.extend(was.map(|was| format!("  recorded: {}", was.shown)));
        match (was, now.and_then(|now| now.nearest.as_ref())) {
            (_, Some(nearest)) => lines.push(format!("  nearest:  {nearest}")),
            (Some(_), None) => lines.push("  nearest:  nothing on the page is like it".to_owned()),
            (None, None) => {}
        }
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
    }

    /// Returns the line that says what was compared.
    pub(super) fn summary(&self, cassette: &Path) -> String {
        let (pages, of) = (self.pairs().count(), self.recorded.len());
        let steps: std::collections::BTreeSet<&str> =
            self.recorded.iter().map(|page| page.step_name.as_str()).collect();
        let steps: Vec<&str> = steps.into_iter().collect();
        format!(
            "{pages} of {of} pages compared with {}, of the steps {}",
            cassette.display(),
            steps.join(", ")
        )
    }

    /// Returns the line of the error, if something fell silent or could not be compared.
    pub(super) fn error(&self) -> Option<String> {
        let losses = self.losses();
        let silent: Vec<&str> =
            losses.iter().filter(|loss| loss.lost.len() == loss.had).map(|loss| loss.name).collect();
        let mut parts = Vec::new();
        if !silent.is_empty() {
            let s = if silent.len() == 1 { "" } else { "s" };
            parts.push(format!("{} field{s} fell silent: {}", silent.len(), silent.join(", ")));
        }
        let steps: Vec<&str> = self.without_requests().into_iter().map(|(step, _)| step).collect();
        if !steps.is_empty() {
            parts.push(format!("no requests are found at: {}", steps.join(", ")));
        }
        let uncompared = self.uncompared();
        if !uncompared.is_empty() {
            parts.push(format!("no page could be compared of: {}", uncompared.join(", ")));
        }
        (!parts.is_empty()).then(|| format!("error: {}", parts.join("; ")))
    }
}
