//! Reads sitemaps as streams of entries: XML sitemaps and index files, RSS and Atom feeds, and plain lists of
//! URLs. Each may be gzipped or not, in UTF-8, UTF-16 or the encoding that the XML declaration names.
//!
//! The format of a file is recognised by its bytes, never by its name or content type. Nothing is fetched: an
//! index yields the addresses of further sitemaps, and the caller decides how deep to follow them.

mod base;
mod source;
mod text;
mod xml;

#[cfg(test)]
mod tests;

use std::io::{self, Read};

use serde::Serialize;

use source::Source;

/// The limits for reading a sitemap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The most entries of one file that are read; sitemaps.org allows 50,000.
    pub entries_max: usize,
    /// The most bytes that are read, counted after decompression; sitemaps.org allows 50 MiB.
    pub bytes_max: u64,
    /// The most bytes that the gzip decoder may return per byte of its input. The ratio is not checked in the
    /// first MiB of output, since small lists of similar URLs compress well.
    pub ratio_max: u64,
    /// The most bytes of one value (`loc`, `lastmod` and so on). Entries with a longer `loc` are skipped and
    /// reported at the end; sitemaps.org allows 2,048.
    pub field_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { entries_max: 50_000, bytes_max: 50 * 1024 * 1024, ratio_max: 200, field_bytes_max: 8 * 1024 }
    }
}

/// One page or further sitemap that a sitemap lists.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The address as written, without surrounding white space and line breaks; in a feed, resolved by its
    /// `xml:base`. The address should be absolute, but some feeds have relative addresses; the caller has to
    /// join these to the URL of the sitemap.
    pub loc: String,
    /// The time when the page or sitemap changed, as written: W3C date-time in sitemaps and Atom, RFC 2822 in
    /// RSS.
    pub lastmod: Option<String>,
    /// How often the page changes; `None` if this is not stated, or not in one of the seven words of
    /// [`ChangeFreq`].
    pub changefreq: Option<ChangeFreq>,
    /// The page's priority, 0.0 to 1.0; `None` if absent or out of this range.
    pub priority: Option<f32>,
    /// Whether `loc` is a page or a further sitemap.
    pub kind: SitemapEntryKind,
}

/// Whether an entry is a page or a further sitemap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SitemapEntryKind {
    /// A page.
    Url,
    /// A further sitemap that an index lists.
    Sitemap,
}

/// How often a page changes, in the words of the sitemap format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum ChangeFreq {
    Always,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
    Never,
}

impl ChangeFreq {
    fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "always" => Self::Always,
            "hourly" => Self::Hourly,
            "daily" => Self::Daily,
            "weekly" => Self::Weekly,
            "monthly" => Self::Monthly,
            "yearly" => Self::Yearly,
            "never" => Self::Never,
            _ => return None,
        })
    }
}

/// The reason why reading a sitemap stopped, or why entries are missing. The entries that were returned
/// before remain valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SitemapError {
    /// The reader failed, or the gzip stream is damaged or cut off.
    #[error("cannot read the sitemap")]
    Io(#[source] io::Error),
    /// The XML is broken or cut off.
    #[error("cannot read the sitemap's XML at byte {at}: {reason}")]
    Xml {
        /// The place of the error: its offset in bytes, in the text after decompression and conversion to
        /// UTF-8.
        at: u64,
        /// The parser's message.
        reason: String,
    },
    /// The file is not a sitemap: HTML, for instance, or text without any URL.
    #[error("this file is not a sitemap: it is {found}")]
    NotASitemap {
        /// The kind of content found, as the end of the sentence "it is …".
        found: String,
    },
    /// The file was read to its end, but some entries have no address, or none that can be read.
    #[error("{entries} entries of the sitemap have no address, or none that can be read")]
    Skipped {
        /// The number of entries without a readable address.
        entries: usize,
    },
    /// There are more entries than [`Bounds::entries_max`].
    #[error("the sitemap has more than {entries_max} entries, the most that are read")]
    TooManyEntries {
        /// The limit that was reached.
        entries_max: usize,
    },
    /// The text is longer than [`Bounds::bytes_max`].
    #[error("the sitemap has more than {bytes_max} bytes, the most that are read")]
    TooManyBytes {
        /// The limit that was reached, in bytes.
        bytes_max: u64,
    },
    /// The gzip decoder returned more than [`Bounds::ratio_max`] bytes per byte of input.
    #[error("cannot decompress the sitemap: it grows to more than {ratio_max} times its size")]
    DecompressionBomb {
        /// The limit that was reached: bytes of output per byte of input.
        ratio_max: u64,
    },
}

/// Streams the entries of a sitemap.
///
/// Reading takes at most about one MiB of memory plus one entry, for any file. The iterator ends after an
/// error.
///
/// ```
/// # mod opilio { pub use opilio_robots as robots; }
/// use opilio::robots::sitemap::{self, Bounds, SitemapEntryKind};
///
/// let file = b"<urlset><url><loc>https://a.example/?x=1&amp;y=2</loc></url></urlset>";
/// let entries: Result<Vec<_>, _> = sitemap::read(&file[..], &Bounds::default()).collect();
/// let entries = entries?;
/// assert_eq!(entries[0].loc, "https://a.example/?x=1&y=2");
/// assert_eq!(entries[0].kind, SitemapEntryKind::Url);
/// # Ok::<(), sitemap::SitemapError>(())
/// ```
pub fn read<'a>(reader: impl Read + Send + 'a, bounds: &Bounds) -> Entries<'a> {
    Entries { state: ReadState::Unopened(Box::new(reader)), bounds: bounds.clone(), entries: 0 }
}

/// The entries of one sitemap, in document order; [`read`] returns them.
pub struct Entries<'a> {
    state: ReadState<'a>,
    bounds: Bounds,
    entries: usize,
}

enum ReadState<'a> {
    Unopened(Box<dyn Read + Send + 'a>),
    Xml(Box<xml::XmlWalk<'a>>),
    Text(text::Lines<'a>),
    Over,
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, SitemapError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step().and_then(|entry| self.count(entry)).transpose();
        if !matches!(next, Some(Ok(_))) {
            self.state = ReadState::Over;
        }
        next
    }
}

impl std::iter::FusedIterator for Entries<'_> {}

impl std::fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl<'a> Entries<'a> {
    fn step(&mut self) -> Result<Option<Entry>, SitemapError> {
        if matches!(self.state, ReadState::Unopened(_))
            && let ReadState::Unopened(reader) = std::mem::replace(&mut self.state, ReadState::Over)
        {
            self.state = Self::open(reader, &self.bounds)?;
        }
        match &mut self.state {
            ReadState::Xml(walk) => walk.next_entry(),
            ReadState::Text(lines) => lines.next_entry(),
            ReadState::Unopened(_) | ReadState::Over => Ok(None),
        }
    }

    fn open(reader: Box<dyn Read + Send + 'a>, bounds: &Bounds) -> Result<ReadState<'a>, SitemapError> {
        let mut source = Source::open(reader, bounds);
        Ok(match source.first_octet()? {
            None => return Err(SitemapError::NotASitemap { found: "an empty file".into() }),
            // Text may come before the XML, such as a warning from the script that generates the sitemap.
            Some(first) if source.skip_to_xml() || first == b'<' => {
                ReadState::Xml(Box::new(xml::XmlWalk::new(source, bounds)))
            }
            Some(_) => ReadState::Text(text::Lines::new(source, bounds)),
        })
    }

    fn count(&mut self, entry: Option<Entry>) -> Result<Option<Entry>, SitemapError> {
        if entry.is_some() {
            if self.entries >= self.bounds.entries_max {
                return Err(SitemapError::TooManyEntries { entries_max: self.bounds.entries_max });
            }
            self.entries += 1;
        }
        Ok(entry)
    }
}

fn is_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        text.len() > scheme.len()
            && text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// Removes line breaks and indentation, which pretty-printers put into long addresses.
fn address(text: &str) -> String {
    text.split(['\n', '\r', '\t']).map(str::trim).collect()
}
