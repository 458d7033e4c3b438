//! Reads numbers as people write them: `1,234.56`, `1.234,56`, `1 234,56`, `١٢٣٤`.
//!
//! A text that could mean two different numbers is refused: `1.299` is 1299 in one country, and 1.299 in another.

use std::borrow::Cow;

use opilio_extract_grammar::NumberForm;

/// The reason why a text cannot be read as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoNumber {
    /// The text is not a number.
    Other,
    /// The text could mean two different numbers.
    Ambiguous,
    /// The text is not written in the form that the field requires.
    Form(NumberForm),
}

impl NoNumber {
    /// Returns a hint on how to make the number readable.
    pub(super) fn hint(self) -> Cow<'static, str> {
        match self {
            Self::Other => Cow::Borrowed("take the number out of the text by `re`, if it stands in one"),
            Self::Ambiguous => Cow::Borrowed(
                "it could be two numbers: say how numbers are written there by `number = \"1.234,56\"` or `number = \"1,234.56\"`",
            ),
            Self::Form(form) => {
                format!("numbers there are said to be written as {:?}", form.example()).into()
            }
        }
    }
}

/// The most bytes of a text that is read as a number (100). A longer text is not a number.
const BYTES_MAX: usize = 100;

/// Returns the number in plain digits, as Rust's types parse it: `-1234.56`. With `form`, the number must be written
/// in this form.
pub(super) fn read(text: &str, form: Option<NumberForm>) -> Result<String, NoNumber> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || is_mark(c));
    if text.len() > BYTES_MAX {
        return Err(NoNumber::Other);
    }
    let (negative, rest) = sign(text);
    if form.is_none_or(|form| form.decimal == '.')
        && let Some(plain) = scientific(rest)
    {
        return Ok(signed(negative, &plain));
    }
    let parts = Parts::of(rest).ok_or(NoNumber::Other)?;
    let plain = match form {
        Some(form) => parts.by(form).ok_or(NoNumber::Form(form))?,
        None => parts.guess()?,
    };
    Ok(signed(negative, &plain))
}

fn signed(negative: bool, plain: &str) -> String {
    if negative { format!("-{plain}") } else { plain.to_owned() }
}

/// Splits the sign off the front of a number. Returns whether the sign is a minus, and the rest. A hyphen or a dash
/// before a space is no sign, since it may be a bullet or separate the number from the words before it.
pub(super) fn sign(text: &str) -> (bool, &str) {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return (false, text) };
    let rest = chars.as_str();
    match first {
        '+' | '\u{ff0b}' => (false, rest.trim_start()),
        '\u{2212}' => (true, rest.trim_start()),
        '-' | '\u{fe63}' | '\u{ff0d}' | '\u{2010}' | '\u{2011}' | '\u{2012}' | '\u{2013}'
            if !rest.starts_with(char::is_whitespace) =>
        {
            (true, rest)
        }
        _ => (false, text),
    }
}

/// Returns whether this character is a mark of writing direction. In Arabic and Hebrew, such marks are written
/// around numbers.
pub(super) fn is_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Reads numbers such as `1.5E7`, as programs write large numbers.
fn scientific(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let (down, digits) = match exponent.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    if !plain(whole) || !plain(fraction) || !plain(digits) {
        return None;
    }
    let by = digits.parse::<usize>().ok().filter(|by| *by <= 40)?;
    let all = format!("{whole}{fraction}");
    let (all, point) = if down {
        (format!("{}{all}", "0".repeat(by)), whole.len())
    } else {
        (format!("{all}{}", "0".repeat(by)), whole.len() + by)
    };
    let (whole, fraction) = all.split_at(point);
    let fraction = fraction.trim_end_matches('0');
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// Returns the ASCII digit for a digit of any of the scripts that shops use; `None` for another character.
pub(super) fn digit(c: char) -> Option<char> {
    let zero = match c {
        '0'..='9' => return Some(c),
        '٠'..='٩' => '٠',
        '۰'..='۹' => '۰',
        '०'..='९' => '०',
        '০'..='৯' => '০',
        '๐'..='๙' => '๐',
        '０'..='９' => '０',
        _ => return None,
    };
    char::from_digit(u32::from(c) - u32::from(zero), 10)
}

/// Returns whether a number may begin with this character.
pub(super) fn is_digit(c: char) -> bool {
    digit(c).is_some()
}

/// Returns the separator of digits that this character is: one representative character for each kind of separator.
/// `None` for another character.
fn separator(c: char) -> Option<char> {
    Some(match c {
        '.' | ',' | '٫' | '٬' => c,
        '．' => '.',
        '，' | '،' => ',',
        ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\u{2007}' | '\u{2008}' | '\u{200a}' | '\t' => ' ',
        '\'' | '’' | '‘' | '´' | '`' => '\'',
        _ => return None,
    })
}

/// The groups of digits of a number, with the separators between them.
struct Parts {
    groups: Vec<String>,
    marks: Vec<char>,
}

impl Parts {
    fn of(text: &str) -> Option<Self> {
        let mut parts = Self { groups: vec![String::new()], marks: Vec::new() };
        for c in text.chars().filter(|c| !is_mark(*c)) {
            match (digit(c), separator(c)) {
                (Some(digit), _) => parts.groups.last_mut()?.push(digit),
                (None, Some(mark)) => {
                    parts.marks.push(mark);
                    parts.groups.push(String::new());
                }
                (None, None) => return None,
            }
        }
        // The first group may be empty, since `.5` is a number. No other group of digits may be empty.
        let leading = parts.groups[0].is_empty();
        let holes = parts.groups.iter().skip(1).any(String::is_empty);
        let fits = !leading || (parts.marks.len() == 1 && matches!(parts.marks[0], '.' | ',' | '٫'));
        (!holes && fits && parts.groups.iter().any(|group| !group.is_empty())).then_some(parts)
    }

    /// Reads the number in the given form. Returns `None` if it is not written in this form.
    fn by(&self, form: NumberForm) -> Option<String> {
        let is_decimal = |mark: char| mark == form.decimal || (mark == '٫' && form.group != Some('٫'));
        let is_group = |mark: char| Some(mark) == form.group || (mark == '٬' && form.group.is_some());
        let fraction = self.marks.last().is_some_and(|mark| is_decimal(*mark));
        let whole = self.groups.len() - usize::from(fraction);
        if !self.marks[..whole - 1].iter().all(|mark| is_group(*mark))
            || !are_thousands(&self.groups[..whole], form.group)
        {
            return None;
        }
        Some(self.plain(fraction))
    }

    /// Reads the number without a given form. Fails if its meaning is not clear.
    fn guess(&self) -> Result<String, NoNumber> {
        let Some((last, before)) = self.marks.split_last() else { return Ok(self.plain(false)) };
        let may_be_decimal = matches!(last, '.' | ',' | '٫');
        let is_group = |mark: char| mark != '٫';
        match before.split_first() {
            // The number contains only one separator.
            None if !may_be_decimal => self.grouped(),
            None if *last == '٫' => Ok(self.plain(true)),
            None => {
                let (whole, fraction) = (&self.groups[0], &self.groups[1]);
                if fraction.len() != 3 || whole.is_empty() || whole.starts_with('0') || whole.len() > 3 {
                    Ok(self.plain(true))
                } else {
                    Err(NoNumber::Ambiguous)
                }
            }
            Some((first, others)) => {
                let same = is_group(*first) && others.iter().all(|mark| mark == first);
                match (same, last == first) {
                    (true, true) => self.grouped(),
                    (true, false) if may_be_decimal => {
                        let whole = &self.groups[..self.groups.len() - 1];
                        if are_thousands(whole, Some(*first)) {
                            Ok(self.plain(true))
                        } else {
                            Err(NoNumber::Other)
                        }
                    }
                    _ => Err(NoNumber::Other),
                }
            }
        }
    }

    fn grouped(&self) -> Result<String, NoNumber> {
        if are_thousands(&self.groups, self.marks.first().copied()) {
            Ok(self.plain(false))
        } else {
            Err(NoNumber::Other)
        }
    }

    fn plain(&self, has_fraction: bool) -> String {
        let (whole, fraction) = self.groups.split_at(self.groups.len() - usize::from(has_fraction));
        let whole = whole.concat();
        let whole = if whole.is_empty() { "0" } else { &whole };
        if has_fraction { format!("{whole}.{}", fraction.concat()) } else { whole.to_owned() }
    }
}

/// Returns whether the groups are thousands or, if commas separate them, Indian groups: three digits at the end, and
/// two digits in each group before.
fn are_thousands(groups: &[String], mark: Option<char>) -> bool {
    let Some((first, others)) = groups.split_first() else { return false };
    let Some((last, middle)) = others.split_last() else { return true };
    let sized =
        |size: usize| middle.iter().all(|group| group.len() == size) && (1..=size).contains(&first.len());
    last.len() == 3 && !first.starts_with('0') && (sized(3) || (sized(2) && mark == Some(',')))
}
