//! Finds functions with more than 70 lines and structs with more than 15 fields, for `cargo xtask tidy`. Tests are
//! not searched.
//!
//! The exceptions are listed below with their reasons. An exception that is no longer needed is an error, so that the
//! list stays short.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The functions and structs that may be larger, each with the reason. A method is listed without the name of its
/// type.
const MAY_BE_LARGER: &[(&str, &str)] =
    &[("CrawlReport", "a report"), ("Progress", "a report of a crawl that runs"), ("Settings", "settings")];

/// Prints the functions and structs that are too large, and returns their number.
///
/// # Errors
/// When a file cannot be parsed as Rust, or when an exception is no longer needed.
pub(crate) fn list(files: &[(String, String)]) -> Result<usize> {
    let mut used = BTreeSet::new();
    let mut count = 0;
    for (path, text) in files.iter().filter(|(path, _)| !is_test(path)) {
        for (name, line, words) in found(text).with_context(|| format!("parse {path}"))? {
            if MAY_BE_LARGER.iter().any(|(excepted, _)| *excepted == name) {
                used.insert(name);
                continue;
            }
            println!("large: {name} at {path}:{line} has {words}");
            count += 1;
        }
    }
    let stale: Vec<_> = MAY_BE_LARGER.iter().filter(|(name, _)| !used.contains(*name)).collect();
    ensure!(stale.is_empty(), "exceptions that nothing needs any more: {stale:?}");
    Ok(count)
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("tests.rs") || path.contains("/conformance/")
}

fn found(text: &str) -> Result<Vec<(String, usize, String)>> {
    let mut sizes = Sizes(Vec::new());
    sizes.visit_file(&syn::parse_file(text)?);
    Ok(sizes.0)
}

/// The functions and structs of a file that are too large: for each its name, its line, and a text with its size.
struct Sizes(Vec<(String, usize, String)>);

impl Sizes {
    fn function(&mut self, name: &syn::Ident, span: Span) {
        let lines = span.end().line - span.start().line + 1;
        if lines > LINES_MAX {
            self.0.push((name.to_string(), name.span().start().line, format!("{lines} lines")));
        }
    }
}

impl<'ast> Visit<'ast> for Sizes {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let is_test = |attribute: &syn::Attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|arg| arg == "test")
        };
        if !module.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_flat(&function.block) {
            self.function(
                &function.sig.ident,
                function.sig.span().join(function.block.span()).unwrap_or_else(|| function.block.span()),
            );
        }
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_flat(&function.block) {
            self.function(
                &function.sig.ident,
                function.sig.span().join(function.block.span()).unwrap_or_else(|| function.block.span()),
            );
        }
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let fields = item.fields.len();
        if fields > FIELDS_MAX {
            self.0.push((item.ident.to_string(), item.ident.span().start().line, format!("{fields} fields")));
        }
    }
}

/// Returns whether the body of a function is a single `match` with only short arms. Such a function may have more
/// lines.
fn is_flat(body: &syn::Block) -> bool {
    let [syn::Stmt::Expr(syn::Expr::Match(only), _)] = &body.stmts[..] else { return false };
    only.arms.iter().all(|arm| {
        let span = arm.span();
        span.end().line - span.start().line < ARM_LINES_MAX
    })
}

const LINES_MAX: usize = 70;
const FIELDS_MAX: usize = 15;
/// The most lines of an arm of a `match` that counts as short.
const ARM_LINES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn names(text: &str) -> Vec<String> {
        found(text).unwrap().into_iter().map(|(name, _, words)| format!("{name}: {words}")).collect()
    }

    #[test]
    fn finds_long_functions_and_wide_structs_and_leaves_tests_and_flat_matches_alone() {
        let body = "let _ = 1;\n".repeat(70);
        let fields: String = (0..16).map(|n| format!("f{n}: u8,\n")).collect();
        let long = format!("fn long() {{\n{body}}}\nstruct Wide {{\n{fields}}}\n");
        assert_eq!(names(&long), ["long: 72 lines", "Wide: 16 fields"]);
        assert_eq!(names(&format!("#[cfg(test)]\nmod tests {{\n{long}}}\n")), [""; 0]);
        let arms: String = (0..80).map(|n| format!("{n} => 1,\n")).collect();
        assert_eq!(names(&format!("fn flat(n: u8) -> u8 {{\nmatch n {{\n{arms}_ => 0,\n}}\n}}\n")), [""; 0]);
        assert_eq!(names("impl A {\nfn short(&self) {}\n}\nstruct Thin(u8);\n"), [""; 0]);
    }
}
