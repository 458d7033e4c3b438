//! Compares pages of the site with the same pages of the cassette, field by field.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use opilio_extract::typed::{ExtractPlan, FieldPlan, ValueKind};
use opilio_extract::{Document, FieldCounts};

use super::pages::{CheckedPage, FieldName, PageField};
use crate::command::schema;

/// The chosen pages of the cassette, and what the site has for them now.
pub(super) struct Comparison {
    recorded: Vec<CheckedPage>,
    /// For each recorded page, the page as it is now; `None` if it was not fetched.
    now: Vec<Option<PageNow>>,
}

/// A page as it is now.
struct PageNow {
    fields: BTreeMap<FieldName, FieldNow>,
    requests: Option<usize>,
}

/// The state of a field on a page that was fetched now.
struct FieldNow {
    filled: bool,
    unreadable: bool,
    /// How often the field was looked for.
    total: u64,
    /// The element that is most like the recorded one, if the field is not filled.
    nearest: Option<String>,
}

/// Returns whether another field is named in place of this one. If the page has lost a field whose values are structs,
/// that field is named and not those of the structs. If a field of the struct cannot be read, that one is named.
fn is_named_elsewhere(recorded: &CheckedPage, now: &PageNow, field: &PageField) -> bool {
    let inner_of = |field: &PageField| match field.plan.kind {
        ValueKind::Struct(inner) => Some(inner().name),
        _ => None,
    };
    let now_of = |name: &FieldName| now.fields.get(name);
    recorded.fields.iter().any(|(name, other)| {
        let is_unreadable = now_of(name).is_some_and(|other| other.unreadable);
        let is_outer = inner_of(other) == Some(field.of.name) && other.of.name != field.of.name;
        let is_inner = inner_of(field) == Some(other.of.name) && other.of.name != field.of.name;
        let is_lost = now_of(name).is_some_and(|other| !other.filled);
        (is_outer && is_lost && !is_unreadable) || (is_inner && is_unreadable)
    })
}

/// A field that the recorded pages have and today's pages do not have.
struct Loss<'c> {
    name: &'c str,
    of: &'static ExtractPlan,
    plan: &'static FieldPlan,
    /// The number of compared pages on which the recording has the field.
    had: usize,
    /// The numbers of the pages that have lost the field.
    lost: Vec<usize>,
}

impl Comparison {
    /// Begins a comparison with these pages of the cassette.
    pub(super) fn of(recorded: Vec<CheckedPage>) -> Self {
        let now = recorded.iter().map(|_| None).collect();
        Self { recorded, now }
    }

    /// Adds a page of the site.
    pub(super) fn add(&mut self, checked: &CheckedPage, document: &Document) {
        let Some(nth) = self.recorded.iter().position(|recorded| recorded.is_same(checked)) else { return };
        let recorded = &self.recorded[nth];
        let mut fields = BTreeMap::new();
        for (name, was) in &recorded.fields {
            let counts = match checked.fields.get(name) {
                Some(field) => field.counts,
                // `parse` has failed before it looked for this struct, so nothing is known about it.
                None if checked.requests.is_none() => continue,
                None => FieldCounts::default(),
            };
            let filled = counts.filled > 0;
            let nearest = was.element.as_ref().filter(|_| !filled).and_then(|was| was.nearest(document));
            let (unreadable, total) = (counts.unreadable > 0, counts.total());
            fields.insert(name.clone(), FieldNow { filled, unreadable, total, nearest });
        }
        self.now[nth] = Some(PageNow { fields, requests: checked.requests });
    }

    /// Returns the pages that were fetched, each as recorded and as it is now.
    fn pairs(&self) -> impl Iterator<Item = (usize, &CheckedPage, &PageNow)> {
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
                    of: field.of,
                    plan: field.plan,
                    had: 0,
                    lost: Vec::new(),
                });
                match now.fields.get(name) {
                    None => {}
                    Some(now) if now.filled => loss.had += 1,
                    Some(_) if is_named_elsewhere(recorded, now, field) => {}
                    Some(_) => {
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
    fn without_requests(&self) -> Vec<(&str, &CheckedPage)> {
        let mut steps: BTreeMap<&str, (bool, &CheckedPage)> = BTreeMap::new();
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
                opilio_cassette::without_secrets(&page.url),
                page.requests.unwrap_or_default()
            );
        }
        text
    }

    fn write(&self, text: &mut String, loss: &Loss<'_>) {
        let Some(first) = loss.lost.first() else { return };
        let recorded = &self.recorded[*first];
        let now = self.now[*first].as_ref().and_then(|now| now.fields.get(loss.name));
        let how = match now {
            Some(now) if now.unreadable => "cannot be read",
            Some(now) if now.total == 0 => "was not found",
            Some(_) | None => "is empty",
        };
        let each = loss.of.each.filter(|_| now.is_some_and(|now| now.total == 0));
        let (lost, had) = (loss.lost.len(), loss.had);
        let sources: Vec<String> = loss.plan.sources.iter().map(schema::source).collect();
        let was = recorded.fields.get(loss.name).and_then(|field| field.element.as_ref());
        let mut lines = vec![
            format!("{} {how} now, on {lost} of {had} pages that have it in the cassette", loss.name),
            format!("  asked:    {}", sources.join(", or ")),
            format!("  page:     {}", opilio_cassette::without_secrets(&recorded.url)),
        ];
        lines.extend(each.map(|css| format!("  each:     {css:?} matches nothing")));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use opilio_engine::{Found, Page, ParseError, Request, Spider, parse_page};
    use opilio_extract::Extract;
    use opilio_extract::typed::coverage;

    use super::*;

    #[derive(Extract)]
    struct Head {
        #[css("h1")]
        title: String,
        #[css(".offer")]
        offers: Vec<Offer>,
    }

    #[derive(Extract)]
    struct Offer {
        #[css("b", number = "1.234,5")]
        price: Option<f64>,
    }

    #[derive(Extract)]
    #[extract(each = ".card")]
    struct Card {
        #[css("a")]
        name: String,
    }

    struct Lamps;

    impl Spider for Lamps {
        type Item = ();
        type Step = ();

        fn seeds(&self) -> Vec<Request<()>> {
            Vec::new()
        }

        fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
            let head: Head = page.extract()?;
            let prices = head.offers.iter().filter_map(|offer| offer.price).count();
            let names = page.extract_all::<Card>()?.into_iter().map(|card| card.name);
            names.for_each(|name| found.link(page, format!("/{name}{}{prices}", head.title), ()));
            Ok(())
        }
    }

    /// Compares a page as it was with the page as it is.
    fn compared(was: &str, is: &str) -> Comparison {
        let page = |html: &str| Page::from_html("http://a.example/".parse().unwrap(), (), html.to_owned());
        let (was, is) = (page(was), page(is));
        let (read, covered) = coverage::during(|| parse_page(&Lamps, &was));
        let mut comparison = Comparison::of(vec![CheckedPage::of::<Lamps>(&was, read.as_ref(), &covered)]);
        let (read, covered) = coverage::during(|| parse_page(&Lamps, &is));
        comparison.add(&CheckedPage::of::<Lamps>(&is, read.as_ref(), &covered), is.document());
        comparison
    }

    const WAS: &str = "<h1>Lamps</h1><p class=offer><b>7,5</b></p><div class=card><a>Ada</a></div><div class=card><a>Bo</a></div>";

    #[test]
    fn an_unchanged_page_has_lost_nothing() {
        let same = compared(WAS, WAS);
        assert_eq!((same.text().as_str(), same.error()), ("", None));
    }

    #[test]
    fn fields_of_a_struct_that_is_lost_are_named_by_the_field_that_holds_it() {
        let now = compared(WAS, &WAS.replace("offer", "deal"));
        assert_eq!(now.error().unwrap(), "error: 1 field fell silent: Head.offers");
        assert!(now.text().contains("  nearest:  <p class=\"deal\"><b>7,5</b></p>"), "{}", now.text());
    }

    #[test]
    fn cards_that_are_not_found_and_numbers_that_cannot_be_read_are_told_apart() {
        let now = compared(WAS, &WAS.replace("class=card", "class=tile"));
        let error = "error: 1 field fell silent: Card.name; no requests are found at: null";
        assert_eq!(now.error().unwrap(), error);
        for words in ["Card.name was not found now", "  each:     \".card\" matches nothing"] {
            assert!(now.text().contains(words), "{words}: {}", now.text());
        }
        let now = compared(WAS, &WAS.replace("7,5", "soon"));
        assert!(now.text().starts_with("Offer.price cannot be read now, on 1 of 1 pages"), "{}", now.text());
    }

    #[test]
    fn a_page_that_was_not_fetched_is_named_by_its_step() {
        let mut now = compared(WAS, WAS);
        now.now[0] = None;
        assert_eq!(now.error().unwrap(), "error: no page could be compared of: null");
    }
}
