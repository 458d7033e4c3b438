//! Reads the struct: its fields, their sources with all keys, and what contradicts what.

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Field, Fields, GenericArgument, Ident, LitStr, PathArguments,
    Result, Type,
};

use crate::arguments::{Arguments, Key, suggestion};
use crate::check::{self, Step};
use opilio_extract_grammar::NumberForm;

/// A struct to be read from pages.
pub(crate) struct Struct {
    pub(crate) name: Ident,
    pub(crate) library: Option<syn::Path>,
    pub(crate) each: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) fields: Vec<ReadField>,
}

/// A field.
pub(crate) struct ReadField {
    pub(crate) name: Ident,
    /// The type of one value.
    pub(crate) value: Type,
    pub(crate) count: Count,
    pub(crate) sources: Vec<ReadSource>,
}

/// How many values a field has.
pub(crate) enum Count {
    Single,
    Optional,
    /// With the expression of the default, if one was given.
    Defaulted(Option<Expr>),
    List,
}

/// A source.
pub(crate) struct ReadSource {
    pub(crate) place: Place,
    pub(crate) re: Option<String>,
    pub(crate) number: Option<NumberForm>,
    pub(crate) date: Option<String>,
    pub(crate) by: Option<By>,
}

/// Where a source is.
pub(crate) enum Place {
    Css { css: String, piece: ReadPiece, one: bool },
    Ld(String, Path),
    Micro(String, Path),
    Meta(String),
    Json(Path),
    JsonIn(String, Path),
    Page(Fact),
}

pub(crate) struct Path {
    pub(crate) written: String,
    pub(crate) steps: Vec<Step>,
}

pub(crate) enum ReadPiece {
    Text,
    OwnText,
    Raw,
    Html,
    Attr(String),
}

pub(crate) enum Fact {
    Url,
    Origin,
    Depth,
    FetchedAt,
    Header(String),
}

/// What makes a value of a text.
pub(crate) enum By {
    With(Expr),
    Parse,
}

const SOURCES: [&str; 7] = ["css", "ld", "micro", "meta", "json", "json_in", "page"];
const VALUE_KEYS: [&str; 6] = ["re", "with", "parse", "number", "date", "default"];
const CSS_KEYS: [&str; 5] = ["attr", "own_text", "raw", "html", "one"];
const FACTS: [&str; 5] = ["url", "origin", "depth", "fetched_at", "header"];

/// All errors of a struct, so that one build shows them together.
#[derive(Default)]
struct Errors(Option<Error>);

impl Errors {
    fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }
}

impl Struct {
    pub(crate) fn read(input: &DeriveInput) -> Result<Self> {
        let Data::Struct(data) = &input.data else {
            return Err(Error::new(
                input.ident.span(),
                "`Extract` reads structs: an enum has no fields to read",
            ));
        };
        let Fields::Named(named) = &data.fields else {
            return Err(Error::new(input.ident.span(), "`Extract` reads structs with named fields"));
        };
        if let Some(parameter) = input.generics.params.first() {
            return Err(Error::new(
                parameter.span(),
                "`Extract` reads structs without type parameters and lifetimes",
            ));
        }
        let mut errors = Errors::default();
        let fields = named.named.iter().filter_map(|field| ReadField::read(field, &mut errors)).collect();
        let mut read = Self { name: input.ident.clone(), library: None, each: None, key: None, fields };
        for attribute in &input.attrs {
            if attribute.path().is_ident("extract") {
                let read =
                    read.options(attribute, named.named.iter().filter_map(|field| field.ident.as_ref()));
                errors.take(read);
            } else if let Some(source) = SOURCES.iter().find(|source| attribute.path().is_ident(source)) {
                let message = format!("`#[{source}]` stands above a field, not above the struct");
                errors.add(Error::new(attribute.span(), message));
            }
        }
        errors.0.map_or(Ok(read), Err)
    }

    /// Reads `#[extract(…)]`.
    fn options<'f>(&mut self, attribute: &Attribute, fields: impl Iterator<Item = &'f Ident>) -> Result<()> {
        let arguments = Arguments::of(attribute)?;
        if let Some(text) = arguments.texts.first() {
            return Err(Error::new(text.span(), "write `each = \".card\"` or `key = \"sku\"`"));
        }
        let fields: Vec<String> = fields.map(ToString::to_string).collect();
        for key in &arguments.keys {
            match key.name.to_string().as_str() {
                "each" => self.each = Some(check::selector(&key.text("each = \".card\"")?, "each")?),
                "key" => {
                    let text = key.text("key = \"sku\"")?;
                    let name = text.value();
                    if !fields.contains(&name) {
                        let meant = suggestion(&name, fields.iter().map(String::as_str));
                        let meant =
                            meant.map(|meant| format!(": `{meant}` has a similar name")).unwrap_or_default();
                        let message = format!("the struct has no field `{name}`{meant}");
                        return Err(Error::new(text.span(), message));
                    }
                    self.key = Some(name);
                }
                "crate" => {
                    let text = key.text("crate = \"opilio::extract\"")?;
                    self.library = Some(text.parse()?);
                }
                _ => return Err(unknown(&key.name, "extract", &["each", "key", "crate"])),
            }
        }
        Ok(())
    }
}

impl ReadField {
    fn read(field: &Field, errors: &mut Errors) -> Option<Self> {
        let name = field.ident.clone()?;
        let mut sources: Vec<(Option<ReadSource>, Option<Key>)> = Vec::new();
        for attribute in &field.attrs {
            let found = SOURCES.iter().find(|source| attribute.path().is_ident(source));
            match found {
                Some(source) => {
                    sources.push(read_source(source, attribute, errors));
                }
                None if attribute.path().is_ident("extract") => {
                    errors.add(Error::new(
                        attribute.span(),
                        "`#[extract]` stands above the struct, not above a field",
                    ));
                }
                None => {}
            }
        }
        if sources.is_empty() {
            let message = format!(
                "the field `{name}` has no source: write #[css(\"…\")] above it, or #[ld], #[micro], #[meta], #[json], #[json_in], #[page]"
            );
            errors.add(Error::new(name.span(), message));
            return None;
        }
        let (count, value) = errors.take(count_of(&field.ty))?;
        let last = sources.len() - 1;
        let mut default = None;
        for (at, (_, key)) in sources.iter_mut().enumerate() {
            let Some(key) = key.take() else { continue };
            if at < last {
                let message = "`default` is for a field where none of its sources has anything: write it in the last source";
                errors.add(Error::new(key.name.span(), message));
            } else {
                default = Some(key);
            }
        }
        let count = match (count, default) {
            (count, None) => count,
            (Count::Single, Some(key)) => Count::Defaulted(key.value),
            (Count::Optional, Some(key)) => {
                let inner = value.to_token_stream();
                let message = format!(
                    "`default` contradicts `Option`, which is `None` where nothing is there: write `{name}: {inner}`, or no `default`"
                );
                errors.add(Error::new(key.name.span(), message));
                Count::Optional
            }
            (count, Some(key)) => {
                let message = "`default` contradicts `Vec`, which has nothing in it where nothing is there";
                errors.add(Error::new(key.name.span(), message));
                count
            }
        };
        let sources: Option<Vec<ReadSource>> = sources.into_iter().map(|(source, _)| source).collect();
        let read = Self { name, value, count, sources: sources? };
        read.check(&field.attrs, errors);
        Some(read)
    }

    /// What contradicts the type of the field.
    fn check(&self, attributes: &[Attribute], errors: &mut Errors) {
        let spans = attributes.iter().filter(|a| SOURCES.iter().any(|source| a.path().is_ident(source)));
        let kind = simple_name(&self.value).unwrap_or_default();
        for (source, attribute) in self.sources.iter().zip(spans) {
            let is_list = matches!(self.count, Count::List);
            if is_list && matches!(source.place, Place::Css { one: true, .. }) {
                errors.add(at_key(
                    attribute,
                    "one",
                    "`one` asks for a single match, and a `Vec` takes all of them",
                ));
            }
            if source.by.is_some() {
                continue;
            }
            let other = matches!(kind.as_str(), "String" | "bool" | "Url");
            if source.number.is_some() && (other || is_date(&kind)) {
                errors.add(at_key(
                    attribute,
                    "number",
                    &format!("`number` says how numbers are written, and a `{kind}` is none"),
                ));
            }
            if source.date.is_some() && (other || is_number(&kind)) {
                errors.add(at_key(
                    attribute,
                    "date",
                    &format!("`date` says how dates are written, and a `{kind}` is none"),
                ));
            }
        }
    }
}

fn is_number(name: &str) -> bool {
    matches!(
        name,
        "u8" | "u16"
            | "u32"
            | "u64"
            | "usize"
            | "i8"
            | "i16"
            | "i32"
            | "i64"
            | "isize"
            | "f32"
            | "f64"
            | "Decimal"
            | "Price"
    )
}

fn is_date(name: &str) -> bool {
    matches!(name, "Date" | "DateTime" | "Time" | "Timestamp")
}

/// An error at a key of an attribute.
fn at_key(attribute: &Attribute, key: &str, message: &str) -> Error {
    let keys = Arguments::of(attribute).map(|arguments| arguments.keys).unwrap_or_default();
    let span = keys.iter().find(|known| known.name == key).map_or(attribute.span(), |key| key.name.span());
    Error::new(span, message)
}

/// The name of a type that is only a name.
fn simple_name(value: &Type) -> Option<String> {
    let Type::Path(path) = value else { return None };
    path.path.segments.last().map(|segment| segment.ident.to_string())
}

/// How many values a type holds, and the type of one.
fn count_of(whole: &Type) -> Result<(Count, Type)> {
    let Some((outer, inner)) = wrapped(whole) else { return Ok((Count::Single, whole.clone())) };
    if let Some((nested, _)) = wrapped(inner) {
        let message = match (outer, nested) {
            ("Option", "Vec") => {
                "a `Vec` has nothing in it where nothing is there: write it without `Option`"
            }
            ("Option", _) => "write one `Option`",
            (_, "Option") => "a `Vec` leaves out what is not there: write it without `Option`",
            _ => "a field is one list and not a list of lists: write a struct with a `Vec` for the inner one",
        };
        return Err(Error::new(whole.span(), message));
    }
    let count = if outer == "Option" { Count::Optional } else { Count::List };
    Ok((count, inner.clone()))
}

/// The type in an `Option` or a `Vec`.
fn wrapped(whole: &Type) -> Option<(&'static str, &Type)> {
    let Type::Path(path) = whole else { return None };
    let last = path.path.segments.last()?;
    let outer = ["Option", "Vec"].into_iter().find(|outer| last.ident == outer)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some((outer, inner)),
        _ => None,
    }
}

/// Reads a source, and the key of its default. `None` for a source that is wrong: its errors are noted.
fn read_source(
    source: &str,
    attribute: &Attribute,
    errors: &mut Errors,
) -> (Option<ReadSource>, Option<Key>) {
    let Some(Arguments { texts, keys }) = errors.take(Arguments::of(attribute)) else { return (None, None) };
    let place = errors.take(place(source, attribute, &texts, &keys));
    let mut read = Values::default();
    for key in keys {
        let name = key.name.to_string();
        let is_known = VALUE_KEYS.contains(&name.as_str());
        let is_of_place = match source {
            "css" => CSS_KEYS.contains(&name.as_str()),
            "page" => FACTS.contains(&name.as_str()),
            _ => false,
        };
        if is_known {
            let taken = read.take(key);
            errors.take(taken);
        } else if !is_of_place {
            errors.add(unknown_key(&key.name, source));
        }
    }
    let checked = read.check();
    errors.take(checked);
    let Values { re, number, date, by, default } = read;
    let number = number.map(|(_, form)| form);
    let date = date.map(|(_, format)| format);
    let by = by.map(|(_, by)| by);
    (place.map(|place| ReadSource { place, re, number, date, by }), default)
}

/// The keys that say how a text becomes a value.
#[derive(Default)]
struct Values {
    re: Option<String>,
    number: Option<(Ident, NumberForm)>,
    date: Option<(Ident, String)>,
    by: Option<(Ident, By)>,
    default: Option<Key>,
}

impl Values {
    fn take(&mut self, key: Key) -> Result<()> {
        let name = key.name.clone();
        let is_again = match name.to_string().as_str() {
            "re" => self.re.replace(check::expression(&key.text("re = r\"([0-9]+) left\"")?)?).is_some(),
            "number" => {
                let form = check::number(&key.text("number = \"1.234,56\"")?)?;
                self.number.replace((name.clone(), form)).is_some()
            }
            "date" => {
                let format = check::date(&key.text("date = \"%d.%m.%Y\"")?)?;
                self.date.replace((name.clone(), format)).is_some()
            }
            "with" => {
                let Some(function) = key.value else {
                    return Err(Error::new(name.span(), "`with` needs a function: write `with = function`"));
                };
                if let Expr::Lit(text) = &function {
                    return Err(Error::new(
                        text.span(),
                        "`with` has a function and not a text: write `with = function`",
                    ));
                }
                if self.by.is_some() {
                    return Err(Error::new(
                        name.span(),
                        "`with` and `parse` both make the value: write one of them",
                    ));
                }
                self.by = Some((name.clone(), By::With(function)));
                false
            }
            "parse" => {
                key.no_value()?;
                if self.by.is_some() {
                    return Err(Error::new(
                        name.span(),
                        "`with` and `parse` both make the value: write one of them",
                    ));
                }
                self.by = Some((name.clone(), By::Parse));
                false
            }
            _ => self.default.replace(key).is_some(),
        };
        if is_again { Err(Error::new(name.span(), format!("`{name}` is there twice"))) } else { Ok(()) }
    }

    fn check(&self) -> Result<()> {
        let form = self.number.as_ref().map(|(name, _)| name).or(self.date.as_ref().map(|(name, _)| name));
        match (&self.by, form) {
            (Some((by, _)), Some(form)) => {
                let message = format!(
                    "`{form}` says how the text is read, and `{by}` reads it by itself: write one of them"
                );
                Err(Error::new(form.span(), message))
            }
            _ => match (&self.number, &self.date) {
                (Some(_), Some((date, _))) => {
                    Err(Error::new(date.span(), "a value is a number or a date: write `number` or `date`"))
                }
                _ => Ok(()),
            },
        }
    }
}

/// Where a source is.
fn place(source: &str, attribute: &Attribute, texts: &[LitStr], keys: &[Key]) -> Result<Place> {
    let wants = |example: &str| Error::new(attribute.span(), format!("write `#[{example}]`"));
    let few = |max: usize, example: &str| match texts.get(max) {
        Some(text) => Err(Error::new(text.span(), format!("one text too many: write `#[{example}]`"))),
        None => Ok(()),
    };
    match source {
        "css" => {
            let example = "css(\"h1\")";
            few(1, "css(\"h1, h2\")")?;
            let css = check::selector(texts.first().ok_or_else(|| wants(example))?, "css")?;
            let one = keys.iter().find(|key| key.name == "one");
            one.map_or(Ok(()), Key::no_value)?;
            Ok(Place::Css { css, piece: piece(keys)?, one: one.is_some() })
        }
        "ld" | "micro" => {
            let example = format!("{source}(\"Product\", \"offers.price\")");
            few(2, &example)?;
            let kind = not_empty(
                texts.first().ok_or_else(|| wants(&example))?,
                "the type is empty, such as `Product`",
            )?;
            let path = texts.get(1).map_or(Ok(Path { written: String::new(), steps: Vec::new() }), path)?;
            Ok(if source == "ld" { Place::Ld(kind, path) } else { Place::Micro(kind, path) })
        }
        "meta" => {
            let example = "meta(\"og:title\")";
            few(1, example)?;
            let name = texts.first().ok_or_else(|| wants(example))?;
            Ok(Place::Meta(not_empty(name, "the name of the meta is empty")?))
        }
        "json" => {
            let example = "json(\"items[0].name\")";
            few(1, example)?;
            Ok(Place::Json(path(texts.first().ok_or_else(|| wants(example))?)?))
        }
        "json_in" => {
            let example = "json_in(\"script#data\", \"items[0].name\")";
            few(2, example)?;
            let (Some(css), Some(path)) = (texts.first(), texts.get(1)) else { return Err(wants(example)) };
            Ok(Place::JsonIn(check::selector(css, "json_in")?, self::path(path)?))
        }
        _ => {
            if let Some(text) = texts.first() {
                return Err(Error::new(text.span(), format!("write one of {}", FACTS.join(", "))));
            }
            fact(attribute, keys).map(Place::Page)
        }
    }
}

fn path(text: &LitStr) -> Result<Path> {
    Ok(Path { written: text.value(), steps: check::path(text)? })
}

fn not_empty(text: &LitStr, message: &str) -> Result<String> {
    let value = text.value();
    if value.trim().is_empty() { Err(Error::new(text.span(), message)) } else { Ok(value) }
}

/// The part of an element.
fn piece(keys: &[Key]) -> Result<ReadPiece> {
    let mut found: Option<(&Ident, ReadPiece)> = None;
    for key in keys {
        let piece = match key.name.to_string().as_str() {
            "attr" => {
                let name = key.text("attr = \"href\"")?;
                let value = not_empty(&name, "the name of the attribute is empty")?;
                if value.starts_with('@')
                    || value.contains(|c: char| c.is_whitespace() || matches!(c, '=' | '[' | ']'))
                {
                    let message = "this is no name of an attribute: write it alone, as in `attr = \"href\"`";
                    return Err(Error::new(name.span(), message));
                }
                ReadPiece::Attr(value)
            }
            "own_text" => ReadPiece::OwnText,
            "raw" => ReadPiece::Raw,
            "html" => ReadPiece::Html,
            _ => continue,
        };
        if !matches!(piece, ReadPiece::Attr(_)) {
            key.no_value()?;
        }
        if let Some((first, _)) = found {
            let message =
                format!("`{first}` and `{}` are two parts of an element: write one of them", key.name);
            return Err(Error::new(key.name.span(), message));
        }
        found = Some((&key.name, piece));
    }
    Ok(found.map_or(ReadPiece::Text, |(_, piece)| piece))
}

/// The fact of a page.
fn fact(attribute: &Attribute, keys: &[Key]) -> Result<Fact> {
    let mut facts = keys.iter().filter(|key| FACTS.contains(&key.name.to_string().as_str()));
    let Some(key) = facts.next() else {
        let message = format!("write one of {} in `#[page(…)]`", FACTS.join(", "));
        let unknown = keys.iter().find(|key| !VALUE_KEYS.contains(&key.name.to_string().as_str()));
        // An unknown key is told with a suggestion.
        let span = if unknown.is_some() {
            return Err(unknown_key(&unknown_name(keys), "page"));
        } else {
            attribute.span()
        };
        return Err(Error::new(span, message));
    };
    if let Some(second) = facts.next() {
        return Err(Error::new(second.name.span(), "a field is one fact of the page"));
    }
    let name = key.name.to_string();
    if name != "header" {
        key.no_value()?;
    }
    Ok(match name.as_str() {
        "url" => Fact::Url,
        "origin" => Fact::Origin,
        "depth" => Fact::Depth,
        "fetched_at" => Fact::FetchedAt,
        _ => Fact::Header(not_empty(
            &key.text("header = \"last-modified\"")?,
            "the name of the header field is empty",
        )?),
    })
}

fn unknown_name(keys: &[Key]) -> Ident {
    let unknown = keys.iter().find(|key| !VALUE_KEYS.contains(&key.name.to_string().as_str()));
    unknown.map_or_else(|| Ident::new("page", Span::call_site()), |key| key.name.clone())
}

/// A key that a source does not have.
fn unknown_key(name: &Ident, source: &str) -> Error {
    let written = name.to_string();
    if source != "css" && CSS_KEYS.contains(&written.as_str()) {
        return Error::new(name.span(), format!("`{written}` is a key of `#[css]`, which reads elements"));
    }
    let mut known = VALUE_KEYS.to_vec();
    match source {
        "css" => known.extend(CSS_KEYS),
        "page" => known.extend(FACTS),
        _ => {}
    }
    // What other tools call it.
    let meant = match written.as_str() {
        "attribute" | "href" | "src" if source == "css" => Some("attr"),
        "text" if source == "css" => Some("own_text"),
        "regex" | "regexp" | "pattern" => Some("re"),
        "map" | "func" | "function" | "process" => Some("with"),
        "from_str" => Some("parse"),
        "format" => Some("date"),
        "or" | "fallback" | "unwrap_or" => Some("default"),
        _ => None,
    };
    match meant {
        Some(meant) => {
            let hint = match (written.as_str(), meant) {
                ("href" | "src", _) => format!("write `attr = \"{written}\"`"),
                ("text", _) => {
                    "the text is read anyway; `own_text` leaves out that of elements below".to_owned()
                }
                _ => format!("write `{meant}`"),
            };
            Error::new(name.span(), format!("`{written}` is no key of `#[{source}]`: {hint}"))
        }
        None => unknown(name, source, &known),
    }
}

fn unknown(name: &Ident, attribute: &str, known: &[&str]) -> Error {
    let written = name.to_string();
    let hint = match suggestion(&written, known.iter().copied()) {
        Some(meant) => format!("write `{meant}`"),
        None => format!("its keys are {}", known.join(", ")),
    };
    Error::new(name.span(), format!("`{written}` is no key of `#[{attribute}]`: {hint}"))
}
