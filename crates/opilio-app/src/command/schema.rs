//! The command `schema`: prints which fields the spider's items have, and where each field is read.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, ArgMatches};
use opilio_extract::typed::{ExtractPlan, FieldPlan, FieldShape, SourcePlan, ValueKind};
use serde_json::{Value, json};

use super::{own_flag, own_id, print};
use crate::exit::Failure;

/// The flags that only this command has.
pub(super) fn flags() -> Vec<Arg> {
    vec![
        own_flag(JSON)
            .action(ArgAction::SetTrue)
            .help("Prints one JSON object for each struct, on a line of its own"),
    ]
}

/// Prints the fields of the structs that the program has named, and of the structs in them.
///
/// # Errors
/// When the program has named no struct, or stdout cannot be written.
pub(crate) fn run(plans: &[&'static ExtractPlan], matches: &ArgMatches) -> Result<(), Failure> {
    if plans.is_empty() {
        return Err(Failure::usage(anyhow::anyhow!(
            "this program does not say which structs its spider reads: write \
             opilio::App::new(Spider).extracts::<Item>().main(), with the struct that derives Extract"
        )));
    }
    let all = with_inner(plans);
    let text = if matches.get_flag(&own_id(JSON)) {
        all.iter().map(|plan| format!("{}\n", as_json(plan))).collect()
    } else {
        let texts: Vec<String> = all.iter().map(|plan| as_text(plan)).collect();
        texts.join("\n")
    };
    print(text.as_bytes())
}

/// Returns the plans and those of all structs in their fields, each once.
fn with_inner(plans: &[&'static ExtractPlan]) -> Vec<&'static ExtractPlan> {
    let mut all: Vec<&'static ExtractPlan> = Vec::new();
    let mut next: Vec<&'static ExtractPlan> = plans.iter().rev().copied().collect();
    while let Some(plan) = next.pop() {
        // Two structs may have one name, so the places of their fields are compared.
        if all.iter().any(|known| known.name == plan.name && std::ptr::eq(known.fields, plan.fields)) {
            continue;
        }
        all.push(plan);
        let inner = plan.fields.iter().rev().filter_map(|field| match field.kind {
            ValueKind::Struct(inner) => Some(inner()),
            _ => None,
        });
        next.extend(inner);
    }
    all
}

fn as_text(plan: &ExtractPlan) -> String {
    let mut text = plan.name.to_owned();
    let each = plan.each.map(|css| format!("each = {css:?}"));
    let key = plan.key.map(|key| format!("key = {key:?}"));
    let facts: Vec<String> = each.into_iter().chain(key).collect();
    if !facts.is_empty() {
        text.push_str(&format!("  ({})", facts.join(", ")));
    }
    text.push('\n');
    let names = plan.fields.iter().map(|field| field.name.chars().count()).max().unwrap_or(0);
    let types = plan.fields.iter().map(|field| type_of(field).chars().count()).max().unwrap_or(0);
    for field in plan.fields {
        let sources = sources(field).join(", or ");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:names$}  {:types$}  {sources}", field.name, type_of(field));
    }
    text
}

fn as_json(plan: &ExtractPlan) -> Value {
    let field = |field: &FieldPlan| {
        let shape = match field.shape {
            FieldShape::Single => "single",
            FieldShape::Optional => "optional",
            FieldShape::Defaulted => "default",
            FieldShape::List => "list",
        };
        json!({ "name": field.name, "type": kind(field), "shape": shape, "sources": sources(field) })
    };
    let fields: Vec<Value> = plan.fields.iter().map(field).collect();
    json!({ "struct": plan.name, "each": plan.each, "key": plan.key, "fields": fields })
}

/// Returns the type of a field in words, such as `list of URLs`.
fn type_of(field: &FieldPlan) -> String {
    let kind = kind(field);
    match field.shape {
        FieldShape::Single => kind.to_owned(),
        FieldShape::Optional => format!("{kind}, optional"),
        FieldShape::Defaulted => format!("{kind}, with a default"),
        FieldShape::List => format!("list of {kind}"),
    }
}

fn kind(field: &FieldPlan) -> &'static str {
    match field.kind {
        ValueKind::Text => "text",
        ValueKind::Bool => "bool",
        ValueKind::Whole => "whole number",
        ValueKind::Float => "float",
        ValueKind::Decimal => "decimal",
        ValueKind::Url => "URL",
        ValueKind::Price => "price",
        ValueKind::Date => "date",
        ValueKind::Custom => "custom",
        ValueKind::Struct(inner) => inner().name,
    }
}

/// Returns the sources of a field as they are written above it, without `#[` and `]`.
fn sources(field: &FieldPlan) -> Vec<String> {
    field.sources.iter().map(source).collect()
}

/// Returns a source as it is written in the attribute above a field.
pub(super) fn source(source: &SourcePlan) -> String {
    let SourcePlan { at, re, number, date, by } = source;
    let mut text = at.to_string();
    let more = [
        re.map(|re| format!("re = {re:?}")),
        number.map(|form| format!("number = {:?}", form.example())),
        date.map(|format| format!("date = {format:?}")),
        by.map(|by| if by == "parse" { by.to_owned() } else { format!("with = {by}") }),
    ];
    for more in more.into_iter().flatten() {
        text.truncate(text.trim_end_matches(')').len());
        text.push_str(&format!(", {more})"));
    }
    text
}

const JSON: &str = "json";

pub(super) const ABOUT: &str = "\
Prints which fields the spider's items have: the type of each field, and the sources from which it is read.

The program names the structs by App::extracts. Structs in their fields are printed, too.";

#[cfg(test)]
mod tests {
    use opilio_extract::{Decimal, Extract};
    use url::Url;

    use super::*;

    #[derive(Extract)]
    #[extract(each = ".card", key = "sku")]
    #[expect(dead_code, reason = "only its plan is read")]
    struct Card {
        #[css(":scope", attr = "data-sku")]
        sku: String,
        #[ld("Product", "offers.price")]
        #[css(".price", number = "1.234,56")]
        price: Decimal,
        #[css("a", re = "(.+)", default)]
        name: String,
        #[css("time", date = "%d.%m.%Y")]
        since: Option<opilio_extract::jiff::civil::Date>,
        #[css("img:not(.x)", attr = "src")]
        images: Vec<Url>,
        #[css("p", with = length)]
        length: usize,
        #[css(".size", parse)]
        size: std::net::IpAddr,
        #[css(".review")]
        reviews: Vec<Review>,
    }

    #[derive(Extract)]
    #[expect(dead_code, reason = "only its plan is read")]
    struct Review {
        #[css(":scope", attr = "data-stars")]
        stars: u8,
        #[css(".answer")]
        answers: Vec<Review>,
    }

    fn length(text: &str) -> Result<usize, String> {
        Ok(text.len())
    }

    #[test]
    fn a_program_that_names_no_struct_says_how_to_name_one() {
        let matches = clap::Command::new("schema").args(flags()).get_matches_from(["schema"]);
        let Err(Failure::Usage(error)) = run(&[], &matches) else { panic!("it has no struct") };
        assert!(error.to_string().contains(".extracts::<Item>()"), "{error}");
    }

    #[test]
    fn fields_are_listed_with_their_sources_and_inner_structs_once() {
        let all = with_inner(&[Card::PLAN]);
        let text: String = all.iter().map(|plan| as_text(plan)).collect();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "Card  (each = \".card\", key = \"sku\")",
                "  sku      text                  css(\":scope\", attr = \"data-sku\")",
                "  price    decimal               ld(\"Product\", \"offers.price\"), or css(\".price\", number = \"1.234,56\")",
                "  name     text, with a default  css(\"a\", re = \"(.+)\")",
                "  since    date, optional        css(\"time\", date = \"%d.%m.%Y\")",
                "  images   list of URL           css(\"img:not(.x)\", attr = \"src\")",
                "  length   custom                css(\"p\", with = length)",
                "  size     custom                css(\".size\", parse)",
                "  reviews  list of Review        css(\".review\")",
                "Review",
                "  stars    whole number    css(\":scope\", attr = \"data-stars\")",
                "  answers  list of Review  css(\".answer\")",
            ],
            "{text}"
        );
        assert_eq!(
            as_json(Review::PLAN)["fields"][0],
            json!({
                "name": "stars", "type": "whole number", "shape": "single",
                "sources": ["css(\":scope\", attr = \"data-stars\")"],
            })
        );
    }
}
