//! Converts microdata to JSON. Items get `@type` and `@id` as in JSON-LD, so the same paths work for both.
//!
//! The rules are those of the HTML standard, chapter "Microdata", sections "Values" and "JSON".

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::document::Document;
use crate::select::Element;
use crate::text::bounded;

/// The most elements that are visited to read the items of a page. The number is limited because items may nest, so
/// that elements are visited more than once.
const ELEMENTS_MAX: usize = 1_000_000;

/// The most bytes of one value. The limit for all values of a page together is in the constant below; it is needed
/// because items may nest, so that the same text occurs in several values.
const VALUE_BYTES_MAX: usize = 64 * 1024;
const VALUES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most elements that are looked up by their ids, since each look-up costs a search through the page.
const REFERENCES_MAX: usize = 100;

/// The most levels to which items may nest. Deeper items are left out.
const DEPTH_MAX: usize = 32;

/// Returns the items of a page. They are read at the first call and then kept.
pub(super) fn items(document: &Document) -> &[Value] {
    document.typed().microdata(document)
}

/// Reads the items that are not properties of other items.
pub(super) fn read(document: &Document) -> Vec<Value> {
    // Most pages have no microdata. For these pages, no DOM is built.
    if !document.is_markup() || !document.text().contains("itemscope") {
        return Vec::new();
    }
    let Ok(items) = document.css("[itemscope]:not([itemprop])") else { return Vec::new() };
    let mut reading = Reading {
        document,
        elements_left: ELEMENTS_MAX,
        bytes_left: VALUES_BYTES_MAX,
        references_left: REFERENCES_MAX,
    };
    items.iter().map(|item| reading.item(item, 0)).collect()
}

struct Reading<'d> {
    document: &'d Document,
    elements_left: usize,
    bytes_left: usize,
    references_left: usize,
}

impl<'d> Reading<'d> {
    fn item(&mut self, item: Element<'d>, depth: usize) -> Value {
        let mut fields = Map::new();
        let kinds: Vec<Value> = words(&item, "itemtype").map(Value::from).collect();
        if !kinds.is_empty() {
            fields.insert("@type".to_owned(), Value::Array(kinds));
        }
        if let Some(id) = item.attr("itemid") {
            fields.insert("@id".to_owned(), id.trim().into());
        }
        let mut roots = vec![item];
        for id in words(&item, "itemref") {
            if self.references_left == 0 {
                break;
            }
            self.references_left -= 1;
            let css = format!("[id=\"{}\"]", id.replace('\\', "\\\\").replace('"', "\\\""));
            roots.extend(self.document.css(&css).ok().and_then(|matches| matches.first()));
        }
        let mut seen = HashSet::new();
        for root in roots {
            if root != item && seen.insert(root.place()) {
                self.property(root, &mut fields, depth);
            }
            if root == item || root.attr("itemscope").is_none() {
                self.properties_below(root, &mut fields, depth);
            }
        }
        Value::Object(fields)
    }

    /// Reads the properties below an element. Properties of items below the element belong to these items and are
    /// left out.
    fn properties_below(&mut self, root: Element<'d>, fields: &mut Map<String, Value>, depth: usize) {
        let mut skip_below: Option<usize> = None;
        for (level, element) in root.below() {
            if self.elements_left == 0 {
                return;
            }
            self.elements_left -= 1;
            if skip_below.is_some_and(|at| level > at) {
                continue;
            }
            skip_below = element.attr("itemscope").map(|_| level);
            self.property(element, fields, depth);
        }
    }

    fn property(&mut self, element: Element<'d>, fields: &mut Map<String, Value>, depth: usize) {
        if element.attr("itemprop").is_none() || self.bytes_left == 0 {
            return;
        }
        let is_item = element.attr("itemscope").is_some();
        if is_item && depth >= DEPTH_MAX {
            return;
        }
        let value = if is_item { self.item(element, depth + 1) } else { self.value(element).into() };
        for name in words(&element, "itemprop") {
            let name = name.rsplit(['/', '#']).next().unwrap_or(name);
            match fields.get_mut(name) {
                Some(Value::Array(values)) => values.push(value.clone()),
                Some(one) => *one = Value::Array(vec![one.take(), value.clone()]),
                None => {
                    fields.insert(name.to_owned(), value.clone());
                }
            }
        }
    }

    fn value(&mut self, element: Element<'d>) -> String {
        let attribute = match element.name() {
            "meta" => Some("content"),
            "audio" | "embed" | "iframe" | "img" | "source" | "track" | "video" => Some("src"),
            "a" | "area" | "link" => Some("href"),
            "object" => Some("data"),
            "data" | "meter" => Some("value"),
            "time" => Some("datetime").filter(|name| element.attr(name).is_some()),
            // The standard does not allow the attribute `content` on this element, but many pages use it.
            _ => Some("content").filter(|name| element.attr(name).is_some()),
        };
        let bytes_max = self.bytes_left.min(VALUE_BYTES_MAX);
        let value = match attribute {
            None => element.text_of(bytes_max, ELEMENTS_MAX),
            Some(name) => {
                let value = bounded(element.attr(name).unwrap_or_default().trim(), bytes_max);
                let is_link = matches!(name, "src" | "href" | "data") && !value.is_empty();
                let url = is_link.then(|| self.document.url().join(value).ok()).flatten();
                url.map_or_else(|| value.to_owned(), String::from)
            }
        };
        self.bytes_left = self.bytes_left.saturating_sub(value.len());
        value
    }
}

fn words<'e>(element: &Element<'e>, attribute: &str) -> impl Iterator<Item = &'e str> {
    element.attr(attribute).unwrap_or_default().split_ascii_whitespace()
}
