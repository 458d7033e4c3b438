//! `<meta http-equiv=refresh>`, a redirect that is written in the markup.

/// Returns the target of a refresh, by the steps of the HTML standard ("shared declarative refresh steps"). Returns
/// `None` if the refresh reloads the same page.
pub(crate) fn target(content: &str) -> Option<&str> {
    let rest = content.trim_ascii_start();
    let time = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if time == 0 && !rest.starts_with('.') {
        return None;
    }
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !rest.starts_with(|c: char| c.is_ascii_whitespace() || matches!(c, ';' | ',')) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_ascii_start();
    let rest = behind_name(rest).unwrap_or(rest);
    let url = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].split(quote).next().unwrap_or_default(),
        _ => rest,
    };
    Some(url).filter(|url| !url.is_empty())
}

/// Returns the text after `url=`; `None` if the text does not begin with `url=`.
fn behind_name(text: &str) -> Option<&str> {
    let name = text.get(..3).filter(|name| name.eq_ignore_ascii_case("url"))?;
    Some(text[name.len()..].trim_ascii_start().strip_prefix('=')?.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_the_standard_says() {
        for (content, wanted) in [
            ("0; url=/a", Some("/a")),
            ("0;URL=/a", Some("/a")),
            ("5", None),
            ("5;", None),
            ("5; url=", None),
            (" 5 , Url = '/a b' x", Some("/a b")),
            ("0.5;url=\"/a", Some("/a")),
            (".5 /a", Some("/a")),
            ("0; /a", Some("/a")),
            ("0;url/a", Some("url/a")),
            ("0;url", Some("url")),
            ("0url=/a", None),
            ("url=/a", None),
            ("", None),
            ("-1;url=/a", None),
            ("0;'/a'", Some("/a")),
            ("0;\u{e9}", Some("\u{e9}")),
        ] {
            assert_eq!(target(content), wanted, "{content}");
        }
    }
}
