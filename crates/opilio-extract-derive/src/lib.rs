//! The derive macro behind `#[derive(Extract)]`. The trait `Extract` in `opilio-extract` has the documentation of
//! the macro, and `opilio-extract` contains all code that runs at run time.
//!
//! | module | does |
//! | --- | --- |
//! | `arguments` | reads the words in an attribute, without their meaning |
//! | `input` | reads the struct: its fields, and what contradicts their types |
//! | `source` | reads the attribute of a source: its place and its keys |
//! | `check` | checks literals: selectors, paths, regular expressions, forms of numbers and dates |
//! | `write` | writes the plan and the calls for the fields |

use proc_macro::TokenStream;
use syn::{DeriveInput, Path, parse_macro_input, parse_quote};

mod arguments;
mod check;
mod input;
mod source;
mod write;

/// Implements `Extract` for users of the crate `opilio`.
#[proc_macro_derive(Extract, attributes(extract, css, ld, micro, meta, json, json_in, page))]
pub fn extract(input: TokenStream) -> TokenStream {
    derive(&parse_macro_input!(input as DeriveInput), parse_quote!(::opilio::extract))
}

/// Implements `Extract` for users of the crate `opilio-extract` itself.
#[proc_macro_derive(ExtractHere, attributes(extract, css, ld, micro, meta, json, json_in, page))]
pub fn extract_here(input: TokenStream) -> TokenStream {
    derive(&parse_macro_input!(input as DeriveInput), parse_quote!(::opilio_extract))
}

fn derive(input: &DeriveInput, library: Path) -> TokenStream {
    match input::Struct::read(input) {
        Ok(read) => write::implementation(&read, &library).into(),
        Err(errors) => {
            let mut out = errors.into_compile_error();
            // The struct with mistakes still gets an implementation, which never runs. Otherwise the compiler would
            // also report a missing implementation.
            out.extend(write::stand_in(input, &library));
            out.into()
        }
    }
}
