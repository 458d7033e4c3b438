//! Snapshots: files with the accepted items of a crawl, written so that a diff shows changes field by field.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::again::{command, is_set};
use crate::diff;

/// Compares items with those of a snapshot file, or writes the file if the environment says so
/// (`OPILIO_ACCEPT`).
///
/// # Errors
/// When the items differ or the file cannot be used. The error is the differences in words, or the reason.
pub(crate) fn check(path: &Path, items: &[Value]) -> Result<(), String> {
    if is_set(ACCEPT) {
        return write(path, items).map_err(|error| format!("write the snapshot {}: {error}", path.display()));
    }
    compare(path, items)
}

fn compare(path: &Path, items: &[Value]) -> Result<(), String> {
    let accept = command(ACCEPT);
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!(
                "there is no snapshot at {shown}; accept these {} items: {accept}",
                items.len()
            ));
        }
        Err(error) => return Err(format!("read the snapshot {shown}: {error}")),
    };
    let accepted: Vec<Value> = serde_json::from_str(&text)
        .map_err(|error| format!("the snapshot {shown} is not a list of items: {error}"))?;
    let differences = diff::items(&accepted, items);
    if differences.is_empty() {
        return Ok(());
    }
    let differences = differences.join("\n");
    Err(format!("the items are not those of the snapshot {shown}:\n{differences}\naccept them: {accept}"))
}

/// Writes items to a file, one field per line, in an order that does not depend on the order of fetching. An
/// older file is replaced only when the new one is complete, and is not touched if it has the same content.
fn write(path: &Path, items: &[Value]) -> std::io::Result<()> {
    let items = diff::ordered(items);
    let mut sorted: Vec<(String, &Value)> = items.iter().map(|item| (diff::sort_key(item), item)).collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    let sorted: Vec<&Value> = sorted.into_iter().map(|(_, item)| item).collect();
    let text = serde_json::to_string_pretty(&sorted)? + "\n";
    if std::fs::read_to_string(path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let draft: PathBuf = path.with_extension("json.draft");
    std::fs::write(&draft, text)?;
    std::fs::rename(&draft, path)
}

const ACCEPT: &str = "OPILIO_ACCEPT";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_accepted_is_compared_by_field_and_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/shop.json");
        let lamp = |price: &str| json!({ "sku": "2", "price": price });
        let bowl = json!({ "sku": "10", "price": null });
        let words = compare(&path, &[lamp("1.50")]).unwrap_err();
        assert!(
            words.contains("there is no snapshot") && words.contains("accept these 1 items: OPILIO_ACCEPT=1")
        );
        write(&path, &[lamp("1.50"), bowl.clone()]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "[\n  {\n    \"price\": null,\n    \"sku\": \"10\"\n  },\n  {\n    \"price\": \"1.50\",\n    \"sku\": \"2\"\n  }\n]\n";
        assert_eq!(text, expected);
        compare(&path, &[bowl.clone(), lamp("1.50")]).unwrap();
        let words = compare(&path, &[bowl, lamp("1.75")]).unwrap_err();
        assert!(
            words.contains(
                "\n~ sku \"2\"\n    price: \"1.50\" is now \"1.75\"\naccept them: OPILIO_ACCEPT=1 cargo test"
            ),
            "{words}"
        );
        std::fs::write(&path, "{}").unwrap();
        assert!(compare(&path, &[]).unwrap_err().contains("is not a list of items"));
    }
}
