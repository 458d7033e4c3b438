//! Tests how a step is stored, and how it is read back.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

/// Returns the text that a user sees: the error and its causes.
fn said(error: StepError) -> String {
    crate::ParseError::from(error).to_string()
}

fn kept<Step: Serialize + DeserializeOwned>(step: &Step) -> Result<Step, StepError> {
    let bytes = encode(step)?;
    check::<Step>(&bytes)?;
    decode(&RequestData { step: bytes, ..RequestData::default() })
}

fn placed<Step: DeserializeOwned>(step: &[u8]) -> Result<Step, StepError> {
    decode(&RequestData { step: step.to_vec(), placed: true, ..RequestData::default() })
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Old {
    Listing,
    Product { id: u32 },
}

#[test]
fn variants_and_fields_are_found_by_name() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum New {
        Home,
        Product { shop: Option<u8>, id: u32 },
        Listing,
    }
    let read = |step: &Old| {
        decode::<New>(&RequestData { step: encode(step).unwrap(), ..RequestData::default() }).unwrap()
    };
    assert_eq!(read(&Old::Listing), New::Listing);
    assert_eq!(read(&Old::Product { id: 5 }), New::Product { shop: None, id: 5 });
}

#[test]
fn other_names_are_refused_with_both_sides() {
    #[derive(Debug, Serialize, Deserialize)]
    enum Renamed {
        Overview,
        Product { id: u32 },
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum Fewer {
        Listing,
        Product {},
    }
    let json = |step: &Old| String::from_utf8(encode(step).unwrap()).unwrap();
    let error = Sample::read::<Renamed>(json(&Old::Listing)).map(drop).map_err(said).unwrap_err();
    for name in ["Listing", "Overview", "Product"] {
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }
    let error = Sample::read::<Fewer>(json(&Old::Product { id: 5 })).map(drop).map_err(said).unwrap_err();
    assert!(error.contains("does not read") && error.contains("id"), "{error}");
    assert!(Sample::read::<Fewer>(json(&Old::Listing)).is_ok());
}

#[test]
fn what_an_earlier_version_kept_by_place_is_read_to_its_last_byte() {
    let bytes = postcard::to_stdvec(&Old::Product { id: 5 }).unwrap();
    assert_eq!(placed::<Old>(&bytes).unwrap(), Old::Product { id: 5 });
    let more = [&bytes[..], &[0]].concat();
    assert!(matches!(placed::<Old>(&more), Err(StepError::Placed)));
    // Earlier versions stored the step `()` as nothing, as this version does.
    placed::<()>(&[]).unwrap();
    #[derive(Debug, Deserialize)]
    struct Empty {}
    placed::<Empty>(&[]).unwrap();
}

#[test]
fn all_that_serde_reads_back_is_kept() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Text(String),
        Both { a: u8, b: u8 },
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Skips {
        #[serde(skip_serializing_if = "Option::is_none")]
        page: Option<u32>,
        #[serde(flatten)]
        more: HashMap<String, String>,
    }
    assert_eq!(kept(&Untagged::Both { a: 1, b: 2 }).unwrap(), Untagged::Both { a: 1, b: 2 });
    assert_eq!(kept(&json!({ "a": [1, null, "x"] })).unwrap(), json!({ "a": [1, null, "x"] }));
    assert_eq!(kept(&Value::Null).unwrap(), Value::Null);
    let skips = Skips { page: None, more: [("a".into(), "b".into())].into() };
    assert_eq!(kept(&skips).unwrap(), skips);
    let set: HashSet<u32> = (0..100).collect();
    assert_eq!(kept(&set).unwrap(), set);
    assert_eq!(kept(&0.1f64.sqrt()).unwrap(), 0.1f64.sqrt());
    assert_eq!(kept(&u128::MAX).unwrap(), u128::MAX);
    assert_eq!(kept(&None::<u8>).unwrap(), None);
    kept(&()).unwrap();
}

#[test]
fn what_serde_does_not_read_back_is_an_error_in_words() {
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Shadowed {
        Short { a: u8 },
        Long { a: u8, b: u8 },
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Skips {
        #[serde(skip_serializing_if = "is_zero")]
        page: u32,
    }
    fn is_zero(page: &u32) -> bool {
        *page == 0
    }
    let error = kept(&Shadowed::Long { a: 1, b: 2 }).map(drop).map_err(said).unwrap_err();
    assert!(error.contains("another value") && error.contains(r#"{"a":1}"#), "{error}");
    kept(&Shadowed::Short { a: 1 }).unwrap();
    let error = kept(&Skips { page: 0 }).map(drop).map_err(said).unwrap_err();
    assert!(error.contains("missing field `page`"), "{error}");
    assert!(kept(&f64::NAN).is_err());
    let error = kept(&HashMap::from([((1, 2), 3)])).map(drop).map_err(said).unwrap_err();
    assert!(error.contains("no JSON form"), "{error}");
}

#[test]
fn a_shape_is_the_names_and_no_value() {
    assert_eq!(shape(&Old::Product { id: 1 }), shape(&Old::Product { id: 2 }));
    assert_ne!(shape(&Old::Product { id: 1 }), shape(&Old::Listing));
    assert_eq!(shape(&vec![Old::Listing]), shape(&vec![Old::Listing, Old::Listing]));
    assert_ne!(shape(&vec![Old::Listing]), shape(&vec![Old::Product { id: 1 }]));
    assert_eq!(shape(&"text"), None);
    assert_eq!(shape(&json!({ "any": { "key": 1 } })), None);
    assert_ne!(shape(&Some(Old::Listing)), None);
}
