//! Builds the tree for selectors from XML, using xml5ever. It handles names with namespaces, CDATA, and tags such as
//! `<row/>`.
//!
//! xml5ever never fails, so this module records whether the document was well-formed. Entities that the document
//! declares are not expanded, so the text cannot grow without limit.

use html5ever::tendril::StrTendril;
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::{Attribute, LocalName, QualName, ns};
use scraper::{ElementRef, Html, HtmlTreeSink, Node};
use std::borrow::Cow;
use std::cell::{Cell, Ref};

/// scraper's tree, and the facts that the parser finds while it reads XML.
#[derive(Debug)]
pub(crate) struct XmlSink {
    pub(crate) tree: HtmlTreeSink,
    /// The number of open elements.
    open: Cell<usize>,
    /// Whether some end tag did not match the innermost open element.
    misnested: Cell<bool>,
    has_bases: Cell<bool>,
}

/// The result of reading an XML document.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) html: Html,
    /// Whether any element has an `xml:base`.
    pub(crate) has_bases: bool,
}

impl XmlSink {
    pub(crate) fn new() -> Self {
        Self {
            tree: HtmlTreeSink::new(Html::new_document()),
            open: Cell::default(),
            misnested: Cell::default(),
            has_bases: Cell::default(),
        }
    }

    /// Returns the number of open elements, and whether some end tag did not match the innermost open element.
    pub(crate) fn state(&self) -> (usize, bool) {
        (self.open.get(), self.misnested.get())
    }
}

impl TreeSink for XmlSink {
    type Handle = <HtmlTreeSink as TreeSink>::Handle;
    type Output = Read;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Read {
        let mut html = self.tree.finish();
        name(&mut html);
        Read { html, has_bases: self.has_bases.get() }
    }

    /// Records only errors in the structure of the document: other errors, such as a raw `&` or an undeclared
    /// prefix, do not prevent reading.
    fn parse_error(&self, message: Cow<'static, str>) {
        if matches!(&*message, "Current node doesn't match tag" | "Unexpected element in end phase") {
            self.misnested.set(true);
        }
    }

    fn create_element(
        &self,
        name: QualName,
        mut attributes: Vec<Attribute>,
        flags: ElementFlags,
    ) -> Self::Handle {
        self.open.set(self.open.get() + 1);
        for attribute in &mut attributes {
            if let Some(called) = called(&attribute.name) {
                self.has_bases.set(self.has_bases.get() || called == BASE);
                attribute.name = QualName::new(None, ns!(), LocalName::from(called));
            }
        }
        self.tree.create_element(name, attributes, flags)
    }

    fn pop(&self, _: &Self::Handle) {
        self.open.set(self.open.get().saturating_sub(1));
    }

    fn get_document(&self) -> Self::Handle {
        self.tree.get_document()
    }

    fn elem_name<'a>(&'a self, target: &'a Self::Handle) -> Ref<'a, QualName> {
        self.tree.elem_name(target)
    }

    fn create_comment(&self, text: StrTendril) -> Self::Handle {
        self.tree.create_comment(text)
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> Self::Handle {
        self.tree.create_pi(target, data)
    }

    fn append(&self, parent: &Self::Handle, child: NodeOrText<Self::Handle>) {
        self.tree.append(parent, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &Self::Handle,
        previous: &Self::Handle,
        child: NodeOrText<Self::Handle>,
    ) {
        self.tree.append_based_on_parent_node(element, previous, child);
    }

    fn append_doctype_to_document(&self, name: StrTendril, public: StrTendril, system: StrTendril) {
        self.tree.append_doctype_to_document(name, public, system);
    }

    fn get_template_contents(&self, target: &Self::Handle) -> Self::Handle {
        self.tree.get_template_contents(target)
    }

    fn same_node(&self, one: &Self::Handle, other: &Self::Handle) -> bool {
        self.tree.same_node(one, other)
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.tree.set_quirks_mode(mode);
    }

    fn append_before_sibling(&self, sibling: &Self::Handle, child: NodeOrText<Self::Handle>) {
        self.tree.append_before_sibling(sibling, child);
    }

    fn add_attrs_if_missing(&self, target: &Self::Handle, attributes: Vec<Attribute>) {
        self.tree.add_attrs_if_missing(target, attributes);
    }

    fn remove_from_parent(&self, target: &Self::Handle) {
        self.tree.remove_from_parent(target);
    }

    fn reparent_children(&self, node: &Self::Handle, parent: &Self::Handle) {
        self.tree.reparent_children(node, parent);
    }
}

/// Returns the name of an attribute with a prefix: as written (`rdf:about`), or with the usual prefix if the
/// namespace is known. Returns `None` for an attribute without a prefix.
fn called(name: &QualName) -> Option<Cow<'static, str>> {
    let prefix = name.prefix.as_ref()?;
    if name.ns == ns!(xml) && &*name.local == "base" {
        return Some(Cow::Borrowed(BASE));
    }
    if name.ns == ns!(xlink) && &*name.local == "href" {
        return Some(Cow::Borrowed(XLINK_HREF));
    }
    Some(Cow::Owned(format!("{prefix}:{}", name.local)))
}

/// Gives elements the names that selectors use. An element with a prefix keeps the prefix as written (`dc:creator`),
/// so the selector `link` does not match `atom:link`. An XHTML element gets its HTML name, whatever its prefix. An
/// `<html>` document without the namespace counts as XHTML.
fn name(html: &mut Html) {
    let is_xhtml = is_html_without_namespace(html);
    for value in html.tree.values_mut() {
        let Node::Element(element) = value else { continue };
        let name = &mut element.name;
        if is_xhtml && name.ns == ns!() && name.prefix.is_none() {
            name.ns = ns!(html);
        } else if name.ns != ns!(html)
            && let Some(prefix) = &name.prefix
        {
            name.local = LocalName::from(format!("{prefix}:{}", name.local));
        }
    }
}

fn is_html_without_namespace(html: &Html) -> bool {
    let root = html.tree.root().children().find_map(ElementRef::wrap);
    root.is_some_and(|root| root.value().name.ns == ns!() && root.value().name() == "html")
}

/// Returns the parts of a document before and after the declarations in its DOCTYPE (`[ … ]`), since the parser
/// would read the declarations as markup. If there are no declarations, the first part is the whole document.
pub(crate) fn without_declarations(text: &str) -> [&str; 2] {
    const DOCTYPE: &str = "<!DOCTYPE";
    let whole = [text, ""];
    let Some(at) = prolog_end(text) else { return whole };
    let doctype = &text[at..];
    if !doctype.get(..DOCTYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(DOCTYPE)) {
        return whole;
    }
    let Some(begin) = until(doctype, |byte| matches!(byte, b'[' | b'>')) else { return whole };
    if doctype.as_bytes()[begin] != b'[' {
        return whole;
    }
    match until(&doctype[begin + 1..], |byte| byte == b']') {
        Some(end) => [&text[..at + begin], &doctype[begin + 1 + end + 1..]],
        // The brackets of the declarations are never closed, so there is no text after the declarations.
        None => [&text[..at + begin], ""],
    }
}

/// Returns the offset of the first markup that is neither an instruction nor a comment.
fn prolog_end(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr(b'<', &text.as_bytes()[at..])?;
        let rest = &text[at..];
        let end = if rest.starts_with("<?") {
            rest.find("?>")? + 2
        } else if rest.starts_with("<!--") {
            rest.find("-->")? + 3
        } else {
            return Some(at);
        };
        at += end;
    }
}

/// Returns the offset of the first byte that `ends` accepts, outside of quotes, comments and instructions.
fn until(text: &str, ends: impl Fn(u8) -> bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let skip = |word: &[u8]| memchr::memmem::find(rest, word).map(|found| found + word.len());
        at += match byte {
            _ if ends(byte) => return Some(at),
            b'"' | b'\'' => memchr::memchr(byte, &rest[1..])? + 2,
            b'<' if rest.starts_with(b"<!--") => skip(b"-->")?,
            b'<' if rest.starts_with(b"<?") => skip(b"?>")?,
            _ => 1,
        };
    }
    None
}

/// The attribute that sets the base URL of links in an element.
pub(crate) const BASE: &str = "xml:base";
pub(crate) const XLINK_HREF: &str = "xlink:href";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_left_out_and_nothing_else() {
        for (text, wanted) in [
            ("<a/>", ["<a/>", ""]),
            ("<!DOCTYPE a><a/>", ["<!DOCTYPE a><a/>", ""]),
            ("<!DOCTYPE a SYSTEM \"[x\"><a>[</a>", ["<!DOCTYPE a SYSTEM \"[x\"><a>[</a>", ""]),
            ("<!DOCTYPE a [<!ENTITY b \"<c/>]\">]><a/>", ["<!DOCTYPE a ", "><a/>"]),
            (
                "<?xml?><!-- [ --> <!doctype a [ <!-- ] --> <?b ]?> '>]' ] ><a/>",
                ["<?xml?><!-- [ --> <!doctype a ", " ><a/>"],
            ),
            ("<!DOCTYPE a [<a/>", ["<!DOCTYPE a ", ""]),
            ("<!-- <!DOCTYPE a [", ["<!-- <!DOCTYPE a [", ""]),
            ("<!DOCTYPE é", ["<!DOCTYPE é", ""]),
            ("", ["", ""]),
        ] {
            assert_eq!(without_declarations(text), wanted, "{text}");
        }
    }
}
