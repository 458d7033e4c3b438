//! Prices: an amount with all its digits, and the currency if it is written.

use std::fmt;

use opilio_extract_grammar::NumberForm;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::currency::Currency;
use super::number::{self, NoNumber};

/// An amount of money.
///
/// A text is a price if it is one amount, with a currency before or after it, or without a currency. Any other text
/// is an error, since it may mean something else: `from 12.50`, `12–15 €`, `12.50 € / kg`. Use `re` to take a price
/// out of a longer text. Without `number`, `1.299 €` is an error, since it is 1299 in one country and 1.299 in
/// another.
///
/// A symbol that several currencies share (`$`, `kr`, `£`, `¥`) is kept as a symbol, since the currency is not
/// known.
///
/// ```
/// use opilio_extract::Price;
///
/// let price: Price = "1.299,00 €".parse()?;
/// assert_eq!((price.amount.to_string(), price.currency.unwrap().code()), ("1299.00".into(), Some("EUR")));
/// assert_eq!("$5".parse::<Price>()?.currency.unwrap().code(), None);
/// assert!("1.299 €".parse::<Price>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Price {
    /// The amount, with all digits that were written.
    pub amount: Decimal,
    /// The currency; `None` if the text contains no currency.
    pub currency: Option<Currency>,
}

/// The error for a text that is not a price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a price{}", Because(self.0))]
pub struct NoPrice(NoNumber);

struct Because(NoNumber);

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            NoNumber::Ambiguous => f.write_str(": its number could be two"),
            NoNumber::Other | NoNumber::Form(_) => Ok(()),
        }
    }
}

impl Price {
    pub(super) fn read(text: &str, form: Option<NumberForm>) -> Result<Self, NoNumber> {
        let text = text.trim_matches(is_space).trim_end_matches('*').trim_end_matches(is_space);
        let (mut negative, mut rest) = number::sign(text);
        let mut currency = None;
        if let Some((found, len)) = Currency::at_start(rest) {
            currency = Some(found);
            rest = rest[len..].trim_start_matches(|c: char| is_space(c) || c == ':');
            let (inner, after) = number::sign(rest);
            if inner && negative {
                return Err(NoNumber::Other);
            }
            (negative, rest) = (negative || inner, after);
        }
        if let Some((found, at)) = Currency::at_end(rest) {
            currency = match currency {
                Some(first) => Some(first.both(found).ok_or(NoNumber::Other)?),
                None => Some(found),
            };
            rest = rest[..at].trim_end_matches(is_space);
        }
        let split = if currency.is_none() { split_by_sign(rest) } else { None };
        let (plain, currency) = match split {
            Some((plain, found)) => (number::read(&plain, form.map(|_| POINT))?, Some(found)),
            None => (amount(rest, form, currency)?, currency),
        };
        let plain = if negative { format!("-{plain}") } else { plain };
        let amount = Decimal::from_str_exact(&plain).map_err(|_| NoNumber::Other)?;
        Ok(Self { amount, currency })
    }

    /// Reads a price from JSON: a number, a text, or an object that has amount and currency in the fields of
    /// schema.org.
    pub(super) fn of_json(value: &Value, form: Option<NumberForm>) -> Result<Self, NoNumber> {
        match value {
            Value::String(text) => Self::read(text, form),
            Value::Number(number) => {
                let amount = decimal_of(number).ok_or(NoNumber::Other)?;
                Ok(Self { amount, currency: None })
            }
            Value::Object(fields) => {
                // An object with a range of prices (`minPrice`, `maxPrice`) is not a price.
                let amount = ["price", "value", "amount"].iter().find_map(|key| fields.get(*key));
                let price = Self::of_json(amount.filter(|v| !v.is_object()).ok_or(NoNumber::Other)?, form)?;
                let named = ["priceCurrency", "currency"].iter().find_map(|key| fields.get(*key));
                let named = named.and_then(Value::as_str).filter(|name| !name.trim().is_empty());
                let Some(named) = named else { return Ok(price) };
                let named: Currency = named.parse().map_err(|_| NoNumber::Other)?;
                let currency = match price.currency {
                    Some(written) => written.both(named).ok_or(NoNumber::Other)?,
                    None => named,
                };
                Ok(Self { currency: Some(currency), ..price })
            }
            Value::Null | Value::Bool(_) | Value::Array(_) => Err(NoNumber::Other),
        }
    }
}

/// Returns the exact decimal value of a JSON number; `None` if the JSON parser may have rounded the number.
pub(super) fn decimal_of(number: &serde_json::Number) -> Option<Decimal> {
    let text = number.to_string();
    let is_exact = number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.abs() < EXACT_MAX);
    is_exact
        .then_some(text)
        .and_then(|text| Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text)).ok())
}

/// The number below which a JSON number is exact: a double has 15 exact decimal digits.
const EXACT_MAX: f64 = 1e15;

const POINT: NumberForm = NumberForm { group: None, decimal: '.' };

/// Returns the amount in plain digits. The text may end in a dash in place of the cents: `5,-`.
fn amount(text: &str, form: Option<NumberForm>, currency: Option<Currency>) -> Result<String, NoNumber> {
    let whole = text.trim_end_matches(['-', '–', '—', '\u{2212}']);
    let dashed = whole.len() < text.len();
    let whole = if dashed { whole.strip_suffix(['.', ',']).ok_or(NoNumber::Other)? } else { whole };
    if !whole.starts_with(|c| number::is_digit(c) || matches!(c, '.' | ',' | '٫')) {
        return Err(NoNumber::Other);
    }
    match number::read(whole, form) {
        Err(NoNumber::Ambiguous) if dashed || currency.is_some_and(Currency::is_whole) => {
            // No cents are written, so the separator separates thousands.
            let group = whole.chars().find(|c| matches!(c, '.' | ','));
            let decimal = if group == Some('.') { ',' } else { '.' };
            number::read(whole, Some(NumberForm { group, decimal }))
        }
        // The dash is written in place of the cents, so a number with cents and a dash is an error.
        Ok(plain) if dashed && plain.contains('.') => Err(NoNumber::Other),
        other => other,
    }
}

/// Splits `12€50`, in which the currency's symbol replaces the point, into the amount and the currency.
fn split_by_sign(text: &str) -> Option<(String, Currency)> {
    let (at, _) = text.char_indices().find(|(_, c)| *c == '€')?;
    let (whole, rest) = text.split_at(at);
    let (currency, len) = Currency::at_start(rest)?;
    let cents = &rest[len..];
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain(whole) && is_plain(cents) && cents.len() == 2).then(|| (format!("{whole}.{cents}"), currency))
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || number::is_mark(c)
}

impl std::str::FromStr for Price {
    type Err = NoPrice;

    fn from_str(text: &str) -> Result<Self, NoPrice> {
        Self::read(text, None).map_err(NoPrice)
    }
}

/// Writes the amount, and the currency after it: `1299.00 EUR`.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.currency {
            Some(currency) => write!(f, "{} {currency}", self.amount),
            None => write!(f, "{}", self.amount),
        }
    }
}
