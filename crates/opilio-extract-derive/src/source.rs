//! Reads the attribute of a source: the place in which it looks, and the keys that say how a text becomes a value.

use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, Ident, LitStr, Result};

use crate::arguments::{Arguments, Key, suggestion};
use crate::check;
use crate::input::{By, Errors, Fact, Path, Place, ReadPiece, ReadSource};
use opilio_extract_grammar::NumberForm;

/// Reads a source, and the default that is given in the same attribute. Returns `None` for a source with mistakes,
/// after adding the mistakes to the errors.
pub(crate) fn read_source(
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
            "page" => is_fact(&name),
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

/// The keys of a source that determine how a text becomes a value.
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

/// Reads the place in which a source looks for a value.
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
            if let [only] = texts
                && only.value().starts_with(|first: char| first.is_lowercase())
                && !only.value().contains(['/', ':'])
            {
                let word = only.value();
                let message = format!(
                    "this is the type of an object; to read {word}, write its type first: `#[{source}(\"Product\", \"{word}\")]`"
                );
                return Err(Error::new(only.span(), message));
            }
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

/// Reads the part of an element that becomes the text of the value.
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

/// Reads the fact of the page (URL, depth and so on) that becomes the value.
fn fact(attribute: &Attribute, keys: &[Key]) -> Result<Fact> {
    let mut facts = keys.iter().filter(|key| is_fact(&key.name.to_string()));
    let Some(key) = facts.next() else {
        let unknown = keys.iter().find(|key| !VALUE_KEYS.contains(&key.name.to_string().as_str()));
        return Err(match unknown {
            Some(key) => unknown_key(&key.name, "page"),
            None => {
                Error::new(attribute.span(), format!("write one of {} in `#[page(…)]`", FACTS.join(", ")))
            }
        });
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
        "requested_url" | "origin" => Fact::RequestedUrl,
        "depth" => Fact::Depth,
        "fetched_at" => Fact::FetchedAt,
        _ => Fact::Header(not_empty(
            &key.text("header = \"last-modified\"")?,
            "the name of the header field is empty",
        )?),
    })
}

/// Returns the error about a key that this kind of source does not have.
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
    // The names on the left are used by other tools. Each is mapped to the key of this macro with the same meaning.
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

pub(crate) fn unknown(name: &Ident, attribute: &str, known: &[&str]) -> Error {
    let written = name.to_string();
    let hint = match suggestion(&written, known.iter().copied()) {
        Some(meant) => format!("write `{meant}`"),
        None => format!("its keys are {}", known.join(", ")),
    };
    Error::new(name.span(), format!("`{written}` is no key of `#[{attribute}]`: {hint}"))
}

const VALUE_KEYS: [&str; 6] = ["re", "with", "parse", "number", "date", "default"];
const CSS_KEYS: [&str; 5] = ["attr", "own_text", "raw", "html", "one"];
const FACTS: [&str; 5] = ["url", "requested_url", "depth", "fetched_at", "header"];

/// Returns whether a key names a fact of the page. `origin` is another name of `requested_url`; errors do not list it,
/// since an origin is scheme, name and port elsewhere.
fn is_fact(name: &str) -> bool {
    FACTS.contains(&name) || name == "origin"
}
