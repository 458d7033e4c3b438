//! Title, links and metas of a page, and the collector that both readers fill: the streaming pass and the
//! DOM.

use crate::directives::MetaRobots;
use crate::link::{LINK_BYTES_MAX, LINKS_MAX, LinkKind, RawLink};
use crate::refresh;
use crate::srcset;
use crate::text::{bounded, collapse};
use std::borrow::Cow;
use std::fmt;

/// The longest title that is kept, in bytes.
pub const TITLE_BYTES_MAX: usize = 4 * 1024;

/// How many `<meta>`s that ask crawlers for something are kept.
const META_ROBOTS_MAX: usize = 64;

/// The result of one pass over a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skim {
    /// The first `<title>` that is not empty: entities decoded, white space collapsed, at most
    /// [`TITLE_BYTES_MAX`].
    pub title: Option<String>,
    /// All links in document order, including those that are not followed, but no images; at most
    /// [`LINKS_MAX`].
    pub links: Vec<RawLink>,
    /// The `href` of the first `<base>` that has one, entities decoded.
    pub base_href: Option<String>,
    /// Every `<meta>` with a name and a directive, for any crawler; at most 64.
    pub robots: Vec<MetaRobots>,
    /// Why this is not all that the page holds; `None`: it is all.
    pub cut: Option<Cut>,
}

/// Why a page was not read to its end. Everything found before stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// The page has more than [`LINKS_MAX`] links.
    Links,
    /// Its markup is nested too deeply, or has a single tag too long, to be read in bounded memory.
    Memory,
}

/// Collects the results, for both readers.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    pub(crate) skim: Skim,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Links => write!(f, "it has more than {LINKS_MAX} links"),
            Self::Memory => f.write_str("its markup would take too much memory"),
        }
    }
}

/// There are links enough; the pass can stop.
#[derive(Debug, thiserror::Error)]
#[error("the page has more than {LINKS_MAX} links")]
pub(crate) struct Enough;

impl Collector {
    /// Takes a link whose entities are decoded; refuses links beyond the limit.
    pub(crate) fn link(
        &mut self,
        kind: LinkKind,
        href: Cow<'_, str>,
        rel: Option<String>,
    ) -> Result<(), Enough> {
        if href.len() > LINK_BYTES_MAX {
            return Ok(());
        }
        if self.skim.links.len() == LINKS_MAX {
            self.skim.cut = Some(Cut::Links);
            return Err(Enough);
        }
        self.skim.links.push(RawLink::new(kind, href.into_owned(), rel));
        Ok(())
    }

    /// Takes the `href` of a `<base>`; only the first one counts.
    pub(crate) fn base(&mut self, href: Cow<'_, str>) {
        if self.skim.base_href.is_none() && href.len() <= LINK_BYTES_MAX {
            self.skim.base_href = Some(href.into_owned());
        }
    }

    /// Takes a `<meta>` with a content, entities decoded. One with a name may hold directives, one with
    /// `http-equiv` a refresh.
    pub(crate) fn meta(
        &mut self,
        name: Option<&str>,
        event: Option<&str>,
        content: &str,
    ) -> Result<(), Enough> {
        if let Some(name) = name
            && self.skim.robots.len() < META_ROBOTS_MAX
        {
            self.skim.robots.extend(MetaRobots::read(name, content));
        }
        match refresh::target(content) {
            Some(target) if event.is_some_and(|event| event.eq_ignore_ascii_case("refresh")) => {
                self.link(LinkKind::Refresh, Cow::Borrowed(target), None)
            }
            _ => Ok(()),
        }
    }

    /// Takes the pictures of a `srcset`, entities decoded.
    pub(crate) fn image_set(&mut self, set: &str) -> Result<(), Enough> {
        srcset::urls(set).try_for_each(|url| self.link(LinkKind::Image, Cow::Borrowed(url), None))
    }

    /// Takes the text of a `<title>`, entities decoded; only the first that is not empty counts.
    pub(crate) fn title(&mut self, text: &str) {
        if self.skim.title.is_none() {
            let title = collapse(text);
            let title = bounded(&title, TITLE_BYTES_MAX).trim_end();
            self.skim.title = (!title.is_empty()).then(|| title.to_owned());
        }
    }
}
