//! Reads plain-text sitemaps, which have one URL per line.

use std::io::BufRead;

use super::source::{Source, explain};
use super::{Bounds, Entry, SitemapEntryKind, SitemapError, is_url};

/// Reads those lines of a file that are http or https URLs, and skips other lines.
pub(super) struct Lines<'a> {
    source: Source<'a>,
    field_bytes_max: usize,
    line: Vec<u8>,
    any: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: Source<'a>, bounds: &Bounds) -> Self {
        Self { source, field_bytes_max: bounds.field_bytes_max, line: Vec::new(), any: false }
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, SitemapError> {
        while self.read_line()? {
            let line = String::from_utf8_lossy(&self.line);
            let loc = line.trim();
            if is_url(loc) && self.line.len() <= self.field_bytes_max {
                self.any = true;
                return Ok(Some(Entry {
                    loc: loc.to_owned(),
                    lastmod: None,
                    changefreq: None,
                    priority: None,
                    kind: SitemapEntryKind::Url,
                }));
            }
        }
        match self.any {
            true => Ok(None),
            false => Err(SitemapError::NotASitemap { found: "text without a URL".into() }),
        }
    }

    /// Reads the next line and keeps at most one byte more than a value may have. Returns false at the end of
    /// the file.
    fn read_line(&mut self) -> Result<bool, SitemapError> {
        self.line.clear();
        let mut begun = false;
        loop {
            self.source.mark();
            let buffer = self.source.fill_buf().map_err(|error| explain(error, 0))?;
            if buffer.is_empty() {
                return Ok(begun);
            }
            begun = true;
            let end = memchr::memchr2(b'\n', b'\r', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = (self.field_bytes_max + 1).saturating_sub(self.line.len());
            self.line.extend(&part[..part.len().min(room)]);
            let consumed = part.len() + usize::from(end.is_some());
            self.source.consume(consumed);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}
