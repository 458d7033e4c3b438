//! Tests of `schema`: the fields of the items.

use super::support::run;

#[test]
fn the_fields_of_the_items_are_printed_without_the_programs_flags() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run(&dir, &["schema"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    for line in [
        "Product  (key = \"sku\")",
        "  price    price                   css(\"p.price\")",
        "  stock    whole number, optional  css(\"dd.stock\")",
        "  related  list of Related         css(\"a.related\")",
        "  name  text  css(\":scope\", re = \"(.+)\")",
    ] {
        assert!(ended.stdout.lines().any(|printed| printed == line), "{line}: {}", ended.stdout);
    }
    let ended = run(&dir, &["schema", "--json"]);
    let structs = ended.json();
    assert_eq!(structs.len(), 2, "{}", ended.stdout);
    assert_eq!(
        (&structs[0]["struct"], &structs[0]["fields"][3]["name"]),
        (&"Product".into(), &"stock".into())
    );
    assert_eq!(structs[1]["fields"][1]["sources"][0], "css(\":scope\", attr = \"href\")");
}
