//! Sitemaps as streams of entries: XML and index files, RSS and Atom feeds, plain lists of URLs, each of them
//! gzipped or not, in UTF-8, UTF-16 or the encoding of the XML declaration.
//!
//! The bytes of a file determine its kind, never its name or content type. Nothing is fetched: an index
//! yields the addresses of further sitemaps, and the caller decides how deep to follow them.

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
    /// Entries of one file; sitemaps.org allows 50,000.
    pub entries_max: usize,
    /// Bytes after decompression; sitemaps.org allows 50 MiB.
    pub bytes_max: u64,
    /// Bytes out of the gzip decoder per byte into it. Checked from the first MiB on, since small lists of
    /// similar URLs compress well.
    pub ratio_max: u64,
    /// Bytes of one value. Entries with a longer `loc` are skipped and reported at the end; sitemaps.org
    /// allows 2,048.
    pub field_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { entries_max: 50_000, bytes_max: 50 * 1024 * 1024, ratio_max: 200, field_bytes_max: 8 * 1024 }
    }
}

/// One thing that a sitemap names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The address as written, without surrounding white space and line breaks; in a feed, resolved by its
    /// `xml:base`. It should be absolute, but some feeds have relative ones: join it to the sitemap's own
    /// URL.
    pub loc: String,
    /// When it changed, as written: W3C date-time in sitemaps and Atom, RFC 2822 in RSS.
    pub lastmod: Option<String>,
    /// How often it changes, if that is one of the seven words.
    pub changefreq: Option<ChangeFreq>,
    /// 0.0 to 1.0; any other value counts as absent.
    pub priority: Option<f32>,
    /// Whether `loc` is a page or a further sitemap.
    pub kind: Kind,
}

/// Whether an entry is a page or a further sitemap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A page.
    Url,
    /// A further sitemap, named by an index.
    Sitemap,
}

/// The words of `changefreq`.
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

/// Why a sitemap gave no more entries. Earlier entries remain valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SitemapError {
    /// The reader failed, or the gzip stream is damaged or cut off.
    #[error("read the sitemap")]
    Io(#[source] io::Error),
    /// The XML is broken or cut off at this byte of its decoded text.
    #[error("read the sitemap's XML at byte {at}: {reason}")]
    Xml {
        /// Offset in the decompressed text, as UTF-8.
        at: u64,
        /// The parser's message.
        reason: String,
    },
    /// The file is not a sitemap: HTML, for instance, or text without any URL.
    #[error("recognise a sitemap: {found}")]
    NotASitemap {
        /// The kind of content found.
        found: String,
    },
    /// The file was read to its end, and these entries have no address, or none that can be read.
    #[error("read the addresses of all entries: {entries} have none that can be read")]
    Skipped {
        /// How many.
        entries: usize,
    },
    /// There are more entries than [`Bounds::entries_max`].
    #[error("read more than {entries_max} entries of one sitemap")]
    TooManyEntries {
        /// The bound.
        entries_max: usize,
    },
    /// The text is longer than [`Bounds::bytes_max`].
    #[error("read more than {bytes_max} bytes of one sitemap")]
    TooManyBytes {
        /// The bound.
        bytes_max: u64,
    },
    /// The gzip stream grows more than [`Bounds::ratio_max`] times.
    #[error("decompress a sitemap that grows more than {ratio_max} times")]
    DecompressionBomb {
        /// The bound.
        ratio_max: u64,
    },
}

/// Streams the entries of a sitemap.
///
/// Memory stays within about a MiB plus one entry for any file. The iterator ends after an error.
///
/// ```
/// # mod opilio { pub use opilio_robots as robots; }
/// use opilio::robots::sitemap::{self, Bounds, Kind};
///
/// let file = b"<urlset><url><loc>https://a.example/?x=1&amp;y=2</loc></url></urlset>";
/// let entries: Result<Vec<_>, _> = sitemap::read(&file[..], &Bounds::default()).collect();
/// let entries = entries?;
/// assert_eq!(entries[0].loc, "https://a.example/?x=1&y=2");
/// assert_eq!(entries[0].kind, Kind::Url);
/// # Ok::<(), sitemap::SitemapError>(())
/// ```
pub fn read<'a>(reader: impl Read + Send + 'a, bounds: &Bounds) -> Entries<'a> {
    Entries { state: ReadState::Unopened(Box::new(reader)), bounds: bounds.clone(), entries: 0 }
}

/// The entries of one sitemap, in document order; made by [`read`].
pub struct Entries<'a> {
    state: ReadState<'a>,
    bounds: Bounds,
    entries: usize,
}

enum ReadState<'a> {
    Unopened(Box<dyn Read + Send + 'a>),
    Xml(Box<xml::Walk<'a>>),
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
            // A warning of a server's script may stand in front.
            Some(first) if source.skip_to_xml() || first == b'<' => {
                ReadState::Xml(Box::new(xml::Walk::new(source, bounds)))
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

/// An address without line breaks and indentation, which pretty-printers add to long ones.
fn address(text: &str) -> String {
    text.split(['\n', '\r', '\t']).map(str::trim).collect()
}
