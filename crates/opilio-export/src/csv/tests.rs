//! Tests of CSV as spreadsheets, databases and another CSV library read it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[derive(Serialize)]
struct Product {
    name: Option<&'static str>,
    price: f64,
    tags: Vec<&'static str>,
}

const TEA: Product = Product { name: Some("Tea, \"black\""), price: -9.5, tags: vec![] };

/// Writes these items to a new output. Returns its content, and the error of each item that failed.
fn write<T: Serialize>(export: Csv, path: &Path, items: &[T]) -> (String, Vec<String>) {
    let mut encoder = Export::<T>::encoder(&export);
    let mut sink = Export::<T>::into_sink(Box::new(export)).unwrap();
    sink.begin(0).unwrap();
    let mut errors = Vec::new();
    for item in items {
        let mut rows = Vec::new();
        if let Err(error) = encoder.encode(item, &mut rows) {
            assert!(rows.is_empty(), "no half row");
            errors.push(format!("{error}: {}", std::error::Error::source(&error).unwrap()));
        }
        sink.append(&rows).unwrap();
    }
    let end = sink.sync().unwrap();
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(end, text.len() as u64);
    (text, errors)
}

fn written<T: Serialize>(items: &[T]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    let (text, errors) = write(Csv::create(&path).unwrap(), &path, items);
    assert_eq!(errors, [] as [&str; 0]);
    text
}

#[test]
fn an_item_is_a_row_under_a_header() {
    let none = Product { name: None, price: 1.0, tags: vec!["a", "b,c"] };
    assert_eq!(
        written(&[TEA, none]),
        "name,price,tags\r\n\"Tea, \"\"black\"\"\",-9.5,[]\r\n,1.0,\"[\"\"a\"\",\"\"b,c\"\"]\"\r\n"
    );
}

#[test]
fn null_and_an_empty_text_are_told_apart() {
    let row = |name| json!({"a": name, "b": 1});
    assert_eq!(
        written(&[row(json!(null)), row(json!("")), row(json!(" "))]),
        "a,b\r\n,1\r\n\"\",1\r\n\" \",1\r\n"
    );
    assert_eq!(written(&[None, Some("")]), "value\r\n\"\"\r\n\"\"\r\n", "an empty line is no row");
}

#[test]
fn what_begins_like_a_formula_is_defused_unless_asked_otherwise() {
    for (text, cell) in [
        ("=1+1", "'=1+1"),
        ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\t=1", "'\t=1"),
        ("\r\n=1", "\"'\r\n=1\""),
        ("\u{ff1d}1", "'\u{ff1d}1"),
        ("-", "'-"),
        ("-inf", "'-inf"),
        ("-12.50", "-12.50"),
        ("+1e3", "+1e3"),
        ("a=b", "a=b"),
        ("'", "'"),
    ] {
        assert_eq!(written(&[json!({"a": text, "b": 1})]), format!("a,b\r\n{cell},1\r\n"), "{text}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        let (kept, _) = write(Csv::create(&path).unwrap().keep_formulas(), &path, &[json!({"a": text})]);
        let mut reader = csv::Reader::from_reader(kept.as_bytes());
        assert_eq!(&reader.records().next().unwrap().unwrap()[0], text);
    }
    assert_eq!(written(&[json!({"=a": -1})]), "'=a\r\n-1\r\n", "a name of a column may be a stranger's, too");
}

#[test]
fn control_characters_reach_no_terminal() {
    let text = "\u{1b}[2Jé\u{0}\u{85}\tx\n";
    let line = written(&[json!({"a": text, "b": ["\u{7f}"]})]);
    assert_eq!(line, "a,b\r\n\"\u{fffd}[2Jé\u{fffd}\u{fffd}\tx\n\",\"[\"\"\u{fffd}\"\"]\"\r\n");
}

#[test]
fn the_first_item_or_the_caller_says_which_columns_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    let items = [json!({"a": 1}), json!({"a": 2, "b": 3}), json!({"b": 4}), json!({}), json!(["x"])];
    let (text, errors) = write(Csv::create(&path).unwrap(), &path, &items);
    assert_eq!(text, "a\r\n1\r\n\"\"\r\n");
    assert_eq!(errors.len(), 3);
    assert!(errors[0].contains("the field \"b\" is not among the columns a; set them all"), "{errors:?}");
    assert!(errors[2].contains("a list has no names for columns"), "{errors:?}");

    let (text, errors) = write(Csv::create(&path).unwrap().columns(["b", "c", "a"]), &path, &items[..4]);
    assert_eq!((text.as_str(), errors.len()), ("b,c,a\r\n,,1\r\n3,,2\r\n4,,\r\n,,\r\n", 0));
    let (text, _) = write::<Product>(Csv::create(&path).unwrap().columns(["b", "c"]), &path, &[]);
    assert_eq!(text, "b,c\r\n", "a header is always there");
    let (text, errors) = write(Csv::create(&path).unwrap(), &path, &[json!({}), json!({"a": 1})]);
    assert!(
        text == "a\r\n1\r\n" && errors[0].contains("no fields that could name the columns"),
        "{errors:?}"
    );
    let map = BTreeMap::from([((1, 2), "keys are no strings")]);
    let (text, errors) = write(Csv::create(&path).unwrap(), &path, &[map]);
    assert!(text.is_empty() && errors[0].starts_with("cannot encode an item as CSV"), "{errors:?}");
}

#[test]
fn an_alias_is_a_row_where_there_is_a_column_for_it() {
    let alias = |columns: &[&str]| {
        let export = Csv::to_writer(io::sink()).columns(columns.iter().copied());
        let mut out = Vec::new();
        Export::<Product>::encoder(&export).encode_alias("http://a/1", "http://a/2", &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(alias(&["url", "x", "final_url", "alias"]), "http://a/1,,http://a/2,true\r\n");
    assert_eq!(alias(&["url", "final_url"]), "");
    assert_eq!(alias(&["name"]), "");
}

#[test]
fn a_resumed_file_goes_on_under_its_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    let (text, _) = write(Csv::create(&path).unwrap(), &path, &[TEA, TEA]);
    let header = "name,price,tags\r\n";
    let first = text[..header.len() + (text.len() - header.len()) / 2].to_owned();

    let export = Csv::create(&path).unwrap();
    let mut encoder = Export::<Product>::encoder(&export);
    let mut sink = Export::<Product>::into_sink(Box::new(export)).unwrap();
    sink.begin(first.len() as u64).unwrap();
    let mut rows = Vec::new();
    encoder.encode(&Product { price: 2.0, ..TEA }, &mut rows).unwrap();
    sink.append(&rows).unwrap();
    sink.flush().unwrap();
    let second = "\"Tea, \"\"black\"\"\",2.0,[]\r\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{first}{second}"));

    // A run with other columns fails, and no rows are cut off.
    let whole = fs::read_to_string(&path).unwrap();
    let other = Csv::create(&path).unwrap().columns(["name", "cost"]);
    let mut sink = Export::<Product>::into_sink(Box::new(other)).unwrap();
    let error = sink.begin(first.len() as u64).unwrap_err();
    assert!(
        error.to_string().contains("it has the columns name, price, tags, and this crawl writes name, cost"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    let export = Csv::create(&path).unwrap();
    let mut encoder = Export::<serde_json::Value>::encoder(&export);
    Export::<Product>::into_sink(Box::new(export)).unwrap().begin(first.len() as u64).unwrap();
    assert!(encoder.encode(&json!({"cost": 1}), &mut Vec::new()).is_err(), "the file's columns are learnt");

    let lost = Csv::create(&path).unwrap().columns(["name", "cost"]);
    let error = Export::<Product>::into_sink(Box::new(lost)).unwrap().begin(1 << 20).unwrap_err();
    assert!(matches!(error, ExportError::Shorter { .. }), "{error}");

    // A new crawl replaces the file's content.
    let (text, _) = write(Csv::create(&path).unwrap().columns(["price", "name", "tags"]), &path, &[TEA]);
    assert_eq!(text, "price,name,tags\r\n-9.5,\"Tea, \"\"black\"\"\",[]\r\n");
}

#[test]
fn a_header_alone_is_nothing_to_lose() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    let open = || Csv::create(&path).unwrap().columns(["name", "price", "tags"]);
    let has_rows = || Export::<Product>::into_sink(Box::new(open())).unwrap().has_rows();
    assert!(!has_rows());
    write::<Product>(open(), &path, &[]);
    assert!(!has_rows());
    write(open(), &path, &[TEA]);
    assert!(has_rows());
}

#[test]
fn a_stream_that_goes_on_has_its_header_already() {
    let taken = Shared::default();
    let write = |from: u64| {
        let export = Csv::to_writer(taken.clone()).columns(["name", "price", "tags"]);
        let mut encoder = Export::<Product>::encoder(&export);
        let mut sink = Export::<Product>::into_sink(Box::new(export)).unwrap();
        if from > 0 {
            sink.go_on(from).unwrap()
        } else {
            sink.begin(0).unwrap()
        }
        let mut rows = Vec::new();
        encoder.encode(&Product { name: None, ..TEA }, &mut rows).unwrap();
        sink.append(&rows).unwrap();
        sink.flush().unwrap()
    };
    let end = write(0);
    assert_eq!(write(end), 2 * end - "name,price,tags\r\n".len() as u64);
    let text = String::from_utf8(taken.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text, "name,price,tags\r\n,-9.5,[]\r\n,-9.5,[]\r\n");
}

#[derive(Clone, Default)]
struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    /// Another CSV library reads back the same texts, except for characters that CSV does not allow.
    #[test]
    fn another_reader_gets_the_texts_back(
        rows in prop::collection::vec(prop::collection::vec("[ -~é\r\n\t\u{0}\u{9b}\u{1f600}]{0,12}", 3), 1..6)
    ) {
        let items: Vec<_> = rows.iter().map(|row| json!({"a": row[0], "b": row[1], "c": row[2]})).collect();
        let text = written(&items);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        prop_assert_eq!(reader.headers().unwrap(), &csv::StringRecord::from(vec!["a", "b", "c"]));
        let read: Vec<_> = reader.records().map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), rows.len());
        for (read, row) in read.iter().zip(&rows) {
            for (cell, text) in read.iter().zip(row) {
                let fit: String = text.chars().map(|c| if is_unfit(c) { '\u{fffd}' } else { c }).collect();
                let same = cell == fit || (is_formula(text) && cell.strip_prefix('\'') == Some(&fit));
                prop_assert!(same, "{:?} {:?}", cell, text);
            }
        }
    }
}
