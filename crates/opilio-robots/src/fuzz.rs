//! Functions for fuzzing, one per parser. Each function takes any bytes, and panics if its parser breaks a
//! guarantee. The property tests call the same functions.

use crate::sitemap::{self, Bounds};
use crate::{ROBOTS_BYTES_MAX, Robots};

/// Reads the bytes as a robots.txt and asks it about paths taken from the bytes themselves.
pub fn robots(bytes: &[u8]) {
    let robots = Robots::parse(bytes, "Opilio/0.1");
    assert!(robots.allows("/robots.txt"), "/robots.txt is always allowed");
    if bytes.len() <= ROBOTS_BYTES_MAX {
        assert_eq!(robots, Robots::parse(bytes, "opilio"), "tokens ignore case and version");
    }
    let text = String::from_utf8_lossy(bytes);
    for path in text.split_ascii_whitespace().take(16) {
        assert_eq!(
            robots.allows(path),
            robots.allows(&format!("{path}#fragment")),
            "fragments do not matter"
        );
    }
}

/// Reads the bytes as a sitemap with low limits.
pub fn sitemap(bytes: &[u8]) {
    let bounds = Bounds { entries_max: 50, bytes_max: 64 * 1024, field_bytes_max: 256, ..Bounds::default() };
    let mut entries = 0;
    let mut failed = false;
    for entry in sitemap::read(bytes, &bounds) {
        assert!(!failed, "an error is the last thing that comes");
        match entry {
            Ok(entry) => {
                entries += 1;
                assert!(!entry.loc.is_empty() && entry.loc.len() <= bounds.field_bytes_max);
            }
            Err(_) => failed = true,
        }
    }
    assert!(entries <= bounds.entries_max);
}
