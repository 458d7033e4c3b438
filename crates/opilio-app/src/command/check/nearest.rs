//! Finds the element of a page that is most like an element of an earlier version of the page.

use opilio_engine::Page;
use opilio_extract::Element;

/// An element as it was.
#[derive(Clone, Debug)]
pub(super) struct ElementSketch {
    tag: String,
    class: String,
    id: String,
    /// The text of the element, if it is short.
    text: String,
    /// The markup, shortened to one line.
    pub(super) shown: String,
}

impl ElementSketch {
    /// Returns the first element that matches.
    pub(super) fn first<Step>(page: &Page<Step>, css: &str) -> Option<Self> {
        page.css(css).ok()?.first().map(|element| Self::of(&element))
    }

    fn of(element: &Element<'_>) -> Self {
        let attr = |name: &str| element.attr(name).unwrap_or_default().trim().to_owned();
        let text = element.text();
        Self {
            tag: element.name().to_owned(),
            class: attr("class"),
            id: attr("id"),
            text: if text.len() <= TEXT_BYTES_MAX { text } else { String::new() },
            shown: shown(&element.html()),
        }
    }

    /// Returns the element of the page that is most like this one, shortened to one line; `None` if none is like it.
    pub(super) fn nearest<Step>(&self, page: &Page<Step>) -> Option<String> {
        let all = page.css("*").ok()?;
        let mut best: Option<(f64, Element<'_>)> = None;
        for element in all.iter().take(ELEMENTS_MAX).filter(|element| !is_frame(element.name())) {
            let likeness = self.likeness(&element);
            // If several elements are equally similar, the first is used.
            if best.as_ref().is_none_or(|(most, _)| likeness > *most) {
                best = Some((likeness, element));
            }
        }
        let (_, element) = best.filter(|(likeness, _)| *likeness >= LIKENESS_MIN)?;
        Some(shown(&element.html()))
    }

    /// Returns how much an element is like this one: by its name, class and id, and by its text.
    fn likeness(&self, element: &Element<'_>) -> f64 {
        let attr = |name: &str| element.attr(name).unwrap_or_default().trim();
        let mut likeness = 0.0;
        if element.name() == self.tag {
            likeness += 2.0;
        }
        if !self.id.is_empty() && attr("id") == self.id {
            likeness += 2.0;
        }
        if !self.class.is_empty() && !attr("class").is_empty() {
            likeness += 2.0 * strsim::jaro_winkler(&self.class, attr("class"));
        } else if self.class.is_empty() && attr("class").is_empty() {
            likeness += 0.5;
        }
        // The text is compared last, since it costs most.
        if likeness >= 1.0 && !self.text.is_empty() {
            let text = element.text();
            if text == self.text {
                likeness += 4.0;
            } else if !text.is_empty() && text.len() <= TEXT_BYTES_MAX && form(&text) == form(&self.text) {
                likeness += 2.0;
            }
        }
        likeness
    }
}

/// Returns the form of a text: `a` for each run of letters, `0` for each run of digits, other characters as they are.
fn form(text: &str) -> String {
    let mut form = String::new();
    for c in text.chars() {
        let c = match c {
            c if c.is_alphabetic() => 'a',
            c if c.is_numeric() => '0',
            c => c,
        };
        if !matches!(c, 'a' | '0') || !form.ends_with(c) {
            form.push(c);
        }
    }
    form
}

fn is_frame(name: &str) -> bool {
    matches!(name, "html" | "head" | "body" | "script" | "style" | "template" | "noscript")
}

/// Returns markup in one line, shortened, with control characters escaped.
fn shown(html: &str) -> String {
    let words: Vec<&str> = html.split_whitespace().take(SHOWN_CHARS).collect();
    let line = words.join(" ");
    let mut shown = String::new();
    for c in line.chars().take(SHOWN_CHARS) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if line.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// A longer text says less about its element.
const TEXT_BYTES_MAX: usize = 200;
/// The most elements of a page that are looked at.
const ELEMENTS_MAX: usize = 5_000;
const SHOWN_CHARS: usize = 120;
/// An element of the same name whose class is half alike has at least this.
const LIKENESS_MIN: f64 = 3.0;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn page(html: &str) -> Page<()> {
        Page::from_html("http://shop.example/".parse().unwrap(), (), html.to_owned())
    }

    fn nearest(was: &str, css: &str, now: &str) -> Option<String> {
        ElementSketch::first(&page(was), css).unwrap().nearest(&page(now))
    }

    #[test]
    fn an_element_is_found_by_its_text_by_the_form_of_its_text_or_by_its_class() {
        let was = "<div><h1 class=name>Lamp</h1><p class=price>$12.50</p><p class=note>new</p></div>";
        let now = "<div><h1 class=title>Lamp</h1><p class=note>new</p><p class=amount>$12.50</p></div>";
        assert_eq!(nearest(was, ".name", now).unwrap(), "<h1 class=\"title\">Lamp</h1>");
        assert_eq!(nearest(was, ".price", now).unwrap(), "<p class=\"amount\">$12.50</p>");
        let dearer = "<p>A lamp.</p><p class=amount>$1,299.00</p><p class=cost>$13.00</p>";
        assert_eq!(nearest(was, ".price", dearer).unwrap(), "<p class=\"cost\">$13.00</p>");
        let other = "<p class=footer>a, b</p><b class=price-now>soon</b><p class=price-now>ask us</p>";
        assert_eq!(nearest(was, ".price", other).unwrap(), "<p class=\"price-now\">ask us</p>");
        assert_eq!(nearest(was, ".price", "<ul><li>nothing</li></ul>"), None);
    }

    #[test]
    fn markup_is_shown_in_one_short_line() {
        assert_eq!(shown("<p>\n a\u{1b}[2J  b</p>"), "<p> a\\u{1b}[2J b</p>");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), SHOWN_CHARS + 1);
    }
}
