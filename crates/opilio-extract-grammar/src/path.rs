//! Parses paths into JSON: `offers.price`, `items[0].name`, `items[].name`, `"a.b".c`.

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'p> {
    /// A step to the value of a key. In an array, the step goes to the value of this key in each object of the
    /// array.
    Key(&'p str),
    /// A step to the value at this index of an array, counted from 0.
    At(usize),
    /// A step to every value of an array.
    Each,
}

/// The error for a text that is not a path, with the place of the mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathMistake {
    /// The byte offset of the mistake in the text.
    pub at: usize,
    /// The reason, as one line of text.
    pub reason: String,
}

/// Parses a path. The empty path has no steps and leads to the whole value.
///
/// ```
/// use opilio_extract_grammar::{Segment, read_path};
///
/// let path = read_path("offers[0].price").unwrap();
/// assert_eq!(path, [Segment::Key("offers"), Segment::At(0), Segment::Key("price")]);
/// assert_eq!(read_path("$.price").unwrap_err().reason, "a path begins with a name: write `price`");
/// ```
///
/// # Errors
/// When the text is not a path.
pub fn read_path(path: &str) -> Result<Vec<Segment<'_>>, PathMistake> {
    let wrong = |at: usize, reason: String| Err(PathMistake { at, reason });
    if let Some(rest) = path.strip_prefix('$') {
        let instead = rest.trim_start_matches('.');
        return wrong(0, format!("a path begins with a name: write `{}`", shown(instead)));
    }
    if let Some(rest) = path.strip_prefix('/') {
        return wrong(0, format!("names are separated by dots: write `{}`", shown(&rest.replace('/', "."))));
    }
    let (mut segments, mut at) = (Vec::new(), 0);
    while at < path.len() {
        let rest = &path[at..];
        if let Some(inner) = rest.strip_prefix('[') {
            let Some(end) = inner.find(']') else {
                return wrong(at, "the bracket `[` is not closed".to_owned());
            };
            segments.push(match (&inner[..end], inner[..end].parse()) {
                ("" | "*", _) => Segment::Each,
                (_, Ok(index)) => Segment::At(index),
                (other, Err(_)) => {
                    let reason =
                        format!("`{}` in brackets is no number from 0: a name stands outside", shown(other));
                    return wrong(at + 1, reason);
                }
            });
            at += end + 2;
        } else {
            let name_at = if segments.is_empty() { at } else { at + 1 };
            if !segments.is_empty() && !rest.starts_with('.') {
                return wrong(at, "a dot is missing in front of the name".to_owned());
            }
            let (name, end) = name(path, name_at)?;
            segments.push(Segment::Key(name));
            at = end;
        }
    }
    Ok(segments)
}

/// Reads the name at the byte offset `at`. Returns the name, and the offset at which it ends.
fn name(path: &str, at: usize) -> Result<(&str, usize), PathMistake> {
    let rest = &path[at..];
    if let Some(inner) = rest.strip_prefix('"') {
        let end = inner.find('"');
        let end = end.ok_or_else(|| PathMistake { at, reason: "the quote `\"` is not closed".to_owned() })?;
        return Ok((&inner[..end], at + end + 2));
    }
    let end = rest.find(['.', '[', ']', '"']).unwrap_or(rest.len());
    let name = &rest[..end];
    let reason = if name.is_empty() {
        "a name is missing".to_owned()
    } else if name.trim() != name {
        "a name with a space at its end needs quotes".to_owned()
    } else if name.bytes().all(|byte| byte.is_ascii_digit()) {
        format!(
            "a place in a list stands in brackets, `[{0}]`, and a name of digits in quotes, `\"{0}\"`",
            shown(name)
        )
    } else {
        return Ok((name, at + end));
    };
    Err(PathMistake { at, reason })
}

/// Returns a part of a path, shortened for a message.
fn shown(part: &str) -> String {
    part[..part.floor_char_boundary(60)].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::Segment::{At, Each, Key};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_names_places_and_lists() {
        for (path, segments) in [
            ("", vec![]),
            ("a", vec![Key("a")]),
            ("a.b-c.@type", vec![Key("a"), Key("b-c"), Key("@type")]),
            ("[0].a", vec![At(0), Key("a")]),
            ("a[].b", vec![Key("a"), Each, Key("b")]),
            ("a[*][12]", vec![Key("a"), Each, At(12)]),
            ("\"a.b\".c", vec![Key("a.b"), Key("c")]),
            ("a.\"0\"", vec![Key("a"), Key("0")]),
        ] {
            assert_eq!(read_path(path).unwrap(), segments, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_told_what_to_write() {
        for (path, at, reason) in [
            ("$.a.b", 0, "write `a.b`"),
            ("/a/b", 0, "write `a.b`"),
            ("a..b", 2, "a name is missing"),
            ("a.", 2, "a name is missing"),
            (".a", 0, "a name is missing"),
            ("a.0.b", 2, "`[0]`"),
            ("a[0", 1, "not closed"),
            ("a[b]", 2, "`b` in brackets is no number"),
            ("a[0]b", 4, "a dot is missing"),
            ("\"a", 0, "the quote"),
            ("a]", 1, "a dot is missing"),
        ] {
            let mistake = read_path(path).unwrap_err();
            assert!(mistake.at == at && mistake.reason.contains(reason), "{path}: {mistake:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(path in "[ab0.\"\\[\\]*$/ é]{0,16}") {
            if let Err(mistake) = read_path(&path) {
                assert!(path.is_char_boundary(mistake.at), "{path}: {mistake:?}");
            }
        }
    }
}
