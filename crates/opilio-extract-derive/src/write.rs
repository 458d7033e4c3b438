//! Generates the code of the macro: the plan of a struct, and the calls that read its fields.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Path as RustPath};

use crate::check::Step;
use crate::input::{By, Fact, Path, Place, ReadCount, ReadField, ReadPiece, ReadSource, Struct};
use opilio_extract_grammar::NumberForm;

/// Returns the implementation of `Extract` for a struct.
pub(crate) fn implementation(read: &Struct, library: &RustPath) -> TokenStream {
    let library = read.library.as_ref().unwrap_or(library);
    let written = quote!(#library::typed::written);
    let (name, text) = (&read.name, read.name.to_string());
    let (each, key) = (optional(read.each.as_ref()), optional(read.key.as_ref()));
    let plans = read.fields.iter().map(|field| plan_of(field, &written));
    let reads = read.fields.iter().enumerate().map(|(at, field)| read_of(at, field, &written));
    let fields = read.fields.iter().map(|field| &field.name);
    let each_of = read.each.as_ref().map(|_| {
        quote! {
            #[automatically_derived]
            impl #written::ExtractEach for #name {}
        }
    });
    quote! {
        #[automatically_derived]
        impl #written::Extract for #name {
            const PLAN: &'static #written::ExtractPlan = &#written::ExtractPlan {
                name: #text,
                each: #each,
                key: #key,
                fields: &[#(#plans),*],
            };

            fn read_fields(reader: &mut #written::FieldReader<'_, '_>) -> ::core::option::Option<Self> {
                #(#reads)*
                ::core::option::Option::Some(Self { #(#fields: #fields?),* })
            }
        }

        #[automatically_derived]
        impl #written::FieldValue for #name {
            const KIND: #written::ValueKind =
                #written::ValueKind::Struct(|| <#name as #written::Extract>::PLAN);

            fn read<'p>(
                raw: #written::Raw<'p>,
                reader: &mut #written::FieldReader<'_, 'p>,
            ) -> ::core::result::Result<Self, #written::Unreadable> {
                reader.nested(raw)
            }
        }

        #each_of
    }
}

/// Returns an implementation that never runs, for a struct with mistakes. Without this implementation, each use of
/// the struct would be an additional error.
pub(crate) fn stand_in(input: &DeriveInput, library: &RustPath) -> TokenStream {
    if !matches!(input.data, Data::Struct(_)) || !input.generics.params.is_empty() {
        return TokenStream::new();
    }
    let written = quote!(#library::typed::written);
    let name = &input.ident;
    quote! {
        #[automatically_derived]
        impl #written::Extract for #name {
            const PLAN: &'static #written::ExtractPlan =
                &#written::ExtractPlan { name: "", each: ::core::option::Option::None, key: ::core::option::Option::None, fields: &[] };
            fn read_fields(_: &mut #written::FieldReader<'_, '_>) -> ::core::option::Option<Self> {
                ::core::option::Option::None
            }
        }
        #[automatically_derived]
        impl #written::FieldValue for #name {
            const KIND: #written::ValueKind = #written::ValueKind::Custom;
            fn read<'p>(
                _: #written::Raw<'p>,
                _: &mut #written::FieldReader<'_, 'p>,
            ) -> ::core::result::Result<Self, #written::Unreadable> {
                ::core::result::Result::Err(#written::Unreadable::Noted)
            }
        }
        #[automatically_derived]
        impl #written::ExtractEach for #name {}
    }
}

fn optional<T: ToTokens>(value: Option<T>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

fn plan_of(field: &ReadField, written: &TokenStream) -> TokenStream {
    let name = field.name.to_string();
    let name = name.strip_prefix("r#").unwrap_or(&name);
    let shape = match field.count {
        ReadCount::Single => quote!(Single),
        ReadCount::Optional => quote!(Optional),
        ReadCount::Defaulted(_) => quote!(Defaulted),
        ReadCount::List => quote!(List),
    };
    let value = &field.value;
    let kind = if field.sources.iter().all(|source| source.by.is_some()) {
        quote!(#written::ValueKind::Custom)
    } else {
        quote_spanned!(value.span()=> <#value as #written::FieldValue>::KIND)
    };
    let sources = field.sources.iter().map(|source| source_of(source, written));
    quote! {
        #written::FieldPlan {
            name: #name,
            shape: #written::FieldShape::#shape,
            kind: #kind,
            sources: &[#(#sources),*],
        }
    }
}

fn source_of(source: &ReadSource, written: &TokenStream) -> TokenStream {
    let at = place_of(&source.place, written);
    let re = optional(source.re.as_ref());
    let number = optional(source.number.map(|form| form_of(form, written)));
    let date = optional(source.date.as_ref());
    let by = optional(source.by.as_ref().map(|by| match by {
        By::With(function) => function.to_token_stream().to_string(),
        By::Parse => "parse".to_owned(),
    }));
    quote! {
        #written::SourcePlan { at: #written::SourceAt::#at, re: #re, number: #number, date: #date, by: #by }
    }
}

fn form_of(form: NumberForm, written: &TokenStream) -> TokenStream {
    let (group, decimal) = (optional(form.group), form.decimal);
    quote!(#written::NumberForm { group: #group, decimal: #decimal })
}

fn place_of(place: &Place, written: &TokenStream) -> TokenStream {
    match place {
        Place::Css { css, piece, one } => {
            let piece = match piece {
                ReadPiece::Text => quote!(Text),
                ReadPiece::OwnText => quote!(OwnText),
                ReadPiece::Raw => quote!(Raw),
                ReadPiece::Html => quote!(Html),
                ReadPiece::Attr(name) => quote!(Attr(#name)),
            };
            quote!(Css { css: #css, piece: #written::Piece::#piece, one: #one })
        }
        Place::Ld(kind, path) => {
            let path = path_of(path, written);
            quote!(Ld(#written::ItemPath { kind: #kind, path: #path }))
        }
        Place::Micro(kind, path) => {
            let path = path_of(path, written);
            quote!(Micro(#written::ItemPath { kind: #kind, path: #path }))
        }
        Place::Meta(name) => quote!(Meta(#name)),
        Place::Json(path) => {
            let path = path_of(path, written);
            quote!(Json(#path))
        }
        Place::JsonIn(css, path) => {
            let path = path_of(path, written);
            quote!(JsonIn(#css, #path))
        }
        Place::Page(fact) => {
            let fact = match fact {
                Fact::Url => quote!(Url),
                Fact::RequestedUrl => quote!(RequestedUrl),
                Fact::Depth => quote!(Depth),
                Fact::FetchedAt => quote!(FetchedAt),
                Fact::Header(name) => quote!(Header(#name)),
            };
            quote!(Page(#written::PageFact::#fact))
        }
    }
}

fn path_of(path: &Path, written: &TokenStream) -> TokenStream {
    let text = &path.written;
    let steps = path.steps.iter().map(|step| match step {
        Step::Key(name) => quote!(#written::Segment::Key(#name)),
        Step::At(index) => quote!(#written::Segment::At(#index)),
        Step::Each => quote!(#written::Segment::Each),
    });
    quote!(#written::JsonPath { written: #text, steps: &[#(#steps),*] })
}

/// Returns the call that reads a field. The generated call returns an `Option`, which is `None` if the field cannot
/// be read.
fn read_of(at: usize, field: &ReadField, written: &TokenStream) -> TokenStream {
    let (name, value) = (&field.name, &field.value);
    let is_custom = field.sources.iter().any(|source| source.by.is_some());
    let method = |plain: &str, by: &str| {
        let method = if is_custom { by } else { plain };
        syn::Ident::new(method, proc_macro2::Span::call_site())
    };
    let by = is_custom.then(|| {
        let arms = field.sources.iter().enumerate().map(|(n, source)| {
            let read = match &source.by {
                Some(By::With(function)) => {
                    quote_spanned!(function.span()=> #written::with::<#value, _>(raw, #function))
                }
                Some(By::Parse) => quote_spanned!(value.span()=> #written::parse::<#value>(raw)),
                None => quote_spanned!(value.span()=> <#value as #written::FieldValue>::read(raw, reader)),
            };
            quote!(#n => #read,)
        });
        quote!(, &mut |raw, reader, source| {
            let _ = &reader;
            match source {
                #(#arms)*
                _ => ::core::result::Result::Err(#written::Unreadable::Noted),
            }
        })
    });
    let call = |method: syn::Ident| match &by {
        Some(by) => quote_spanned!(value.span()=> reader.#method::<#value>(#at #by)),
        None => quote_spanned!(value.span()=> <#value as #written::FieldValue>::#method(reader, #at)),
    };
    match &field.count {
        ReadCount::Single => {
            let call = call(method("single", "single_by"));
            quote!(let #name = #call;)
        }
        ReadCount::Optional => {
            let call = call(method("optional", "optional_by"));
            quote!(let #name = #call;)
        }
        ReadCount::List => {
            let call = call(method("list", "list_by"));
            quote!(let #name = #call;)
        }
        ReadCount::Defaulted(default) => {
            let call = call(method("optional", "optional_by"));
            let default = match default {
                Some(default) => default.to_token_stream(),
                None => quote_spanned!(value.span()=> <#value as ::core::default::Default>::default()),
            };
            quote!(let #name = #call.map(|found| found.unwrap_or_else(|| #default));)
        }
    }
}
