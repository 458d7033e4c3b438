//! Sitemaps as streams of entries: XML and index files, RSS and Atom feeds, plain lists of URLs,
//! each of them gzipped or not, in UTF-8, UTF-16 or what the XML declaration names.
//!
//! What a file is, is seen from its bytes, never from its name or label. Nothing is fetched: an
//! index yields the addresses of further sitemaps, and how deep to follow them is the caller's.

mod base;
mod source;
mod text;
mod xml;

#[cfg(test)]
mod tests;

use std::io::{self, Read};

use serde::Serialize;

use source::Source;

/// What a sitemap may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Entries of one file; sitemaps.org allows 50,000.
    pub entries_max: usize,
    /// Bytes after decompression; sitemaps.org allows 50 MiB.
    pub bytes_max: u64,
    /// Bytes out of the gzip decoder for each byte into it. Looked at from the first MiB on, since
    /// small lists of similar URLs compress well.
    pub ratio_max: u64,
    /// Bytes of one value. An entry with a longer `loc` is skipped, which is said at the end; sitemaps.org allows 2,048.
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
    /// The address as written, without white space around or line breaks within; in a feed as its `xml:base`
    /// says. It should be absolute, but feeds sometimes are not: join it to the sitemap's own URL.
    pub loc: String,
    /// When it changed, as written: W3C date-time in sitemaps and Atom, RFC 2822 in RSS.
    pub lastmod: Option<String>,
    /// How often it changes, if that is one of the seven words.
    pub changefreq: Option<ChangeFreq>,
    /// 0.0 to 1.0; anything else counts as not said.
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

/// Why a sitemap gave no more entries. Those before it stand.
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
        /// What is wrong.
        reason: String,
    },
    /// The file is something else: HTML, for instance, or text without any URL.
    #[error("recognise a sitemap: {found}")]
    NotASitemap {
        /// What it looks like.
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
/// Memory stays within about a MiB plus one entry, whatever the file holds. After an error the
/// iterator is over.
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
    Entries { state: State::Unopened(Box::new(reader)), bounds: bounds.clone(), entries: 0 }
}

/// The entries of one sitemap, in document order; made by [`read`].
pub struct Entries<'a> {
    state: State<'a>,
    bounds: Bounds,
    entries: usize,
}

enum State<'a> {
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
            self.state = State::Over;
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
        if matches!(self.state, State::Unopened(_))
            && let State::Unopened(reader) = std::mem::replace(&mut self.state, State::Over)
        {
            self.state = Self::open(reader, &self.bounds)?;
        }
        match &mut self.state {
            State::Xml(walk) => walk.next_entry(),
            State::Text(lines) => lines.next_entry(),
            State::Unopened(_) | State::Over => Ok(None),
        }
    }

    fn open(reader: Box<dyn Read + Send + 'a>, bounds: &Bounds) -> Result<State<'a>, SitemapError> {
        let mut source = Source::open(reader, bounds);
        Ok(match source.first_octet()? {
            None => return Err(SitemapError::NotASitemap { found: "an empty file".into() }),
            // A warning of a server's script may stand in front.
            Some(first) if source.skip_to_xml() || first == b'<' => {
                State::Xml(Box::new(xml::Walk::new(source, bounds)))
            }
            Some(_) => State::Text(text::Lines::new(source, bounds)),
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

/// An address as it was meant: pretty-printers break and indent long ones.
fn address(text: &str) -> String {
    text.split(['\n', '\r', '\t']).map(str::trim).collect()
}
