//! Follows a path through a JSON value.

use opilio_extract_grammar::Segment;
use serde_json::Value;

/// Passes each value at the end of a path to `take`, in order, until `take` returns that it has enough. An array on
/// the way or at the end stands for all its values; `null` counts as no value.
pub(super) fn each<'v>(root: &'v Value, path: &[Segment<'_>], take: &mut dyn FnMut(&'v Value) -> bool) {
    each_by(root, path, &|value| value, take);
}

/// Follows a path like [`each`], but replaces some values on the way by other values, as the function says.
pub(super) fn each_by<'v>(
    root: &'v Value,
    path: &[Segment<'_>],
    resolve: &dyn Fn(&'v Value) -> &'v Value,
    take: &mut dyn FnMut(&'v Value) -> bool,
) {
    Walk { resolve, take }.walk(root, path);
}

struct Walk<'w, 'v> {
    resolve: &'w dyn Fn(&'v Value) -> &'v Value,
    take: &'w mut dyn FnMut(&'v Value) -> bool,
}

impl<'v> Walk<'_, 'v> {
    /// Follows the rest of a path from a value. Returns whether `take` has enough, so that the search can end.
    fn walk(&mut self, value: &'v Value, path: &[Segment<'_>]) -> bool {
        let value = (self.resolve)(value);
        match (path.split_first(), value) {
            (_, Value::Null) => false,
            (Some((Segment::At(index), rest)), Value::Array(values)) => {
                values.get(*index).is_some_and(|value| self.walk(value, rest))
            }
            (Some((Segment::Each, rest)), Value::Array(values)) => {
                values.iter().any(|value| self.walk(value, rest))
            }
            (_, Value::Array(values)) => values.iter().any(|value| self.walk(value, path)),
            (Some((Segment::Key(key), rest)), Value::Object(fields)) => {
                fields.get(*key).is_some_and(|value| self.walk(value, rest))
            }
            // A page with only one value often writes the value without an array around it, so the value stands for
            // the array.
            (Some((Segment::At(0) | Segment::Each, rest)), value) => self.walk(value, rest),
            (Some(_), _) => false,
            (None, value) => (self.take)(value),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use opilio_extract_grammar::read_path;

    #[test]
    fn a_path_goes_through_lists_and_leaves_nulls_out() {
        let root = serde_json::json!({
            "a": [{ "b": 1 }, { "b": [2, 3] }, { "b": null }, 4],
            "one": { "b": "x" },
            "rows": [[1, 2], [3]],
        });
        for (path, values) in [
            ("a.b", "[1,2,3]"),
            ("a[].b", "[1,2,3]"),
            ("a[1].b", "[2,3]"),
            ("a[1].b[1]", "[3]"),
            ("a[9].b", "[]"),
            ("one[0].b", "[\"x\"]"),
            ("one[].b", "[\"x\"]"),
            ("one[1].b", "[]"),
            ("one.b.c", "[]"),
            ("rows[0]", "[1,2]"),
            ("none", "[]"),
        ] {
            let mut found = Vec::new();
            each(&root, &read_path(path).unwrap(), &mut |value| {
                found.push(value.clone());
                false
            });
            assert_eq!(Value::from(found).to_string(), values, "{path}");
        }
    }
}
