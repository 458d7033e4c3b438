//! The parts of a document that typed fields (fields of structs that derive `Extract`) have read. Each part is read
//! once and then kept.

use std::cell::OnceCell;

use serde_json::Value;

use super::fault::FoundThere;
use super::islands::Islands;
use super::linked_data::LinkedData;
use super::microdata;
use crate::document::Document;
use crate::media::Kind;
use crate::select::Element;

/// The parts of a document that typed fields read, besides its text and its DOM.
#[derive(Debug, Default)]
pub(crate) struct TypedParts {
    islands: OnceCell<Islands>,
    linked_data: OnceCell<LinkedData>,
    microdata: OnceCell<Vec<Value>>,
    body: OnceCell<Result<Value, String>>,
    parsed: OnceCell<Box<ParsedElement>>,
}

/// The parsed JSON of one element, as an entry of a linked list. Entries are never moved or removed, since callers
/// hold references to their values.
#[derive(Debug)]
struct ParsedElement {
    /// The index of the element in the tree, and the regular expression that took the JSON out of the element's
    /// text.
    key: (usize, Option<&'static str>),
    value: Option<Result<Value, String>>,
    next: OnceCell<Box<ParsedElement>>,
}

impl TypedParts {
    pub(super) fn islands(&self, document: &Document) -> &Islands {
        self.islands.get_or_init(|| match document.kind() {
            Kind::Html | Kind::Xml => Islands::read(document.text()),
            Kind::Text | Kind::Data => Islands::default(),
        })
    }

    pub(super) fn linked_data(&self, document: &Document) -> &LinkedData {
        self.linked_data.get_or_init(|| {
            let text = document.text();
            LinkedData::read(self.islands(document).blocks.iter().map(|block| &text[block.clone()]))
        })
    }

    pub(super) fn microdata(&self, document: &Document) -> &[Value] {
        self.microdata.get_or_init(|| microdata::read(document))
    }

    /// Returns the body, parsed as JSON.
    pub(super) fn body(&self, document: &Document) -> Result<&Value, FoundThere> {
        let body = self.body.get_or_init(|| document.json::<Value>().map_err(|error| why(&error)));
        body.as_ref().map_err(|error| FoundThere::unreadable(error))
    }

    /// Returns the JSON in an element; `None` if the element contains no JSON.
    pub(super) fn parsed(
        &self,
        element: Element<'_>,
        re: Option<&'static str>,
        parse: impl FnOnce() -> Option<Result<Value, String>>,
    ) -> Option<Result<&Value, &str>> {
        let key = (element.place(), re);
        let mut cell = &self.parsed;
        while let Some(known) = cell.get() {
            if known.key == key {
                return known.lend();
            }
            cell = &known.next;
        }
        let new = || Box::new(ParsedElement { key, value: parse(), next: OnceCell::new() });
        cell.get_or_init(new).lend()
    }
}

impl ParsedElement {
    fn lend(&self) -> Option<Result<&Value, &str>> {
        self.value.as_ref().map(|value| value.as_ref().map_err(String::as_str))
    }
}

/// Returns the text of the cause of an error. The text of the error itself is left out: it names the URL, which the
/// faults name already.
fn why(error: &crate::ExtractError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    format!("the body is no JSON: {}", source.unwrap_or_default())
}
