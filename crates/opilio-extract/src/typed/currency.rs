//! Currencies in the ways in which prices name them: by a code (`EUR`) or by a symbol (`€`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The currency of a price: its code of ISO 4217, or a symbol that several currencies share.
///
/// In JSON and as text, a currency is its code (`EUR`), or its symbol (`$`) if the code is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(Named);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Named {
    Code(&'static str),
    Sign(&'static str),
}

impl Currency {
    /// Returns the code of ISO 4217; `None` for a symbol that several currencies share.
    #[must_use]
    pub fn code(self) -> Option<&'static str> {
        match self.0 {
            Named::Code(code) => Some(code),
            Named::Sign(_) => None,
        }
    }

    /// Returns the code, or the symbol if the code is not known.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let (Named::Code(text) | Named::Sign(text)) = self.0;
        text
    }

    /// Returns the currency with which a text begins, and the length of its code or symbol in bytes.
    pub(super) fn at_start(text: &str) -> Option<(Self, usize)> {
        let sign = SIGNS.iter().find_map(|(sign, written)| starts(text, sign).map(|len| (*written, len)));
        // The `R` of `RON` is not the symbol `R`: if letters follow, the text is another word.
        let ends = |len: &usize| {
            !text[..*len].ends_with(char::is_alphabetic) || !text[*len..].starts_with(char::is_alphabetic)
        };
        let sign = sign.filter(|(_, len)| ends(len)).map(|(written, len)| (Self(written), len));
        let code =
            text.get(..3).and_then(known_code).filter(|_| ends(&3)).map(|code| (Self(Named::Code(code)), 3));
        code.or(sign)
    }

    /// Returns the currency with which a text ends, and the byte offset at which its code or symbol begins.
    pub(super) fn at_end(text: &str) -> Option<(Self, usize)> {
        let begins = |at: &usize| {
            !text[*at..].starts_with(char::is_alphabetic) || !text[..*at].ends_with(char::is_alphabetic)
        };
        let code_at = text.len().checked_sub(3).filter(|at| text.is_char_boundary(*at));
        let code = code_at.and_then(|at| Some((Self(Named::Code(known_code(&text[at..])?)), at)));
        let sign = SIGNS.iter().find_map(|(sign, written)| {
            let at = text.len().checked_sub(sign.len()).filter(|at| text.is_char_boundary(*at))?;
            same(&text[at..], sign).then_some((Self(*written), at))
        });
        code.filter(|(_, at)| begins(at)).or(sign.filter(|(_, at)| begins(at)))
    }

    /// Returns the currency of a price that has codes or symbols at both ends; `None` if they contradict each other.
    pub(super) fn both(self, other: Self) -> Option<Self> {
        match (self.0, other.0) {
            (a, b) if a == b => Some(self),
            (Named::Sign(sign), Named::Code(code)) | (Named::Code(code), Named::Sign(sign)) => {
                let fits = SHARED.iter().any(|(shared, codes)| *shared == sign && codes.contains(&code));
                fits.then_some(Self(Named::Code(code)))
            }
            _ => None,
        }
    }

    /// Returns whether the currency has no smaller unit (such as cents), so that a price in it has no fraction.
    pub(super) fn is_whole(self) -> bool {
        self.code().is_some_and(|code| WHOLE.contains(&code))
    }
}

fn known_code(text: &str) -> Option<&'static str> {
    let upper = text.to_ascii_uppercase();
    let same_case =
        text == upper || text == text.to_ascii_lowercase() || text[1..] == text[1..].to_ascii_lowercase();
    let known = CODES.split_ascii_whitespace().find(|code| *code == upper);
    known.filter(|_| same_case && text.is_ascii())
}

/// Returns the number of bytes of the symbol `sign` at the start of a text, in upper or lower case; `None` if the
/// text does not begin with it.
fn starts(text: &str, sign: &str) -> Option<usize> {
    let start = text.get(..sign.len())?;
    same(start, sign).then_some(sign.len())
}

fn same(text: &str, sign: &str) -> bool {
    let any_case = sign.chars().count() > 1 && sign != FORINT;
    text == sign || (any_case && text.to_lowercase() == sign.to_lowercase())
}

/// The symbol of the forint. Only in this case of its letters: `ft` and `FT` are feet.
const FORINT: &str = "Ft";

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for a text that is neither the code nor a symbol of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is neither the code nor a symbol of a currency")]
pub struct NoCurrency;

impl FromStr for Currency {
    type Err = NoCurrency;

    fn from_str(text: &str) -> Result<Self, NoCurrency> {
        let text = text.trim();
        let found = Self::at_start(text).filter(|(_, len)| *len == text.len());
        found.map(|(currency, _)| currency).ok_or(NoCurrency)
    }
}

impl TryFrom<String> for Currency {
    type Error = NoCurrency;

    fn try_from(text: String) -> Result<Self, NoCurrency> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// The symbols of currencies, in upper or lower case. A longer symbol comes before the shorter symbols with which it
/// begins.
const SIGNS: &[(&str, Named)] = &[
    ("US$", Named::Code("USD")),
    ("US $", Named::Code("USD")),
    ("U$S", Named::Code("USD")),
    ("CA$", Named::Code("CAD")),
    ("C$", Named::Sign("C$")),
    ("AU$", Named::Code("AUD")),
    ("A$", Named::Code("AUD")),
    ("NZ$", Named::Code("NZD")),
    ("HK$", Named::Code("HKD")),
    ("NT$", Named::Code("TWD")),
    ("MX$", Named::Code("MXN")),
    ("S$", Named::Code("SGD")),
    ("R$", Named::Code("BRL")),
    ("S/.", Named::Code("PEN")),
    ("S/", Named::Code("PEN")),
    ("€", Named::Code("EUR")),
    ("Euro", Named::Code("EUR")),
    ("euros", Named::Code("EUR")),
    ("£", Named::Sign("£")),
    ("¥", Named::Sign("¥")),
    ("￥", Named::Sign("¥")),
    ("円", Named::Code("JPY")),
    ("元", Named::Code("CNY")),
    ("₩", Named::Code("KRW")),
    ("원", Named::Code("KRW")),
    ("₹", Named::Code("INR")),
    ("₽", Named::Code("RUB")),
    ("руб.", Named::Code("RUB")),
    ("руб", Named::Code("RUB")),
    ("₴", Named::Code("UAH")),
    ("грн.", Named::Code("UAH")),
    ("грн", Named::Code("UAH")),
    ("₺", Named::Code("TRY")),
    ("TL", Named::Code("TRY")),
    ("₪", Named::Code("ILS")),
    ("₫", Named::Code("VND")),
    ("đ", Named::Code("VND")),
    ("฿", Named::Code("THB")),
    ("₱", Named::Code("PHP")),
    ("₦", Named::Code("NGN")),
    ("₸", Named::Code("KZT")),
    ("zł", Named::Code("PLN")),
    ("Kč", Named::Code("CZK")),
    (FORINT, Named::Code("HUF")),
    ("лв.", Named::Code("BGN")),
    ("лв", Named::Code("BGN")),
    ("lei", Named::Sign("lei")),
    ("Rp", Named::Code("IDR")),
    ("RM", Named::Code("MYR")),
    ("د.إ", Named::Code("AED")),
    ("ر.س", Named::Code("SAR")),
    ("ریال", Named::Code("IRR")),
    ("تومان", Named::Sign("تومان")),
    ("kr.", Named::Sign("kr")),
    ("kr", Named::Sign("kr")),
    ("Fr.", Named::Sign("Fr.")),
    ("SFr.", Named::Code("CHF")),
    ("₨", Named::Sign("₨")),
    ("Rs.", Named::Sign("₨")),
    ("Rs", Named::Sign("₨")),
    ("$", Named::Sign("$")),
];

/// The symbols that several currencies share, with the codes of these currencies.
const SHARED: &[(&str, &[&str])] = &[
    (
        "$",
        &[
            "USD", "CAD", "AUD", "NZD", "HKD", "SGD", "TWD", "MXN", "CLP", "COP", "ARS", "UYU", "BRL", "DOP",
            "JMD", "TTD", "BBD", "BSD", "BZD", "FJD", "NAD", "XCD", "BND", "LRD", "GYD", "SRD",
        ],
    ),
    ("C$", &["CAD", "NIO"]),
    ("£", &["GBP", "EGP", "LBP", "SYP", "GIP", "FKP", "SHP"]),
    ("¥", &["JPY", "CNY"]),
    ("kr", &["SEK", "NOK", "DKK", "ISK"]),
    ("lei", &["RON", "MDL"]),
    ("₨", &["INR", "PKR", "LKR", "NPR", "MUR", "SCR"]),
    ("Fr.", &["CHF", "XOF", "XAF"]),
];

/// The codes of currencies whose prices have no fraction.
const WHOLE: &[&str] = &[
    "JPY", "KRW", "VND", "CLP", "ISK", "PYG", "XOF", "XAF", "XPF", "UGX", "RWF", "KMF", "GNF", "DJF", "VUV",
    "BIF", "IDR", "HUF",
];

/// The codes of ISO 4217 that stand for money.
const CODES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN \
    BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ \
    GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL \
    LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN \
    PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SYP SZL THB TJS TMT TND TOP TRY TTD TWD \
    TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG";
