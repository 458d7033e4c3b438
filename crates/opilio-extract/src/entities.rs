//! Decoding of character references such as `&amp;`, with the tokenizer of html5ever (HTML standard §13.2.5.72).

use std::borrow::Cow;
use std::cell::RefCell;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::{RawKind, State};
use html5ever::tokenizer::{Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

/// Returns the text with its character references decoded. The text holds no tags: `<` stands for itself.
pub(crate) fn decoded_text(raw: &str) -> Cow<'_, str> {
    decoded(raw, || {
        let opts = TokenizerOpts {
            initial_state: Some(State::RawData(RawKind::Rcdata)),
            discard_bom: false,
            ..TokenizerOpts::default()
        };
        tokens(opts, raw.into())
    })
}

/// Returns the value of an attribute with its character references decoded. In an attribute, unlike in text, `&copy=1`
/// stays as it is.
pub(crate) fn decoded_attribute(raw: &str) -> Cow<'_, str> {
    decoded(raw, || {
        let mut tag = StrTendril::from_slice("<a b=\"");
        for (number, part) in raw.split('"').enumerate() {
            if number > 0 {
                tag.push_slice("&#34;");
            }
            tag.push_slice(part);
        }
        tag.push_slice("\">");
        tokens(TokenizerOpts::default(), tag)
    })
}

/// Returns a text without `&` as it is, and decodes a text whose only references are `&amp;` without the tokenizer:
/// these are the common cases.
fn decoded<'t>(raw: &'t str, decode: impl FnOnce() -> String) -> Cow<'t, str> {
    const AMP: &str = "&amp;";
    if memchr::memchr(b'&', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    if memchr::memchr_iter(b'&', raw.as_bytes()).all(|at| raw[at..].starts_with(AMP)) {
        return Cow::Owned(raw.replace(AMP, "&"));
    }
    Cow::Owned(decode())
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
