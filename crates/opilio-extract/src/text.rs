//! Helper functions for strings: they collapse white space and limit lengths.

/// Appends `part` to `out`. Each run of white space becomes one space; white space at the start of `out` is left
/// out.
///
/// A run of white space may continue in the next call. The caller must remove a space at the end: see [`trim_end`].
pub(crate) fn push_collapsed(out: &mut String, part: &str) {
    for c in part.chars() {
        if !c.is_whitespace() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
    }
}

/// Appends a space where a reader sees a break, unless `out` is empty or ends with a space.
pub(crate) fn push_break(out: &mut String) {
    if !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
}

/// Removes the space at the end that [`push_collapsed`] may have left.
pub(crate) fn trim_end(mut text: String) -> String {
    text.truncate(text.trim_end().len());
    text
}

/// Returns `text` with each run of white space replaced by one space, and without white space at either end.
pub(crate) fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_collapsed(&mut out, text);
    trim_end(out)
}

/// Returns the longest beginning of `text` that has at most `bytes_max` bytes and does not split a character.
pub(crate) fn bounded(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapses_runs_that_stretch_over_parts() {
        let mut out = String::new();
        for part in [" \n a", "b \t", "\u{a0} c ", " "] {
            push_collapsed(&mut out, part);
        }
        assert_eq!(trim_end(out), "ab c");
        assert_eq!(collapse(" \n "), "");
    }

    #[test]
    fn bounds_between_characters() {
        assert_eq!(bounded("aäb", 2), "a");
        assert_eq!(bounded("aäb", 3), "aä");
        assert_eq!(bounded("a", 99), "a");
    }
}
