//! Reads the JSON-LD blocks of a page, and finds the objects of a type in them.
//!
//! JSON-LD 1.1 processing is left out: contexts are not expanded, since practically all pages use the context
//! of schema.org.

use std::cell::Cell;

use opilio_extract_grammar::Segment;
use serde_json::Value;

use super::follow;
use crate::document::Document;

/// The most JSON values that are read from one block (some blocks contain several, one after the other), and the
/// most objects of one type that are used.
const VALUES_PER_BLOCK_MAX: usize = 64;
const NODES_MAX: usize = 10_000;

/// The most references that are followed for one field, since each reference costs a search through all blocks.
const REFERENCES_MAX: usize = 100;

/// The JSON-LD blocks of a page that could be read, and the number of the blocks that could not.
#[derive(Debug, Default)]
pub(super) struct LinkedData {
    values: Vec<Value>,
    broken: usize,
}

impl LinkedData {
    /// Reads the blocks. A broken block is counted, and the other blocks are still read.
    pub(super) fn read<'t>(blocks: impl Iterator<Item = &'t str>) -> Self {
        let mut read = Self::default();
        for block in blocks {
            match values(block) {
                Ok(values) => read.values.extend(values),
                Err(_) => read.broken += 1,
            }
        }
        read
    }
}

/// Returns the JSON values of all blocks of a page that can be read.
pub(super) fn blocks(document: &Document) -> &[Value] {
    &document.typed().linked_data(document).values
}

/// Returns the number of blocks of a page that cannot be read.
pub(super) fn broken(document: &Document) -> usize {
    document.typed().linked_data(document).broken
}

/// Returns the first JSON value in the text of a script.
pub(super) fn first_value(text: &str) -> Result<Value, String> {
    values(text).and_then(|values| values.into_iter().next().ok_or_else(|| "it has no JSON".to_owned()))
}

/// Reads the JSON values of one block. Text that is not JSON is repaired if its meaning is clear: comments around
/// the JSON, CDATA, control characters in strings, commas before a closing bracket, entities.
fn values(block: &str) -> Result<Vec<Value>, String> {
    let block = unwrapped(block);
    let error = match parse(block) {
        Ok(values) => return Ok(values),
        Err(error) => error,
    };
    if let Ok(values) = parse(&mended(block)) {
        return Ok(values);
    }
    if !block.contains('"') && block.contains("&quot;") {
        let decoded = crate::entities::decoded_text(block);
        return parse(&mended(&decoded)).map_err(|_| error);
    }
    Err(error)
}

fn parse(text: &str) -> Result<Vec<Value>, String> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let values: Result<Vec<Value>, _> = values.take(VALUES_PER_BLOCK_MAX).collect();
    values.map_err(|error| error.to_string())
}

/// Returns the text of a block without comments and CDATA around the JSON.
fn unwrapped(block: &str) -> &str {
    let mut text = block;
    loop {
        let before = text;
        text = text.trim().trim_start_matches('\u{feff}');
        for start in
            ["<!--", "//<![CDATA[", "/*<![CDATA[*/", "<![CDATA[", "// <![CDATA[", "/* <![CDATA[ */", "//<!--"]
        {
            text = text.strip_prefix(start).unwrap_or(text);
        }
        for end in ["-->", "//]]>", "/*]]>*/", "]]>", "// ]]>", "/* ]]> */", "//-->", ";"] {
            text = text.strip_suffix(end).unwrap_or(text);
        }
        if text.len() == before.len() {
            return text;
        }
    }
}

/// Returns the text in a repaired form: control characters in strings are escaped, and comments and commas before a
/// closing bracket are removed.
fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices().peekable();
    let (mut in_string, mut comma_at) = (false, None);
    while let Some((at, c)) = chars.next() {
        if in_string {
            match c {
                '\\' => {
                    out.push(c);
                    match chars.next() {
                        // A backslash at the end of a line means that the string continues in the next line.
                        Some((_, '\n')) => {
                            out.pop();
                        }
                        // JavaScript has the escape `\'`, but JSON does not.
                        Some((_, '\'')) => {
                            out.pop();
                            out.push('\'');
                        }
                        Some((_, next)) => out.push(next),
                        None => {}
                    }
                }
                '"' => {
                    out.push(c);
                    in_string = false;
                }
                c if c.is_control() && c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => out.push(c),
            }
            continue;
        }
        match c {
            '/' if text[at..].starts_with("/*") => {
                let end = text[at + 2..].find("*/").map_or(text.len(), |end| at + 2 + end + 2);
                while chars.next_if(|(next, _)| *next < end).is_some() {}
            }
            '/' if text[at..].starts_with("//") => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '}' | ']' => {
                if let Some(comma_at) = comma_at.take() {
                    out.truncate(comma_at);
                }
                out.push(c);
            }
            c if c.is_whitespace() || c < ' ' => out.push(' '),
            c => {
                comma_at = (c == ',').then_some(out.len());
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

/// Passes the values at the end of a path, starting from the objects of a type, to `take`, until `take` returns that
/// it has enough.
///
/// With a path, only the first object is used, together with all other objects of the same `@id`; without a path,
/// every object is used. Objects at the top level (of blocks, lists and `@graph`) come before objects inside of
/// other objects, which often describe related products. A reference (`{"@id": …}`) stands for the object with this
/// `@id`.
pub(super) fn each<'v>(
    roots: &'v [Value],
    kind: &str,
    path: &[Segment<'_>],
    take: &mut dyn FnMut(&'v Value) -> bool,
) {
    let nodes = nodes(roots, kind);
    if path.is_empty() {
        let _ = nodes.into_iter().any(take);
        return;
    }
    let Some(first) = nodes.first() else { return };
    let named = id(first);
    let same = nodes.iter().skip(1).filter(|node| named.is_some() && id(node) == named);
    let left = Cell::new(REFERENCES_MAX);
    let resolve = |value: &'v Value| if is_reference(value) { resolved(roots, value, &left) } else { value };
    for node in std::iter::once(first).chain(same) {
        let mut found = false;
        follow::each_by(node, path, &resolve, &mut |value| {
            let value = value.get("@value").unwrap_or(value);
            found = found || !value.is_null();
            !value.is_null() && take(value)
        });
        if found {
            return;
        }
    }
}

/// Returns the objects of a type: the objects at the top level or, if there are none, those inside of other objects.
fn nodes<'v>(roots: &'v [Value], kind: &str) -> Vec<&'v Value> {
    let mut nodes = Vec::new();
    for root in roots {
        at_top(root, kind, &mut nodes);
    }
    if nodes.is_empty() {
        for root in roots {
            inside(root, kind, &mut nodes);
        }
    }
    nodes
}

fn at_top<'v>(value: &'v Value, kind: &str, nodes: &mut Vec<&'v Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| at_top(value, kind, nodes)),
        Value::Object(fields) => {
            if is_of(value, kind) && nodes.len() < NODES_MAX {
                nodes.push(value);
            }
            if let Some(graph) = fields.get("@graph") {
                at_top(graph, kind, nodes);
            }
        }
        _ => {}
    }
}

fn inside<'v>(value: &'v Value, kind: &str, nodes: &mut Vec<&'v Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| inside(value, kind, nodes)),
        Value::Object(fields) => {
            if is_of(value, kind) && nodes.len() < NODES_MAX {
                nodes.push(value);
                return;
            }
            fields.values().for_each(|value| inside(value, kind, nodes));
        }
        _ => {}
    }
}

/// Returns whether an object has the type `kind`. In the object, the type may be a URL (`http://schema.org/Product`)
/// or have a prefix.
fn is_of(value: &Value, kind: &str) -> bool {
    let is = |name: &Value| {
        let name = name.as_str().unwrap_or_default().trim().trim_end_matches('/');
        name == kind || name.rsplit(['/', '#', ':']).next() == Some(kind)
    };
    match value.get("@type") {
        Some(Value::Array(names)) => names.iter().any(is),
        Some(name) => is(name),
        None => false,
    }
}

/// Returns whether an object has only an `@id`, and perhaps a type.
fn is_reference(value: &Value) -> bool {
    let Value::Object(fields) = value else { return false };
    fields.contains_key("@id") && (fields.len() == 1 || (fields.len() == 2 && fields.contains_key("@type")))
}

/// Returns the object to which a reference leads, or the reference itself if there is no such object. `left` is the
/// number of references that may still be followed.
fn resolved<'v>(roots: &'v [Value], reference: &'v Value, left: &Cell<usize>) -> &'v Value {
    let Some(name) = id(reference).filter(|_| left.get() > 0) else { return reference };
    left.set(left.get() - 1);
    roots.iter().find_map(|root| named(root, name)).unwrap_or(reference)
}

/// Returns the object with this `@id` that has more fields than the `@id` and the type.
fn named<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Array(values) => values.iter().find_map(|value| named(value, name)),
        Value::Object(fields) => {
            let says_more = fields.keys().any(|key| key != "@id" && key != "@type");
            if says_more && id(value) == Some(name) {
                return Some(value);
            }
            fields.values().find_map(|value| named(value, name))
        }
        _ => None,
    }
}

fn id(node: &Value) -> Option<&str> {
    node.get("@id").and_then(Value::as_str)
}
