//! `xml:base`: an attribute that sets the base of relative links in an element (XML Base; RFC 4287 §2).

use crate::dom::NodeId;
use crate::link::{LINK_BYTES_MAX, is_web, parse};
use crate::xml::BASE;
use encoding_rs::UTF_8;
use scraper::ElementRef;
use std::collections::HashMap;
use std::sync::Arc;
use url::Url;

/// The most bytes that all bases of a document may have together (8 MiB), since each base may be as long as a link.
const BASES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The bases that `xml:base` attributes of a document set. Each base is computed when it is first needed.
#[derive(Debug)]
pub(crate) struct Bases {
    /// Whether the document has an `xml:base` at all. If not, nothing needs to be computed.
    any: bool,
    /// The base of each element for which the base was computed; `None` for the document's own base.
    known: HashMap<NodeId, Option<Arc<Url>>>,
    bytes: usize,
}

/// The error for bases that would take too much memory.
pub(crate) struct TooMuch;

impl Bases {
    pub(crate) fn new(any: bool) -> Self {
        Self { any, known: HashMap::new(), bytes: 0 }
    }

    /// Returns the base of an element's links, in a document with this URL; `None` if this is the document's
    /// own base.
    ///
    /// # Errors
    /// When the bases would take too much memory.
    pub(crate) fn of(
        &mut self,
        element: ElementRef<'_>,
        document: &Url,
    ) -> Result<Option<Arc<Url>>, TooMuch> {
        if !self.any {
            return Ok(None);
        }
        let mut base = None;
        let mut unknown = Vec::new();
        for element in std::iter::once(*element).chain(element.ancestors()).filter_map(ElementRef::wrap) {
            if let Some(known) = self.known.get(&element.id()) {
                base.clone_from(known);
                break;
            }
            let said = element.attr(BASE).filter(|said| said.len() <= LINK_BYTES_MAX);
            unknown.extend(said.map(|said| (element.id(), said)));
        }
        for (id, said) in unknown.into_iter().rev() {
            let from = base.as_deref().unwrap_or(document);
            if let Some(url) = parse(said, from, UTF_8).filter(is_web) {
                self.bytes += url.as_str().len();
                if self.bytes > BASES_BYTES_MAX {
                    return Err(TooMuch);
                }
                base = Some(Arc::new(url));
            }
            self.known.insert(id, base.clone());
        }
        Ok(base)
    }
}
