//! The form in which a site writes numbers, given by an example such as `1.234,56`.

/// The characters that separate groups of digits and the fraction in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberForm {
    /// The separator between groups of digits. A space stands for every kind of space, and `'` also for `’`. `None`
    /// means that digits are not grouped.
    pub group: Option<char>,
    /// The separator between the whole part and the fraction.
    pub decimal: char,
}

impl NumberForm {
    /// Returns the form of an example. The example must contain the separator of the fraction.
    ///
    /// ```
    /// use opilio_extract_grammar::NumberForm;
    ///
    /// assert_eq!(NumberForm::by_example("1.234,56"), Ok(NumberForm { group: Some('.'), decimal: ',' }));
    /// assert_eq!(NumberForm::by_example("1234.5"), Ok(NumberForm { group: None, decimal: '.' }));
    /// assert!(NumberForm::by_example("1,234").unwrap_err().contains("`1,234.56`"));
    /// ```
    ///
    /// # Errors
    /// When the example is not a number, or does not show the form unambiguously.
    pub fn by_example(example: &str) -> Result<Self, String> {
        let parts = parts(example).ok_or_else(|| {
            "write an example of a number, such as \"1.234,56\", \"1,234.56\", \"1 234,56\" or \"1234.56\""
                .to_owned()
        })?;
        let marks: Vec<char> = parts.iter().filter_map(|(mark, _)| *mark).collect();
        let last_digits = parts.last().map_or(0, |(_, digits)| digits.len());
        match marks.as_slice() {
            [] => Err("the example does not show what separates the fraction: write `1234.56` or `1234,56`".to_owned()),
            [one @ ('.' | ',')] if last_digits != 3 => Ok(Self { group: None, decimal: *one }),
            [.., group, decimal @ ('.' | ',' | '٫')] if group != decimal => {
                let groups = &marks[..marks.len() - 1];
                if groups.iter().any(|mark| mark != group) {
                    return Err("the example separates thousands in two ways".to_owned());
                }
                let sized = parts[1..parts.len() - 1].iter().all(|(_, digits)| matches!(digits.len(), 2 | 3));
                if !sized || parts[parts.len() - 2].1.len() != 3 {
                    return Err("the groups of the example are not thousands: write `1,234.56`".to_owned());
                }
                Ok(Self { group: Some(*group), decimal: *decimal })
            }
            [group, ..] if marks.iter().all(|mark| mark == group) => Err(match group {
                ',' => "the example could mean two things: write `1,234.56` if the comma separates thousands, or `1,2` if it separates the fraction".to_owned(),
                '.' => "the example could mean two things: write `1.234,56` if the point separates thousands, or `1.2` if it separates the fraction".to_owned(),
                group => format!("the example does not show what separates the fraction: write `1{group}234,56` or `1{group}234.56`"),
            }),
            _ => Err("the example is no number: write one such as `1.234,56`".to_owned()),
        }
    }

    /// Returns an example of a number in this form.
    #[must_use]
    pub fn example(self) -> String {
        let group = self.group.map(String::from).unwrap_or_default();
        format!("1{group}234{}56", self.decimal)
    }
}

/// Splits a number into its groups of digits, each with the separator before it. Returns `None` for other texts.
fn parts(example: &str) -> Option<Vec<(Option<char>, &str)>> {
    let (mut parts, mut mark, mut rest) = (Vec::new(), None, example);
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            return None;
        }
        parts.push((mark, &rest[..digits]));
        let Some(next) = rest[digits..].chars().next() else { return Some(parts) };
        mark = Some(match next {
            ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' => ' ',
            '\'' | '’' => '\'',
            '.' | ',' | '٫' | '٬' => next,
            _ => return None,
        });
        rest = &rest[digits + next.len_utf8()..];
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_example_shows_the_form_or_is_refused() {
        for (example, group, decimal) in [
            ("1.234,56", Some('.'), ','),
            ("1,234.56", Some(','), '.'),
            ("1 234,56", Some(' '), ','),
            ("1\u{a0}234,5", Some(' '), ','),
            ("1'234.50", Some('\''), '.'),
            ("1’234,50", Some('\''), ','),
            ("12,34,567.89", Some(','), '.'),
            ("1234,56", None, ','),
            ("0.5", None, '.'),
        ] {
            assert_eq!(NumberForm::by_example(example), Ok(NumberForm { group, decimal }), "{example}");
        }
        for (example, reason) in [
            ("1.234", "`1.234,56`"),
            ("1,234", "`1,234.56`"),
            ("1 234", "`1 234,56`"),
            ("1234", "does not show"),
            ("", "write an example"),
            ("€ 5", "write an example"),
            ("#,##0.00", "write an example"),
            ("1.23,4", "not thousands"),
            ("1 234.567,8", "two ways"),
        ] {
            let refused = NumberForm::by_example(example).unwrap_err();
            assert!(refused.contains(reason), "{example}: {refused}");
        }
    }
}
