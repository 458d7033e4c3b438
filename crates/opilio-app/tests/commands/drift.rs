//! Tests of a site that has changed: the fields that are no longer filled are named, and the program ends with 1.

use opilio_sandbox::{Edition, HostConfig, Sandbox};

use super::support::run;

#[test]
fn the_second_edition_of_the_shop_leaves_three_fields_empty() {
    let expected =
        ["sku", "Product.name", "price", "stock", "related"].map(|field| format!("--expect={field}=98%"));
    for (edition, code, missed) in
        [(Edition::First, 0, &[][..]), (Edition::Second, 1, &["Product.name", "price", "stock"])]
    {
        let shop = Sandbox::builder().host(HostConfig::new().products(8).edition(edition)).start().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let base = shop.base(0).to_string();
        let mut args = vec!["run", "--base", base.trim_end_matches('/'), "--report", "report.json"];
        args.extend(expected.iter().map(String::as_str));
        let ended = run(&dir, &args);
        assert_eq!(ended.code, code, "{}", ended.stderr);
        let report = std::fs::read(dir.path().join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        let short: Vec<_> =
            report["shortfalls"].as_array().unwrap().iter().map(|short| &short["field"]).collect();
        assert_eq!(short, missed);
        for field in missed {
            let words = format!("{field} was filled in 0 % (0 of 8), and 98 % are expected");
            assert!(ended.stderr.contains(&words), "{words}: {}", ended.stderr);
        }
    }
}
