//! Title, links and `<meta>` elements of a page. Both the pass over the text and the DOM collect them with the collector
//! here.

use crate::directives::MetaRobots;
use crate::link::{LINK_BYTES_MAX, LINKS_MAX, LinkKind, RawLink};
use crate::refresh;
use crate::srcset;
use crate::text::{bounded, collapse};
use std::borrow::Cow;
use std::fmt;

/// The most bytes of a title (4 KiB). A longer title is cut off.
pub const TITLE_BYTES_MAX: usize = 4 * 1024;

/// The most `<meta>` elements with directives to crawlers that are kept for a page.
const META_ROBOTS_MAX: usize = 64;

/// The facts that are read from a page in one pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skim {
    /// The first `<title>` that is not empty: entities are decoded, white space is collapsed, and it is cut
    /// off at [`TITLE_BYTES_MAX`].
    pub title: Option<String>,
    /// All links in document order, at most [`LINKS_MAX`]. Links that are not followed are included, but
    /// images are not.
    pub links: Vec<RawLink>,
    /// The `href` of the first `<base>` that has an `href`, with entities decoded.
    pub base_href: Option<String>,
    /// Every `<meta>` that has a name and contains a directive to crawlers, for any crawler; at most 64.
    pub robots: Vec<MetaRobots>,
    /// The reason why part of the page was not read; `None` if the whole page was read.
    pub cut: Option<Cut>,
}

/// The reason why a page was not read to its end. Everything found before that place is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// The page has more than [`LINKS_MAX`] links.
    Links,
    /// The elements nest too deeply, are too many, or have too many attributes to be read in limited memory.
    Memory,
}

/// Collects the facts about a page, for the pass over the text and for the DOM.
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

/// The error that stops a pass, because the page has more than [`LINKS_MAX`] links.
#[derive(Debug, thiserror::Error)]
#[error("the page has more than {LINKS_MAX} links")]
pub(crate) struct Enough;

impl Collector {
    /// Adds a link whose entities are decoded already. Fails if the page has too many links.
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

    /// Sets the `href` of `<base>`. Only the first call has an effect.
    pub(crate) fn base(&mut self, href: Cow<'_, str>) {
        if self.skim.base_href.is_none() && href.len() <= LINK_BYTES_MAX {
            self.skim.base_href = Some(href.into_owned());
        }
    }

    /// Adds a `<meta>` that has a content, with entities decoded. A `<meta>` with a name may contain directives; a
    /// `<meta>` with `http-equiv` may contain a refresh.
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

    /// Adds the images of a `srcset`, whose entities are decoded already.
    pub(crate) fn image_set(&mut self, set: &str) -> Result<(), Enough> {
        srcset::urls(set).try_for_each(|url| self.link(LinkKind::Image, Cow::Borrowed(url), None))
    }

    /// Sets the title, whose entities are decoded already. Only the first title that is not empty counts.
    pub(crate) fn title(&mut self, text: &str) {
        if self.skim.title.is_none() {
            let title = collapse(text);
            let title = bounded(&title, TITLE_BYTES_MAX).trim_end();
            self.skim.title = (!title.is_empty()).then(|| title.to_owned());
        }
    }
}
