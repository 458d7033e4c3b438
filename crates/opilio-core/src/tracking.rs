//! Tracking parameters: query parameters that mark a visitor, a click or a campaign, and never change the page.

use std::borrow::Cow;

use url::Url;

use crate::canonical::normalize_escapes;

/// Removes well-known tracking parameters from the query; returns whether there were any.
///
/// `ref` and `source` stay, since many sites use them to select content. The other parameters keep their
/// order and their spelling. If no parameter is left, the question mark is removed, too. Names are compared
/// without regard to case and with percent-encoding decoded.
///
/// | of | names |
/// | --- | --- |
/// | campaigns | `utm_*`, `mtm_*`, `pk_*`, `piwik_*`, `hsa_*` |
/// | Google | `gclid`, `gclsrc`, `dclid`, `gbraid`, `wbraid`, `gad_source`, `gad_campaignid`, `srsltid`, `_ga`, `_gl` |
/// | Meta | `fbclid`, `igsh`, `igshid` |
/// | Microsoft | `msclkid` |
/// | Yandex | `yclid`, `ysclid`, `_openstat` |
/// | other networks | `twclid`, `ttclid`, `li_fat_id`, `epik`, `rdt_cid`, `ScCid`, `wickedid`, `irclickid` |
/// | mail | `mc_cid`, `mc_eid`, `mkt_tok`, `vero_id`, `vero_conv`, `oly_anon_id`, `oly_enc_id`, `__s` |
/// | HubSpot | `_hsenc`, `_hsmi`, `__hssc`, `__hstc`, `__hsfp`, `hsCtaTracking` |
///
/// ```
/// let mut url = url::Url::parse("https://a.example/x?b=2&utm_source=mail&a=1#top")?;
/// assert!(opilio_core::strip_tracking(&mut url));
/// assert_eq!(url.as_str(), "https://a.example/x?b=2&a=1#top");
/// # Ok::<(), url::ParseError>(())
/// ```
pub fn strip_tracking(url: &mut Url) -> bool {
    let Some(query) = url.query() else { return false };
    if !query.split('&').any(is_tracking) {
        return false;
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_tracking(pair)).collect();
    let kept = kept.join("&");
    url.set_query(Some(kept.as_str()).filter(|kept| !kept.is_empty()));
    true
}

fn is_tracking(pair: &str) -> bool {
    let name: Cow<'_, str> = normalize_escapes(pair.split_once('=').map_or(pair, |(name, _)| name));
    let begins = |prefix: &&str| {
        name.len() > prefix.len() && name.as_bytes()[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
    };
    PREFIXES.iter().any(begins) || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

const PREFIXES: [&str; 5] = ["utm_", "mtm_", "pk_", "piwik_", "hsa_"];

const NAMES: [&str; 39] = [
    "gclid",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "gad_source",
    "gad_campaignid",
    "srsltid",
    "_ga",
    "_gl",
    "fbclid",
    "igsh",
    "igshid",
    "msclkid",
    "yclid",
    "ysclid",
    "_openstat",
    "twclid",
    "ttclid",
    "li_fat_id",
    "epik",
    "rdt_cid",
    "sccid",
    "wickedid",
    "irclickid",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "vero_id",
    "vero_conv",
    "oly_anon_id",
    "oly_enc_id",
    "__s",
    "_hsenc",
    "_hsmi",
    "__hssc",
    "__hstc",
    "__hsfp",
    "hsctatracking",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn stripped(url: &str) -> String {
        let mut url = Url::parse(url).unwrap();
        strip_tracking(&mut url);
        url.into()
    }

    #[test]
    fn what_tracks_goes_and_the_rest_stays_as_it_is() {
        for (query, left) in [
            ("?utm_source=a", ""),
            ("?b=2&utm_source=a&a=1&UTM_Medium=x", "?b=2&a=1"),
            ("?utm%5Fsource=a&x", "?x"),
            ("?gclid=1&fbclid=2&msclkid=3&dclid=4&gbraid=5&wbraid=6", ""),
            ("?mc_cid=1&mc_eid=2&igshid=3&yclid=4&_hsenc=5&_hsmi=6", ""),
            ("?gclid", ""),
            ("?gclid&q=%c3%a9&&r=", "?q=%c3%a9&&r="),
            ("?ref=a&source=b&utm=c&id=gclid&xgclid=1", "?ref=a&source=b&utm=c&id=gclid&xgclid=1"),
            ("?utm_=1", "?utm_=1"),
            ("?q=a%26utm_source=b", "?q=a%26utm_source=b"),
            ("?", "?"),
            ("", ""),
            ("?a=1&fbclid=x#utm_source=a", "?a=1#utm_source=a"),
        ] {
            assert_eq!(stripped(&format!("http://a.example/{query}")), format!("http://a.example/{left}"));
        }
    }

    #[test]
    fn every_name_is_taken_and_said_once() {
        for name in NAMES {
            assert_eq!(
                stripped(&format!("http://a.example/?{name}=1&{name}x=1")),
                format!("http://a.example/?{name}x=1")
            );
            assert_eq!(NAMES.iter().filter(|other| **other == name).count(), 1, "{name}");
        }
        for prefix in PREFIXES {
            assert_eq!(
                stripped(&format!("http://a.example/?{prefix}=1&{prefix}x=1")),
                format!("http://a.example/?{prefix}=1")
            );
        }
    }

    proptest! {
        #[test]
        fn stripping_is_idempotent_and_only_removes(query in "((utm_[a-z]|gclid|a|%75tm_b|[ -~é]{0,3})(=[a-z%]{0,3})?&?){0,6}") {
            let Ok(url) = Url::parse(&format!("http://a.example/?{query}")) else { return Ok(()) };
            let mut once = url.clone();
            let changed = strip_tracking(&mut once);
            prop_assert_eq!(changed, once != url);
            let mut twice = once.clone();
            prop_assert!(!strip_tracking(&mut twice));
            prop_assert_eq!(twice, once.clone());
            let all: Vec<_> = url.query().unwrap_or_default().split('&').collect();
            let mut left = all.iter();
            prop_assert!(once.query().into_iter().flat_map(|query| query.split('&')).all(|pair| left.any(|one| *one == pair)));
        }
    }
}
