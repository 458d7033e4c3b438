//! Reads the seeds from the command line, a file or stdin.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use opilio::core::{Host, redacted};
use opilio::frontier::DiskFrontier;
use url::Url;

use crate::crawl::CrawlArgs;

/// Reads all seeds.
///
/// # Errors
/// At the first text that is not a URL that can be crawled. The error names the place of that text.
pub(crate) fn read(args: &CrawlArgs) -> anyhow::Result<Vec<Url>> {
    let mut seeds = Vec::new();
    for text in args.seeds() {
        seeds.push(web_url(text).map_err(|why| anyhow!("seed {:?}: {why}", redacted(text)))?);
    }
    match args.urls().map(PathBuf::as_path) {
        None => {}
        Some(path) if path == Path::new("-") => lines("stdin", std::io::stdin().lock(), &mut seeds)?,
        Some(path) => {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("cannot open the list of URLs {name}"))?;
            lines(&name, BufReader::new(file), &mut seeds)?;
        }
    }
    if seeds.is_empty() && args.sitemap().is_empty() {
        match args.resumed() {
            // A resumed crawl already has its seeds: those of its first run.
            Some(dir) if DiskFrontier::is_there(dir) => {}
            Some(dir) => {
                bail!("there is no crawl in {} to go on with, and no URL to begin one at", dir.display())
            }
            None => bail!("there is no URL to begin at"),
        }
    }
    Ok(seeds)
}

/// Reads one URL from each line. Skips empty lines and lines that begin with `#`.
fn lines(name: &str, input: impl BufRead, seeds: &mut Vec<Url>) -> anyhow::Result<()> {
    for (line, text) in (1..).zip(input.split(b'\n')) {
        let text = text.with_context(|| format!("cannot read {name}:{line}"))?;
        let text = String::from_utf8_lossy(&text);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        seeds.push(web_url(text).map_err(|why| anyhow!("{name}:{line}: seed {:?}: {why}", redacted(text)))?);
    }
    Ok(())
}

/// Reads a URL, which must be one that can be crawled.
///
/// # Errors
/// When the text is not a URL that can be crawled. The error does not repeat the text.
pub(crate) fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => {
            "the URL has no scheme: write http:// or https:// in front".to_owned()
        }
        error => error.to_string(),
    })?;
    Host::of(&url).map_err(|error| error.to_string())?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_list_skips_comments_and_names_the_line_of_what_is_wrong() {
        let mut seeds = Vec::new();
        lines(
            "urls",
            &b"\xef\xbb\xbf# mine\r\nhttp://a.example/\r\n\n  https://b.example/x  \n"[..],
            &mut seeds,
        )
        .unwrap();
        assert_eq!(seeds.len(), 2);
        let error = lines("urls", &b"http://a.example/\n\nb.example\n"[..], &mut seeds).unwrap_err();
        assert!(
            error.to_string().starts_with("urls:3: seed \"b.example\": the URL has no scheme"),
            "{error}"
        );
        let error = lines("urls", &b"http://\xff\xfe[/\n"[..], &mut seeds).unwrap_err();
        assert!(error.to_string().starts_with("urls:1: "), "{error}");
    }

    #[test]
    fn seeds_are_of_the_web() {
        for text in ["htp://x", "ftp://x/", "file:///etc/passwd", "javascript:1", "http://", "x", ""] {
            assert!(web_url(text).is_err(), "{text}");
        }
        assert_eq!(web_url(" HTTP://A.example ").unwrap().as_str(), "http://a.example/");
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(redacted("htp://me:secret@x/a@b"), "htp://…@x/a@b");
        assert_eq!(redacted("http://x/a@b"), "http://x/a@b");
    }
}
