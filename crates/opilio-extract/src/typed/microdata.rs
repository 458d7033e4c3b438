//! Microdata as JSON: items have `@type` and `@id` as in JSON-LD, so that both are read by one kind of path.
//!
//! HTML standard, "Microdata", §"Values" and §"JSON".

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::document::Document;
use crate::select::Element;

/// How many properties a page may have.
const PROPERTIES_MAX: usize = 20_000;

/// How deep items may nest.
const DEPTH_MAX: usize = 32;

/// The items of a page, read once.
pub(super) fn items(document: &Document) -> &[Value] {
    document.typed().microdata(document)
}

/// Reads the items that are no properties of others.
pub(super) fn read(document: &Document) -> Vec<Value> {
    // Most pages have none, and need no DOM for it.
    if !document.is_markup() || !document.text().contains("itemscope") {
        return Vec::new();
    }
    let Ok(items) = document.css("[itemscope]:not([itemprop])") else { return Vec::new() };
    let mut reading = Reading { document, left: PROPERTIES_MAX };
    items.iter().map(|item| reading.item(item, 0)).collect()
}

struct Reading<'d> {
    document: &'d Document,
    left: usize,
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

    /// The properties below an element, but not those of items below it.
    fn properties_below(&mut self, root: Element<'d>, fields: &mut Map<String, Value>, depth: usize) {
        let mut skip_below: Option<usize> = None;
        for (level, element) in root.below() {
            if skip_below.is_some_and(|at| level > at) {
                continue;
            }
            skip_below = element.attr("itemscope").map(|_| level);
            self.property(element, fields, depth);
        }
    }

    fn property(&mut self, element: Element<'d>, fields: &mut Map<String, Value>, depth: usize) {
        if element.attr("itemprop").is_none() || self.left == 0 {
            return;
        }
        self.left -= 1;
        let is_item = element.attr("itemscope").is_some();
        if is_item && depth >= DEPTH_MAX {
            return;
        }
        let value = if is_item { self.item(element, depth + 1) } else { self.value(element) };
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

    fn value(&self, element: Element<'d>) -> Value {
        let attribute = match element.name() {
            "meta" => Some("content"),
            "audio" | "embed" | "iframe" | "img" | "source" | "track" | "video" => Some("src"),
            "a" | "area" | "link" => Some("href"),
            "object" => Some("data"),
            "data" | "meter" => Some("value"),
            "time" => Some("datetime").filter(|name| element.attr(name).is_some()),
            // Not of the standard, but of many pages.
            _ => Some("content").filter(|name| element.attr(name).is_some()),
        };
        let Some(attribute) = attribute else { return element.text().into() };
        let value = element.attr(attribute).unwrap_or_default().trim();
        let is_link = matches!(attribute, "src" | "href" | "data") && !value.is_empty();
        match is_link.then(|| self.document.url().join(value).ok()).flatten() {
            Some(url) => String::from(url).into(),
            None => value.into(),
        }
    }
}

fn words<'e>(element: &Element<'e>, attribute: &str) -> impl Iterator<Item = &'e str> {
    element.attr(attribute).unwrap_or_default().split_ascii_whitespace()
}
