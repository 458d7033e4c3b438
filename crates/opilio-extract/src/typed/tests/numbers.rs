//! Tests of written forms of numbers and prices from many countries. No text is read wrongly: a text that could mean
//! two numbers is an error.

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::page;
use crate::typed::number;
use crate::{Document, Extract, Price};
use opilio_extract_grammar::NumberForm;

/// Each case: a text, and the price that it means. `None`: it is not a price, or it could mean two prices. Parsers
/// that guess read some of these texts as prices, such as `from 12.50` and `$1,234`.
const PRICES: &[(&str, Option<&str>)] = &[
    // Forms of English-speaking countries.
    ("$12.34", Some("12.34 $")),
    ("$ 12.34", Some("12.34 $")),
    ("US$12.34", Some("12.34 USD")),
    ("US $12.34", Some("12.34 USD")),
    ("USD 12.34", Some("12.34 USD")),
    ("12.34 USD", Some("12.34 USD")),
    ("$12.34 USD", Some("12.34 USD")),
    ("$1,234.56", Some("1234.56 $")),
    ("$1,234,567", Some("1234567 $")),
    ("$1,234", None),
    ("$1234", Some("1234 $")),
    ("$.99", Some("0.99 $")),
    ("$0.99", Some("0.99 $")),
    ("-$5.00", Some("-5.00 $")),
    ("$-5.00", Some("-5.00 $")),
    ("\u{2212}$5.00", Some("-5.00 $")),
    ("£12.50", Some("12.50 £")),
    ("£1,299.00", Some("1299.00 £")),
    ("GBP 12.50", Some("12.50 GBP")),
    ("£12.50 GBP", Some("12.50 GBP")),
    ("CA$12.50", Some("12.50 CAD")),
    ("C$12.50", Some("12.50 C$")),
    ("$12.50 CAD", Some("12.50 CAD")),
    ("A$12.50", Some("12.50 AUD")),
    ("AU$12.50", Some("12.50 AUD")),
    ("NZ$12.50", Some("12.50 NZD")),
    ("HK$128.00", Some("128.00 HKD")),
    ("S$12.50", Some("12.50 SGD")),
    ("R 1 299.00", None),
    ("ZAR 1 299.00", Some("1299.00 ZAR")),
    ("€12.50", Some("12.50 EUR")),
    ("Rs. 1,23,456.00", Some("123456.00 ₨")),
    ("₹1,23,456.78", Some("123456.78 INR")),
    ("₹ 12,34,567", Some("1234567 INR")),
    ("₹499", Some("499 INR")),
    // German forms.
    ("12,34 €", Some("12.34 EUR")),
    ("12,34\u{a0}€", Some("12.34 EUR")),
    ("12,34€", Some("12.34 EUR")),
    ("€ 12,34", Some("12.34 EUR")),
    ("EUR 12,34", Some("12.34 EUR")),
    ("12,34 EUR", Some("12.34 EUR")),
    ("1.234,56 €", Some("1234.56 EUR")),
    ("1.234.567,89 €", Some("1234567.89 EUR")),
    ("1.299 €", None),
    ("1.299,- €", Some("1299 EUR")),
    ("1.299,– €", Some("1299 EUR")),
    ("5,- €", Some("5 EUR")),
    ("€ 5,-", Some("5 EUR")),
    ("5,-", Some("5")),
    ("12,34 €*", Some("12.34 EUR")),
    ("12,34 Euro", Some("12.34 EUR")),
    ("-12,34 €", Some("-12.34 EUR")),
    ("−12,34 €", Some("-12.34 EUR")),
    // Swiss forms.
    ("CHF 1'234.50", Some("1234.50 CHF")),
    ("CHF 1’234.50", Some("1234.50 CHF")),
    ("1'234.50 CHF", Some("1234.50 CHF")),
    ("CHF 5.-", Some("5 CHF")),
    ("CHF 5.–", Some("5 CHF")),
    ("CHF 5.—", Some("5 CHF")),
    ("Fr. 12.50", Some("12.50 Fr.")),
    ("SFr. 12.50", Some("12.50 CHF")),
    ("1'299.–", Some("1299")),
    // French forms.
    ("12,34 €", Some("12.34 EUR")),
    ("1 234,56 €", Some("1234.56 EUR")),
    ("1\u{202f}234,56\u{a0}€", Some("1234.56 EUR")),
    ("1 299 €", Some("1299 EUR")),
    ("12€50", Some("12.50 EUR")),
    ("1299€00", Some("1299.00 EUR")),
    ("12 € 50", None),
    ("12 $", Some("12 $")),
    ("12,50 $ CAD", None),
    ("12,50 CAD", Some("12.50 CAD")),
    // Spanish, Portuguese and Italian forms.
    ("1.234,56 €", Some("1234.56 EUR")),
    ("R$ 1.234,56", Some("1234.56 BRL")),
    ("R$12,50", Some("12.50 BRL")),
    ("$ 1.234.567", Some("1234567 $")),
    ("$ 1.234", None),
    ("MX$1,234.56", Some("1234.56 MXN")),
    ("S/ 12.50", Some("12.50 PEN")),
    ("S/.12.50", Some("12.50 PEN")),
    ("CLP 12.990", Some("12990 CLP")),
    ("U$S 12,50", Some("12.50 USD")),
    ("ARS 1.234,50", Some("1234.50 ARS")),
    ("COP 12.990", None),
    ("12'50 €", None),
    // Scandinavian forms.
    ("1 299 kr", Some("1299 kr")),
    ("1 299 kr.", Some("1299 kr")),
    ("kr 1 299,50", Some("1299.50 kr")),
    ("1.299,50 kr.", Some("1299.50 kr")),
    ("199:-", None),
    ("199,-", Some("199")),
    ("kr. 199,-", Some("199 kr")),
    ("SEK 199", Some("199 SEK")),
    ("199 kr SEK", None),
    ("1.299 kr", None),
    ("ISK 1.299", Some("1299 ISK")),
    // Polish, Czech, Hungarian, Romanian and Bulgarian forms.
    ("12,34 zł", Some("12.34 PLN")),
    ("1 234,56 zł", Some("1234.56 PLN")),
    ("1 234 PLN", Some("1234 PLN")),
    ("1 299 Kč", Some("1299 CZK")),
    ("1 299,00 Kč", Some("1299.00 CZK")),
    ("12 990 Ft", Some("12990 HUF")),
    ("12.990 Ft", Some("12990 HUF")),
    ("12,50 lei", Some("12.50 lei")),
    ("RON 12,50", Some("12.50 RON")),
    ("12,50 RON", Some("12.50 RON")),
    ("12,50 лв.", Some("12.50 BGN")),
    // Russian, Ukrainian and Kazakh forms.
    ("1 299 ₽", Some("1299 RUB")),
    ("1 299 руб.", Some("1299 RUB")),
    ("1 299,50 руб", Some("1299.50 RUB")),
    ("1 299 грн", Some("1299 UAH")),
    ("₴1 299", Some("1299 UAH")),
    ("12 990 ₸", Some("12990 KZT")),
    // Turkish, Hebrew, Arabic and Persian forms.
    ("1.299,90 TL", Some("1299.90 TRY")),
    ("₺1.299,90", Some("1299.90 TRY")),
    ("₪ 12.50", Some("12.50 ILS")),
    ("12.50 ₪", Some("12.50 ILS")),
    ("\u{200f}12.50 ₪", Some("12.50 ILS")),
    ("١٢٫٥٠ ر.س", Some("12.50 SAR")),
    ("١٬٢٣٤٫٥٠ د.إ", Some("1234.50 AED")),
    ("۱۲۳٬۴۵۶ تومان", Some("123456 تومان")),
    ("AED 1,234.50", Some("1234.50 AED")),
    ("KWD 1.250", None),
    // Forms of East and South-East Asia.
    ("¥1,299", None),
    ("¥129", Some("129 ¥")),
    ("￥12.50", Some("12.50 ¥")),
    ("1,299円", Some("1299 JPY")),
    ("JPY 1,299", Some("1299 JPY")),
    ("₩12,900", Some("12900 KRW")),
    ("12,900원", Some("12900 KRW")),
    ("NT$1,299", None),
    ("NT$ 12,990,000", Some("12990000 TWD")),
    ("299 元", Some("299 CNY")),
    ("150.000 ₫", Some("150000 VND")),
    ("150.000đ", Some("150000 VND")),
    ("Rp 150.000", Some("150000 IDR")),
    ("Rp150.000,00", Some("150000.00 IDR")),
    ("RM12.50", Some("12.50 MYR")),
    ("฿1,299.00", Some("1299.00 THB")),
    ("๑๒๓ ฿", Some("123 THB")),
    ("₱1,299.00", Some("1299.00 PHP")),
    ("１２．５０ €", Some("12.50 EUR")),
    // Prices without a currency, and prices as programs write them.
    ("12.34", Some("12.34")),
    ("12,34", Some("12.34")),
    ("1299", Some("1299")),
    ("0", Some("0")),
    ("1.0E7", Some("10000000")),
    ("12.3456", Some("12.3456")),
    ("0.125", Some("0.125")),
    ("1299.000", Some("1299.000")),
    // Texts with more than one price, or with none.
    ("", None),
    ("€", None),
    ("free", None),
    ("ask us", None),
    ("from 12.50", None),
    ("from $12.50", None),
    ("ab 12,50 €", None),
    ("à partir de 12,50 €", None),
    ("12.50 - 15.00", None),
    ("$12.50–$15.00", None),
    ("12–15 €", None),
    ("12.50 / kg", None),
    ("12,50 € / kg", None),
    ("2 for $5", None),
    ("2 x 5.00", None),
    ("12.50 15.00", None),
    ("$12.50 $15.00", None),
    ("€5 USD", None),
    ("$5 EUR", None),
    ("10%", None),
    ("10 %", None),
    ("1.2.3", None),
    ("1,2,3", None),
    ("12.30.2026", None),
    ("12:30", None),
    ("1,23,4", None),
    ("1.234,56.78", None),
    ("1,234 567", None),
    ("1 23 456", None),
    ("0,123,456", None),
    ("(5.00)", None),
    ("5.00-", None),
    ("--5.00", None),
    ("- $5.00", None),
    ("- 5.00", None),
    ("– 5.00 €", None),
    ("\u{2212} 5.00 €", Some("-5.00 EUR")),
    ("27.00 ft", None),
    ("-$-5.00", None),
    ("12.", None),
    ("$", None),
    (".", None),
    ("1e99", None),
    ("NaN", None),
    ("USDT 5", None),
    ("5 CHFX", None),
    ("99999999999999999999999999999999", None),
];

#[test]
fn prices_of_many_countries_are_read_or_refused_and_never_wrong() {
    assert!(PRICES.len() > 150, "{}", PRICES.len());
    let mut wrong = Vec::new();
    for (text, price) in PRICES {
        let read = text.parse::<Price>().ok().map(|price| price.to_string());
        if read.as_deref() != *price {
            wrong.push(format!("{text:?} is {read:?}, not {price:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_form_that_was_said_decides_what_could_be_two_numbers() {
    for (form, text, number) in [
        ("1.234,56", "1.299", Some("1299")),
        ("1.234,56", "1299", Some("1299")),
        ("1.234,56", "1.299,5", Some("1299.5")),
        ("1.234,56", "12,5", Some("12.5")),
        ("1.234,56", "1,299", Some("1.299")),
        ("1.234,56", "12.50", None),
        ("1.234,56", "1 299,00", None),
        ("1.234,56", "1,299.00", None),
        ("1,234.56", "1,299", Some("1299")),
        ("1,234.56", "1.299", Some("1.299")),
        ("1,234.56", "12,34,567.8", Some("1234567.8")),
        ("1,234.56", "12,50", None),
        ("1,234.56", "1.5E3", Some("1500")),
        ("1 234,56", "1\u{202f}299,00", Some("1299.00")),
        ("1 234,56", "1.299,00", None),
        ("1'234.56", "1’299.50", Some("1299.50")),
        ("1234.56", "1.299", Some("1.299")),
        ("1234.56", "1,299", None),
        ("1234,5", "1,299", Some("1.299")),
        ("1,234.56", "١٬٢٣٤٫٥", Some("1234.5")),
        ("1٬234٫56", "١٬٢٣٤٫٥", Some("1234.5")),
    ] {
        let read = number::read(text, Some(NumberForm::by_example(form).unwrap())).ok();
        assert_eq!(read.as_deref(), number, "{text} in the form {form}");
    }
}

#[test]
fn whole_numbers_and_floats_are_exact_or_errors() {
    #[derive(Extract, Debug)]
    struct Number {
        #[css("p")]
        whole: Option<i32>,
        #[css("b")]
        float: Option<f32>,
    }
    let read = |text: &str| page(&format!("<p>{text}")).extract::<Number>().map(|number| number.whole);
    for (text, whole) in
        [("5", 5), ("5.00", 5), ("1,234,567", 1_234_567), ("−3", -3), ("+3", 3), ("1 234", 1234)]
    {
        assert_eq!(read(text).unwrap(), Some(whole), "{text}");
    }
    for text in ["1.5", "1,234", "1.234", "3000000000", "5 pieces", "0x5", "1e-1", "five", "½"] {
        assert!(read(text).is_err(), "{text}");
    }
    let float = |text: &str| page(&format!("<b>{text}")).extract::<Number>().map(|number| number.float);
    assert_eq!(float("1.25").unwrap(), Some(1.25));
    assert!(float("1e39").is_err() && float("inf").is_err() && float("NaN").is_err());
}

#[test]
fn a_price_is_kept_as_json_without_a_loss() {
    for text in ["12.50 €", "$5", "7"] {
        let price: Price = text.parse().unwrap();
        let kept = serde_json::to_string(&price).unwrap();
        assert_eq!(serde_json::from_str::<Price>(&kept).unwrap(), price, "{kept}");
    }
    assert_eq!(
        serde_json::to_string(&"12.50 €".parse::<Price>().unwrap()).unwrap(),
        r#"{"amount":"12.50","currency":"EUR"}"#
    );
}

#[derive(Extract, Debug)]
#[expect(dead_code, reason = "pages are read for their panics")]
struct Everything {
    #[css("p, b", one)]
    one: Option<String>,
    #[css("p")]
    #[ld("Product", "offers.price")]
    price: Price,
    #[css("p", number = "1.234,56")]
    numbers: Vec<Decimal>,
    #[css("p", re = "(.)$")]
    parts: Vec<String>,
    #[ld("Product", "name")]
    names: Vec<String>,
    #[micro("Product", "name")]
    micro: Vec<String>,
    #[meta("a")]
    metas: Vec<u8>,
    #[json("a[0].b")]
    json: String,
    #[json_in("script", "a")]
    inside: Vec<String>,
    #[css("a")]
    links: Vec<url::Url>,
    #[css("p", date = "%d.%m.%Y")]
    dates: Vec<jiff::civil::Date>,
    #[css("p")]
    instants: Vec<jiff::Timestamp>,
}

fn read_everything(document: &Document) {
    if let Err(faults) = document.extract::<Everything>() {
        let said = faults.to_string();
        assert!(said.len() < 12_000 && !said.contains(char::is_control), "{said:?}");
    }
}

proptest! {
    #[test]
    fn no_page_panics_or_makes_an_endless_error(
        body in "(<p>|</p>|<b|<a href=|<meta name=a content=|<script type=application/ld\\+json>|</script>|<div itemscope itemtype=Product itemprop=name>|</div>|<!--|-->|<template>|[{}\\[\\]:,\"'/ =>]|\"@type\"|\"Product\"|\"name\"|\"offers\"|\"price\"|[0-9.,€$ -]{1,5}|[a-c\u{0}-\u{1f}é\u{202e}]){0,40}",
        is_json in any::<bool>(),
    ) {
        read_everything(&if is_json { super::json(&body) } else { page(&body) });
    }

    #[test]
    fn no_text_panics_as_a_number_or_price(text in "[0-9٣۳.,'٫٬ \u{a0}€$£a-zA-Z-]{0,12}|\\PC{0,12}") {
        let _ = number::read(&text, None);
        let _ = text.parse::<Price>();
        let _ = text.parse::<crate::Currency>();
    }

    /// Checks that a number written in any form is either read correctly or refused.
    #[test]
    fn what_is_written_is_read_or_refused(cents in 0_i64..100_000_000_000, form in 0..5_usize, places in 0..3_u32) {
        let number = Decimal::new(cents, places);
        let (group, point) = [(",", "."), (".", ","), (" ", ","), ("'", "."), ("", ".")][form];
        let plain = number.to_string();
        let (whole, fraction) = plain.split_once('.').map_or((plain.as_str(), None), |(w, f)| (w, Some(f)));
        let groups: Vec<&str> = whole.as_bytes().rchunks(3).rev().map(|g| str::from_utf8(g).unwrap()).collect();
        let written = fraction.map_or(groups.join(group), |fraction| format!("{}{point}{fraction}", groups.join(group)));
        if let Ok(read) = number::read(&written, None) {
            prop_assert_eq!(read.parse::<Decimal>().unwrap(), number, "{}", written);
        } else {
            prop_assert!(groups.len() == 2 && fraction.is_none() && form < 2, "{}", written);
        }
        let example = format!("1{group}234{point}56");
        let read = number::read(&written, Some(NumberForm::by_example(&example).unwrap())).unwrap();
        prop_assert_eq!(read.parse::<Decimal>().unwrap(), number);
    }
}
