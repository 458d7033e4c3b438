//! Steps of a spider as people write them: as JSON, or as a bare word.

use opilio_engine::Spider;
use serde::Serialize;
use serde_json::Value;

/// Reads a step: JSON, or a bare word for a step without fields.
///
/// # Errors
/// When the text is not a step of this spider.
pub(crate) fn read<S: Spider>(text: &str) -> Result<S::Step, String> {
    let from = |value: Value| serde_json::from_value::<S::Step>(value);
    let as_json = serde_json::from_str::<Value>(text).map(from);
    match as_json {
        Ok(Ok(step)) => Ok(step),
        // A bare word is not JSON, and a word such as 7 is JSON of another kind than the name of a step.
        Ok(Err(error)) => from(text.into()).map_err(|_| error.to_string()),
        Err(_) => from(text.into()).map_err(|error| error.to_string()),
    }
}

/// Returns the name of a step: the name of its variant, or else its JSON.
pub(crate) fn name(step: &impl Serialize) -> String {
    serde_json::to_value(step).as_ref().map(name_of).unwrap_or_default()
}

/// Does the same as [`name`] for a step that is written as JSON.
pub(crate) fn name_of(step: &Value) -> String {
    match step {
        Value::String(name) => name.clone(),
        Value::Object(fields) if fields.len() == 1 => fields.keys().cloned().collect(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use opilio_engine::{Found, Page, ParseError, Request};
    use serde::Deserialize;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Step {
        Listing,
        Product { category: String },
    }

    struct Shop;

    impl Spider for Shop {
        type Item = ();
        type Step = Step;

        fn seeds(&self) -> Vec<Request<Step>> {
            Vec::new()
        }

        fn parse(&self, _: &Page<Step>, _: &mut Found<Self>) -> Result<(), ParseError> {
            Ok(())
        }
    }

    #[test]
    fn a_step_is_json_or_a_bare_word() {
        let product = Step::Product { category: "lamps".into() };
        for (text, step) in [
            ("Listing", &Step::Listing),
            ("\"Listing\"", &Step::Listing),
            ("{\"Product\":{\"category\":\"lamps\"}}", &product),
        ] {
            assert_eq!(read::<Shop>(text).as_ref(), Ok(step));
        }
        let error = read::<Shop>("Produkt").unwrap_err();
        assert_eq!(error, "unknown variant `Produkt`, expected `Listing` or `Product`");
        assert!(read::<Shop>("7").is_err());
        let error = read::<Shop>("{\"Product\":{}}").unwrap_err();
        assert!(error.contains("missing field `category`"), "{error}");
        assert_eq!((name(&Step::Listing), name(&product)), ("Listing".to_owned(), "Product".to_owned()));
        assert_eq!(name(&()), "null");
    }
}
