//! Reads the arguments of an attribute such as `#[css("h1", one)]`: first the string literals, then the keys, which
//! may have values.

use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, Token};

/// The arguments in the brackets of an attribute.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) texts: Vec<LitStr>,
    pub(crate) keys: Vec<Key>,
}

/// A key, such as `attr` or `one`, with its value if it has one.
pub(crate) struct Key {
    pub(crate) name: Ident,
    pub(crate) value: Option<Expr>,
}

impl Arguments {
    pub(crate) fn of(attribute: &Attribute) -> syn::Result<Self> {
        match &attribute.meta {
            Meta::Path(_) => Ok(Self::default()),
            Meta::List(list) => list.parse_args(),
            Meta::NameValue(pair) => {
                let name = attribute.path().get_ident().map(ToString::to_string).unwrap_or_default();
                Err(syn::Error::new(pair.eq_token.span(), format!("write `#[{name}(…)]` with brackets")))
            }
        }
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            if input.peek(Lit) {
                match input.parse()? {
                    Lit::Str(text) if arguments.keys.is_empty() => arguments.texts.push(text),
                    other => return Err(syn::Error::new(other.span(), "texts stand in front, then keys")),
                }
            } else if input.peek(Ident::peek_any) {
                let name = input.call(Ident::parse_any)?;
                let value =
                    if input.parse::<Option<Token![=]>>()?.is_some() { Some(input.parse()?) } else { None };
                arguments.keys.push(Key { name, value });
            } else {
                return Err(input.error("a text or a key is expected"));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Key {
    /// Returns the value of a key whose value must be a string literal. `example` is a correct key that the error
    /// shows.
    pub(crate) fn text(&self, example: &str) -> syn::Result<LitStr> {
        let name = &self.name;
        match &self.value {
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => Ok(text.clone()),
            Some(other) => {
                Err(syn::Error::new(other.span(), format!("`{name}` has a text: write `{example}`")))
            }
            None => Err(syn::Error::new(name.span(), format!("`{name}` needs a text: write `{example}`"))),
        }
    }

    /// Fails if this key has a value, for keys that take no value.
    pub(crate) fn no_value(&self) -> syn::Result<()> {
        let name = &self.name;
        self.value.as_ref().map_or(Ok(()), |value| {
            Err(syn::Error::new(value.span(), format!("`{name}` has no value: write `{name}` alone")))
        })
    }
}

/// Returns the known name that is most similar to a misspelt name, if one is similar enough.
pub(crate) fn suggestion<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let close = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    close.filter(|(distance, known)| *distance <= 1 + known.len() / 4).min().map(|(_, known)| known)
}
