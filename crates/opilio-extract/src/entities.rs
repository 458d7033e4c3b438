//! Decoding of character references such as `&amp;`, with the tokenizer of html5ever (HTML standard §13.2.5.72).

use std::borrow::Cow;
use std::cell::RefCell;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::{RawKind, State};
use html5ever::tokenizer::{Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

/// The place of a character reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferencePlace {
    Text,
    Attribute,
}

/// The character references that are decoded without a tokenizer. Each ends with `;`, so that it means the same
/// whatever follows, in texts and in attributes.
const COMMON: [(&str, &str); 12] = [
    ("amp;", "&"),
    ("quot;", "\""),
    ("lt;", "<"),
    ("gt;", ">"),
    ("nbsp;", "\u{a0}"),
    ("#39;", "'"),
    ("#x27;", "'"),
    ("#039;", "'"),
    ("#34;", "\""),
    ("#38;", "&"),
    ("#038;", "&"),
    ("copy;", "©"),
];

/// Returns the text with its character references decoded. The text holds no tags: `<` stands for itself.
pub(crate) fn decoded_text(raw: &str) -> Cow<'_, str> {
    decoded(raw, ReferencePlace::Text, || text_by_tokenizer(raw))
}

fn text_by_tokenizer(raw: &str) -> String {
    let opts = TokenizerOpts {
        initial_state: Some(State::RawData(RawKind::Rcdata)),
        discard_bom: false,
        ..TokenizerOpts::default()
    };
    tokens(opts, raw.into())
}

/// Returns the value of an attribute with its character references decoded. In an attribute, unlike in text, `&copy=1`
/// stays as it is.
pub(crate) fn decoded_attribute(raw: &str) -> Cow<'_, str> {
    decoded(raw, ReferencePlace::Attribute, || attribute_by_tokenizer(raw))
}

fn attribute_by_tokenizer(raw: &str) -> String {
    let mut tag = StrTendril::from_slice("<a b=\"");
    for (number, part) in raw.split('"').enumerate() {
        if number > 0 {
            tag.push_slice("&#34;");
        }
        tag.push_slice(part);
    }
    tag.push_slice("\">");
    tokens(TokenizerOpts::default(), tag)
}

/// Decodes a text of which all character references are common ones. Returns `None` if another one may be in it: then
/// a tokenizer has to read the text.
pub(crate) fn decoded_common(raw: &str, place: ReferencePlace) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let common = COMMON.iter().find_map(|(name, decoded)| Some((rest.strip_prefix(name)?, decoded)));
        if let Some((after, decoded)) = common {
            text.push_str(decoded);
            rest = after;
        } else if is_plain_ampersand(rest.as_bytes(), place) {
            text.push('&');
        } else {
            return None;
        }
    }
    text.push_str(rest);
    Some(text)
}

/// Returns whether an `&` before this text stands for itself. In an attribute, it also does before `name=`, as in
/// `?a=1&b=2` (HTML standard §13.2.5.73).
fn is_plain_ampersand(after: &[u8], place: ReferencePlace) -> bool {
    let name = after.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(after.len());
    match place {
        _ if name == 0 => after.first() != Some(&b'#'),
        ReferencePlace::Text => false,
        ReferencePlace::Attribute => after.get(name) == Some(&b'='),
    }
}

fn decoded(raw: &str, place: ReferencePlace, decode: impl FnOnce() -> String) -> Cow<'_, str> {
    if memchr::memchr(b'&', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(decoded_common(raw, place).unwrap_or_else(decode))
}

fn tokens(opts: TokenizerOpts, input: StrTendril) -> String {
    let tokenizer = Tokenizer::new(EntityText::default(), opts);
    let queue = BufferQueue::default();
    queue.push_back(input);
    // The sink never asks for a stop, so the tokenizer reads all input.
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    tokenizer.sink.0.into_inner()
}

/// Collects the text and the attribute values that the tokenizer has read.
#[derive(Default)]
struct EntityText(RefCell<String>);

impl TokenSink for EntityText {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut text = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(part) => text.push_str(&part),
            Token::NullCharacterToken => text.push('\u{FFFD}'),
            Token::TagToken(tag) => tag.attrs.iter().for_each(|attribute| text.push_str(&attribute.value)),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn common_references_are_decoded_as_by_the_tokenizer(
            parts in prop::collection::vec(
                prop_oneof![
                    "&(amp|lt|gt|quot|nbsp|copy|not|notin|AMP|Lt|#39|#039|#x27|#38|#34|#)(;|=|&|[a-z ]|\"|)",
                    "&[a-z0-9]{1,3}[=; ]",
                    "[&;=#\"'<é \n\u{feff}]",
                    "[a-z0-9]{1,3}",
                ],
                0..8,
            ),
        ) {
            let raw = parts.concat();
            prop_assert_eq!(decoded_text(&raw), text_by_tokenizer(&raw));
            prop_assert_eq!(decoded_attribute(&raw), attribute_by_tokenizer(&raw));
        }
    }

    #[test]
    fn references_are_decoded_as_a_browser_does() {
        for (raw, text, attribute) in [
            ("a b", "a b", "a b"),
            ("?a=1&amp;b=2", "?a=1&b=2", "?a=1&b=2"),
            ("?a=1&b=2", "?a=1&b=2", "?a=1&b=2"),
            ("?a=1&copy=2", "?a=1©=2", "?a=1&copy=2"),
            ("&copy;&copy", "©©", "©©"),
            ("&ampx&amp;amp;", "&x&amp;", "&ampx&amp;"),
            ("&notin; &notit;", "∉ ¬it;", "∉ &notit;"),
            ("&#x41;&#66;&#0;&#x80;", "AB\u{FFFD}€", "AB\u{FFFD}€"),
            ("&#xD800;&#9999999;", "\u{FFFD}\u{FFFD}", "\u{FFFD}\u{FFFD}"),
            ("&", "&", "&"),
            ("&#", "&#", "&#"),
            ("\"&quot;'", "\"\"'", "\"\"'"),
            ("<b>&lt;/title></a>", "<b></title></a>", "<b></title></a>"),
            ("\u{feff}&lt;", "\u{feff}<", "\u{feff}<"),
            ("&unknown;", "&unknown;", "&unknown;"),
        ] {
            assert_eq!(decoded_text(raw), text, "text {raw:?}");
            assert_eq!(decoded_attribute(raw), attribute, "attribute {raw:?}");
        }
    }
}
