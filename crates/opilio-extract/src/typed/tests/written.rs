//! Tests of prices as shops write them, from a table of hundreds of texts.
//!
//! The table has the forms in the test data of price-parser 0.5.1, a library for Python (Copyright (c) Scrapinghub,
//! BSD 3-Clause licence): each form once, with other digits. price-parser guesses what our `Price` refuses, so a text
//! of the table is read as its row says, or it is an error.

use rust_decimal::Decimal;

use crate::{Currency, Price};

/// Each line: the amount that a text means, its currency as it is written in the text, and the text. The amount is
/// empty if the text has no price.
const TABLE: &str = include_str!("written_prices.jsonl");

#[test]
fn no_price_that_a_shop_has_written_is_read_wrongly() {
    let (mut read, mut refused, mut wrong) = (0, 0, Vec::new());
    for line in TABLE.lines() {
        let [amount, currency, text]: [String; 3] = serde_json::from_str(line).unwrap();
        let Ok(price) = text.parse::<Price>() else {
            refused += 1;
            continue;
        };
        let meant = amount.parse::<Decimal>().ok();
        // The code of a currency may be written, too, in a text with a symbol: `£15.60 GBP`.
        let written = currency.parse::<Currency>().ok();
        let fits = written.is_none_or(|written| {
            price.currency.is_some_and(|read| read == written || written.both(read) == Some(read))
        });
        if Some(price.amount) == meant && fits {
            read += 1;
        } else {
            wrong.push(format!("{text:?} is {price}, not {amount} {currency}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((read, refused), (221, 322));
}
