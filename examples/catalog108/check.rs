//! Compares the output with the catalog of the shop: finds products that are missing, written twice or different.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use opilio::json;
use opilio_sandbox::Catalog;

use crate::spider::Product;

/// The result of the comparison. Each product is named by its URL.
pub(crate) struct Compared {
    expected: usize,
    missing: Vec<String>,
    double: Vec<String>,
    different: Vec<String>,
    unknown: Vec<String>,
}

impl Compared {
    /// Returns whether every product is written exactly once, with the values of the catalog, and nothing
    /// else is written.
    pub(crate) fn is_perfect(&self) -> bool {
        self.faults().iter().all(|(_, urls)| urls.is_empty())
    }

    fn faults(&self) -> [(&'static str, &[String]); 4] {
        [
            ("missing", &self.missing),
            ("written twice", &self.double),
            ("different", &self.different),
            ("unknown to the shop", &self.unknown),
        ]
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_perfect() {
            let expected = self.expected;
            return write!(f, "ok: {expected} of {expected} products, each once, each as the shop has it");
        }
        write!(f, "FAILED:")?;
        for (what, urls) in self.faults() {
            if let Some(first) = urls.first() {
                write!(f, " {} {what} (such as {first});", urls.len())?;
            }
        }
        Ok(())
    }
}

/// Compares the lines of `output` with the catalog of the shop at `base`.
pub(crate) fn compare(output: &Path, base: &str, catalog: &Catalog) -> Result<Compared> {
    let text = std::fs::read_to_string(output).with_context(|| format!("read {}", output.display()))?;
    let mut written: BTreeMap<String, Vec<Product>> = BTreeMap::new();
    for line in text.lines() {
        let product: Product = serde_json::from_str(line).with_context(|| format!("read the line {line}"))?;
        written.entry(product.url.clone()).or_default().push(product);
    }
    let mut found = Compared {
        expected: catalog.products().len(),
        missing: Vec::new(),
        double: Vec::new(),
        different: Vec::new(),
        unknown: Vec::new(),
    };
    for product in catalog.products() {
        let expected = as_item(product, base)?;
        let url = expected.url.clone();
        match written.remove(&url) {
            None => found.missing.push(url),
            Some(lines) if lines.len() > 1 => found.double.push(url),
            Some(lines) if lines.iter().any(|line| *line != expected) => found.different.push(url),
            Some(_) => {}
        }
    }
    found.unknown = written.into_keys().collect();
    Ok(found)
}

/// Returns a product of the shop in the form in which the spider must write it.
fn as_item(product: &opilio_sandbox::Product, base: &str) -> Result<Product> {
    let (whole, cents) = (product.price_cents / 100, product.price_cents % 100);
    let mut json = serde_json::to_value(product)?;
    // The pages of the shop show the sign of the currency, not its code.
    json["price"] = json!({ "amount": format!("{whole}.{cents:02}"), "currency": "$" });
    let mut item: Product = serde_json::from_value(json).context("read the shop's own product")?;
    item.url = format!("{base}{}", product.path());
    Ok(item)
}
