//! Reads the struct: its fields, and the keys of their attributes, which must fit the types of the fields.

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Field, Fields, GenericArgument, Ident, PathArguments, Result,
    Type,
};

use crate::arguments::{Arguments, Key, suggestion};
use crate::check::{self, Step};
use crate::source::{read_source, unknown};
use opilio_extract_grammar::NumberForm;

/// The parsed definition of a struct that derives `Extract`.
pub(crate) struct Struct {
    pub(crate) name: Ident,
    pub(crate) library: Option<syn::Path>,
    pub(crate) each: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) fields: Vec<ReadField>,
}

/// The parsed definition of a field of the struct.
pub(crate) struct ReadField {
    pub(crate) name: Ident,
    /// The type of one value of the field: the type inside `Option` or `Vec`, else the whole type.
    pub(crate) value: Type,
    pub(crate) count: ReadCount,
    pub(crate) sources: Vec<ReadSource>,
}

/// The number of values that a field may have.
pub(crate) enum ReadCount {
    Single,
    Optional,
    /// One value, or a default if the page has none. Contains the expression of the default, if one was given.
    Defaulted(Option<Expr>),
    List,
}

/// A source of a field, and the way in which its text becomes a value.
pub(crate) struct ReadSource {
    pub(crate) place: Place,
    pub(crate) re: Option<String>,
    pub(crate) number: Option<NumberForm>,
    pub(crate) date: Option<String>,
    pub(crate) by: Option<By>,
}

/// The place in which a source looks for a value.
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
    RequestedUrl,
    Depth,
    FetchedAt,
    Header(String),
}

/// The way in which a value is made of a text, if the type of the field does not determine it.
pub(crate) enum By {
    With(Expr),
    Parse,
}

const SOURCES: [&str; 7] = ["css", "ld", "micro", "meta", "json", "json_in", "page"];

/// Collects all errors of a struct, so that one compilation shows them together.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn take<T>(&mut self, result: Result<T>) -> Option<T> {
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

    /// Reads the attribute `#[extract(…)]` of the struct.
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
            (ReadCount::Single, Some(key)) => ReadCount::Defaulted(key.value),
            (ReadCount::Optional, Some(key)) => {
                let inner = value.to_token_stream();
                let message = format!(
                    "`default` contradicts `Option`, which is `None` where nothing is there: write `{name}: {inner}`, or no `default`"
                );
                errors.add(Error::new(key.name.span(), message));
                ReadCount::Optional
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

    /// Reports the keys of the field's attributes that do not fit the type of the field.
    fn check(&self, attributes: &[Attribute], errors: &mut Errors) {
        let spans = attributes.iter().filter(|a| SOURCES.iter().any(|source| a.path().is_ident(source)));
        let kind = simple_name(&self.value).unwrap_or_default();
        for (source, attribute) in self.sources.iter().zip(spans) {
            let is_list = matches!(self.count, ReadCount::List);
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

/// Returns an error that points to a key of an attribute.
fn at_key(attribute: &Attribute, key: &str, message: &str) -> Error {
    let keys = Arguments::of(attribute).map(|arguments| arguments.keys).unwrap_or_default();
    let span = keys.iter().find(|known| known.name == key).map_or(attribute.span(), |key| key.name.span());
    Error::new(span, message)
}

/// Returns the last name in the path of a type, without its arguments: `Url` for `url::Url`.
fn simple_name(value: &Type) -> Option<String> {
    let Type::Path(path) = value else { return None };
    path.path.segments.last().map(|segment| segment.ident.to_string())
}

/// Returns the number of values that a field of this type may have, and the type of one value.
fn count_of(whole: &Type) -> Result<(ReadCount, Type)> {
    let Some((outer, inner)) = wrapped(whole) else { return Ok((ReadCount::Single, whole.clone())) };
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
    let count = if outer == "Option" { ReadCount::Optional } else { ReadCount::List };
    Ok((count, inner.clone()))
}

/// Returns the name `Option` or `Vec`, and the type inside it; `None` for any other type.
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
