//! Reads the attribute `srcset`: the URLs of images, with descriptors such as `2x`.

/// Iterates over the URLs of a `srcset`, without their descriptors (`2x`, `640w`). The rules are those of the HTML
/// standard ("parse a srcset attribute").
pub(crate) fn urls(set: &str) -> impl Iterator<Item = &str> {
    let mut rest = set;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let url = word.trim_end_matches(',');
        // A comma directly after the URL ends the entry; otherwise descriptors follow.
        rest = if url.len() < word.len() { behind } else { &behind[descriptors_end(behind)..] };
        Some(url).filter(|url| !url.is_empty())
    })
}

/// Returns the offset at which the next entry starts: after the first comma that is not in parentheses.
fn descriptors_end(text: &str) -> usize {
    let mut inside = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => inside = true,
            b')' => inside = false,
            b',' if !inside => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_the_standard_says() {
        for (set, wanted) in [
            ("a.png", &["a.png"][..]),
            ("a.png 1x, b.png 2x", &["a.png", "b.png"]),
            (" a.png\t640w ,b.png 1280w,", &["a.png", "b.png"]),
            ("a.png, b.png", &["a.png", "b.png"]),
            ("a.png,b.png", &["a.png,b.png"]),
            ("data:x,y 1x, /c?a,b 2x", &["data:x,y", "/c?a,b"]),
            ("a.png (1,2) 1x, b.png", &["a.png", "b.png"]),
            ("a.png (, b.png", &["a.png"]),
            (",, ,", &[]),
            ("", &[]),
        ] {
            assert_eq!(urls(set).collect::<Vec<_>>(), wanted, "{set}");
        }
    }
}
