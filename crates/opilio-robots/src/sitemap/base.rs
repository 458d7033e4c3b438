//! Resolves relative addresses in a feed by its `xml:base` attributes (RFC 4287 §2).

use url::Url;

/// The `xml:base` of each open element that has this attribute, with the element's depth. The innermost
/// element is last.
#[derive(Default)]
pub(super) struct BaseStack(Vec<(usize, String)>);

impl BaseStack {
    /// Stores the base of an element at this depth, resolved by the base of the outer element.
    pub(super) fn push(&mut self, depth: usize, base: &str) {
        let base = base.trim();
        // An empty base means the file itself, as if there were no base.
        if !base.is_empty() && base.len() <= BASE_BYTES_MAX {
            let base = self.resolve(base);
            self.0.push((depth, base));
        }
    }

    /// Removes the bases of all elements at this depth or deeper, since these elements are closed now.
    pub(super) fn close(&mut self, depth: usize) {
        while self.0.last().is_some_and(|(own, _)| *own >= depth) {
            self.0.pop();
        }
    }

    /// Resolves an address by the innermost base. The result may still be relative to the file.
    pub(super) fn resolve(&self, address: &str) -> String {
        match self.0.last() {
            Some((_, base)) => joined(base, address.trim()),
            None => address.to_owned(),
        }
    }
}

fn joined(base: &str, address: &str) -> String {
    let is_absolute = |text: &str| Url::parse(text).is_ok();
    if is_absolute(address) || address.starts_with("//") {
        return address.to_owned();
    }
    if let Ok(base) = Url::parse(base) {
        return base.join(address).map_or_else(|_| address.to_owned(), String::from);
    }
    // The base is relative to the file, whose URL is unknown here, so the result is relative, too.
    let Some(url) = base_in_nowhere(base).and_then(|base| base.join(address).ok()) else {
        return address.to_owned();
    };
    let from_path = &url[url::Position::BeforePath..];
    match base.starts_with("//") {
        true => format!("//{}", &url[url::Position::BeforeHost..]),
        false if base.starts_with('/') || address.starts_with('/') => from_path.to_owned(),
        false => from_path[1..].to_owned(),
    }
}

fn base_in_nowhere(base: &str) -> Option<Url> {
    Url::parse("http://nowhere.invalid/").ok()?.join(base).ok()
}

/// The most bytes that a base may have; longer bases are ignored, since no crawler fetches such long URLs.
const BASE_BYTES_MAX: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_resolved_from_the_outside_in() {
        for (bases, address, expected) in [
            (&["http://a.example/x/"][..], "1", "http://a.example/x/1"),
            (&["http://a.example/x/", "y/"], "1", "http://a.example/x/y/1"),
            (&["http://a.example/x/", "http://b.example/"], "1", "http://b.example/1"),
            (&["http://a.example/x/"], "/1", "http://a.example/1"),
            (&["http://a.example/x/"], "//b.example/1", "//b.example/1"),
            (&["http://a.example/x/"], "http://b.example/1", "http://b.example/1"),
            (&["http://a.example/x"], "?page=2", "http://a.example/x?page=2"),
            (&["/x/"], "1", "/x/1"),
            (&["/x/", "../y/"], "1", "/y/1"),
            (&["x/"], "1", "x/1"),
            (&["x/"], "/1", "/1"),
            (&["x/", "/y/"], "1", "/y/1"),
            (&["//b.example/x/"], "1", "//b.example/x/1"),
            (&["", " "], "1", "1"),
            (&[], "1", "1"),
        ] {
            let mut open = BaseStack::default();
            bases.iter().enumerate().for_each(|(depth, base)| open.push(depth + 1, base));
            assert_eq!(open.resolve(address), expected, "{bases:?} {address}");
            open.close(1);
            assert_eq!(open.resolve(address), address);
        }
    }
}
