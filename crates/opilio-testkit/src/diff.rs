//! Describes how two sets of items differ, field by field.

use serde_json::Value;

/// Returns the differences of two sets of items, each as one or a few lines; nothing if the sets are equal.
/// The order of the items does not matter: equal items are removed first, then the items with the most fields
/// in common are compared.
pub(crate) fn items(expected: &[Value], found: &[Value]) -> Vec<String> {
    let (expected, found) = (ordered(expected), ordered(found));
    let mut missing: Vec<&Value> = Vec::new();
    let mut other: Vec<&Value> = found.iter().collect();
    for item in &expected {
        match other.iter().position(|candidate| *candidate == item) {
            Some(place) => drop(other.remove(place)),
            None => missing.push(item),
        }
    }
    let mut differences = Vec::new();
    let mut unmatched = Vec::new();
    for item in missing {
        let likeness = other.iter().map(|candidate| in_common(item, candidate));
        let best = likeness.enumerate().max_by_key(|(place, common)| (*common, std::cmp::Reverse(*place)));
        match best.filter(|(_, common)| *common > 0) {
            Some((place, _)) => differences.push(by_field(item, other.remove(place))),
            None => unmatched.push(item),
        }
    }
    differences.extend(unmatched.into_iter().map(|item| format!("- missing: {}", brief(item))));
    differences.extend(other.into_iter().map(|item| format!("+ not expected: {}", brief(item))));
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    if more > 0 {
        differences.push(format!("and {more} more differences"));
    }
    differences
}

/// Returns the items with their fields sorted by name. `serde_json` keeps fields in an order that depends on
/// a cargo feature, which any crate of a build may enable, and the output of a test must not depend on that.
pub(crate) fn ordered(items: &[Value]) -> Vec<Value> {
    let mut items = items.to_vec();
    items.iter_mut().for_each(Value::sort_all_objects);
    items
}

/// Returns how much two items have in common: 1 for each equal field, but 100 for an equal field that usually
/// identifies an item, since other fields may be equal by chance.
fn in_common(a: &Value, b: &Value) -> usize {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return 0 };
    let equal = a.iter().filter(|(name, value)| b.get(*name) == Some(*value));
    equal.map(|(name, _)| if KEYS.contains(&name.as_str()) { 100 } else { 1 }).sum()
}

/// Describes two items in a few lines: first a text that identifies the expected item, then each field that
/// differs.
fn by_field(expected: &Value, found: &Value) -> String {
    let mut lines = Vec::new();
    differ("", expected, found, &mut lines);
    format!("~ {}\n    {}", name_of(expected), lines.join("\n    "))
}

fn differ(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    let (Value::Object(a), Value::Object(b)) = (expected, found) else {
        if expected != found {
            lines.push(format!("{path}: {} is now {}", brief(expected), brief(found)));
        }
        return;
    };
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, value) in a {
        match b.get(name) {
            Some(other) => differ(&at(name), value, other, lines),
            None => lines.push(format!("{}: {} is gone", at(name), brief(value))),
        }
    }
    for (name, value) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
        lines.push(format!("{}: {} is new", at(name), brief(value)));
    }
}

/// Returns a short text that identifies an item: a field with one of the usual names and its value, or else
/// the item itself.
fn name_of(item: &Value) -> String {
    let key = KEYS.iter().find_map(|key| Some((key, item.get(*key)?)));
    key.map_or_else(|| brief(item), |(key, value)| format!("{key} {}", brief(value)))
}

/// Returns the key by which items are sorted: the text that identifies an item, then the whole item.
pub(crate) fn sort_key(item: &Value) -> String {
    format!("{} {item}", name_of(item))
}

/// Formats a value as JSON on one line, and cuts off a long text.
pub(crate) fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(BRIEF_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The names of fields that usually identify an item.
const KEYS: [&str; 6] = ["id", "sku", "key", "url", "name", "title"];
/// The most differences that a message shows.
const SHOWN: usize = 20;
const BRIEF_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_does_not_count_and_numbers_of_equal_items_do() {
        let (a, b) = (json!({"sku": "1"}), json!("text"));
        assert!(items(&[a.clone(), b.clone()], &[b.clone(), a.clone()]).is_empty());
        assert_eq!(items(&[a.clone(), a.clone()], std::slice::from_ref(&a)), [r#"- missing: {"sku":"1"}"#]);
        assert_eq!(items(&[], &[b]), [r#"+ not expected: "text""#]);
    }

    #[test]
    fn items_with_most_in_common_are_compared_by_field() {
        let lamp =
            json!({"sku": "1", "price": {"amount": "12.50", "currency": "EUR"}, "stock": 3, "note": "x"});
        let bowl = json!({"sku": "2", "price": {"amount": "9.00", "currency": "EUR"}, "stock": 3});
        let dearer =
            json!({"sku": "1", "price": {"amount": "13.00", "currency": "EUR"}, "stock": 3, "tag": []});
        let differences = items(&[bowl.clone(), lamp], &[dearer, bowl]);
        let expected = "~ sku \"1\"\n    note: \"x\" is gone\n    price.amount: \"12.50\" is now \"13.00\"\n    \
            tag: [] is new";
        assert_eq!(differences, [expected]);
    }

    #[test]
    fn what_is_long_is_cut() {
        let all: Vec<Value> = (0..50).map(|n| json!("x".repeat(500 + n))).collect();
        let differences = items(&all, &[]);
        assert_eq!(differences.len(), SHOWN + 1);
        assert_eq!(differences.last().map(String::as_str), Some("and 30 more differences"));
        assert!(differences.iter().all(|line| line.len() < 300));
    }
}
