//! Finds the element of a page that is most like an element of an earlier version of the page.

use opilio_extract::{Document, Element};

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
    pub(super) fn first(page: &Document, css: &str) -> Option<Self> {
        page.css(css).ok()?.first().map(|element| Self::of(&element))
    }

    fn of(element: &Element<'_>) -> Self {
        Self {
            tag: element.name().to_owned(),
            class: attr(element, "class").to_owned(),
            id: attr(element, "id").to_owned(),
            text: short_text(element).unwrap_or_default(),
            shown: shown(&element.html()),
        }
    }

    /// Returns the element of the page that is most like this one, shortened to one line; `None` if none is like it.
    pub(super) fn nearest(&self, page: &Document) -> Option<String> {
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
        let (class, id) = (attr(element, "class"), attr(element, "id"));
        let mut likeness = 0.0;
        if element.name() == self.tag {
            likeness += 2.0;
        }
        if !self.id.is_empty() && id == self.id {
            likeness += 2.0;
        }
        if !self.class.is_empty() && !class.is_empty() {
            likeness += 2.0 * strsim::jaro_winkler(&self.class, class);
        } else if self.class.is_empty() && class.is_empty() {
            likeness += 0.5;
        }
        // The text is compared last, since it costs most.
        if likeness >= 1.0 && !self.text.is_empty() {
            let text = short_text(element).unwrap_or_default();
            if text == self.text {
                likeness += 4.0;
            } else if !text.is_empty() && form(&text) == form(&self.text) {
                likeness += 2.0;
            }
        }
        likeness
    }
}

/// Returns the value of an attribute, or its beginning if it is long.
fn attr<'p>(element: &Element<'p>, name: &str) -> &'p str {
    let value = element.attr(name).unwrap_or_default().trim();
    &value[..value.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// Returns the text of an element; `None` if it is long. Elements nest, so only a part of a long text is read.
fn short_text(element: &Element<'_>) -> Option<String> {
    Some(element.text_of(READ_BYTES_MAX, READ_NODES_MAX)).filter(|text| text.len() <= TEXT_BYTES_MAX)
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
/// The most bytes of text that are read of one element. They may be white space, which the text does not have.
const READ_BYTES_MAX: usize = 20 * TEXT_BYTES_MAX;
const READ_NODES_MAX: usize = 500;
/// The most elements of a page that are looked at.
const ELEMENTS_MAX: usize = 5_000;
const SHOWN_CHARS: usize = 120;
/// An element of the same name whose class is half alike has at least this.
const LIKENESS_MIN: f64 = 3.0;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use opilio_engine::Page;

    use super::*;

    fn page(html: &str) -> Page<()> {
        Page::from_html("http://shop.example/".parse().unwrap(), (), html.to_owned())
    }

    fn nearest(was: &str, css: &str, now: &str) -> Option<String> {
        ElementSketch::first(page(was).document(), css).unwrap().nearest(page(now).document())
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

    #[test]
    fn of_nested_elements_around_a_long_text_each_reads_only_a_part_of_it() {
        let deep = |class: &str| {
            let (open, text) = (format!("<div class={class}>").repeat(400), "word ".repeat(1_000_000));
            page(&format!("{open}<b>{text}</b>{}", "</div>".repeat(400)))
        };
        let was = ElementSketch::first(deep("a").document(), "div").unwrap();
        assert_eq!(was.text, "", "a long text says little");
        let now = deep("ab");
        let all = now.document().css("div, b").unwrap();
        let read = |element: &Element<'_>| element.text_of(READ_BYTES_MAX, READ_NODES_MAX).len();
        let most = all.iter().map(|element| read(&element)).max();
        assert!(most.is_some_and(|most| most > TEXT_BYTES_MAX && most <= READ_BYTES_MAX), "{most:?}");
        let was = ElementSketch { text: "a word".to_owned(), ..was };
        assert!(was.nearest(now.document()).is_some_and(|nearest| nearest.starts_with("<div class=\"ab\">")));
    }
}
