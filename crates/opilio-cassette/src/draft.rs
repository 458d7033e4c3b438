//! Writes a cassette: first to a draft beside it, so that a wrong path is found before the crawl and an older cassette
//! stays until the new one is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::cassette::{Cassette, CassetteError};
use crate::exchange::RecordedExchange;

/// A cassette that is not written yet. Its draft is a file in the same directory, which is removed if the cassette is
/// never saved.
#[derive(Debug)]
pub struct CassetteDraft {
    path: PathBuf,
    draft: PathBuf,
    file: File,
}

impl CassetteDraft {
    /// Opens a draft of the cassette at this path, to be called before the crawl. The name of the draft is unique, so
    /// that several crawls may record the same cassette at the same time.
    ///
    /// # Errors
    /// When no file can be written at this path.
    pub fn open(path: &Path) -> Result<Self, CassetteError> {
        static DRAFTS: AtomicU64 = AtomicU64::new(0);
        let failed = |source| CassetteError::File { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        let nth = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let draft = path.with_extension(format!("{}-{nth}.draft", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft).map_err(failed)?;
        Ok(Self { path: path.to_owned(), draft, file })
    }

    /// Writes the cassette, and replaces an older one by it. A file whose name ends with `.gz` is compressed.
    ///
    /// # Errors
    /// When the file cannot be written. When the cassette has no page and the older cassette has one: then nothing
    /// was recorded that a spider could read, and the older cassette stays.
    pub fn save(mut self, cassette: &Cassette) -> Result<(), CassetteError> {
        let exchanges = cassette.exchanges();
        if !exchanges.iter().any(RecordedExchange::has_page) && has_page(&self.path) {
            let why = exchanges.iter().find_map(RecordedExchange::why_no_page).unwrap_or_default();
            return Err(CassetteError::NoPage { path: self.path.clone(), why });
        }
        let is_packed = self.path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
        let file = if is_packed { packed(cassette) } else { Ok(plain(cassette)) };
        let written = file
            .and_then(|file| self.file.write_all(&file))
            .and_then(|()| fs::rename(&self.draft, &self.path));
        written.map_err(|source| CassetteError::File { path: self.path.clone(), source })
    }
}

impl Drop for CassetteDraft {
    fn drop(&mut self) {
        // After it was renamed, there is no file of this name.
        let _ = fs::remove_file(&self.draft);
    }
}

/// Returns whether there is a cassette at this path that has a page.
fn has_page(path: &Path) -> bool {
    Cassette::load(path, "").is_ok_and(|cassette| cassette.exchanges().iter().any(RecordedExchange::has_page))
}

fn plain(cassette: &Cassette) -> Vec<u8> {
    let mut file = Vec::new();
    cassette.records().for_each(|record| record.write(&mut file));
    file
}

/// Returns the file with each record as a gzip member of its own, as WARC has it.
fn packed(cassette: &Cassette) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    for record in cassette.records() {
        let mut text = Vec::new();
        record.write(&mut text);
        let mut member = GzEncoder::new(&mut file, Compression::default());
        member.write_all(&text)?;
        member.finish()?;
    }
    Ok(file)
}

impl RecordedExchange {
    /// Returns whether the answer is a page that a spider reads: a success other than that of robots.txt.
    fn has_page(&self) -> bool {
        let is_success = self.result.as_ref().is_ok_and(|answer| (200..300).contains(&answer.status));
        is_success && self.request.key.url.path() != "/robots.txt"
    }

    /// Returns what became of the request, if its answer is no page.
    fn why_no_page(&self) -> Option<String> {
        let how = match &self.result {
            Ok(_) if self.has_page() => return None,
            Ok(answer) if self.request.key.url.path() == "/robots.txt" && answer.status < 500 => return None,
            Ok(answer) => format!("was answered by {}", answer.status),
            Err(fault) => format!("failed: {}", fault.words),
        };
        Some(format!(": {} {how}", self.request.key.describe()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use opilio_core::Fault;
    use opilio_fetch::Phase;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{RecordedAnswer, RecordedFault, RecordedRequest, RequestKey};

    fn exchange(path: &str, result: Result<u16, Fault>) -> RecordedExchange {
        let url: url::Url = format!("http://a.example{path}").parse().unwrap();
        let key = RequestKey { method: Method::GET, url: url.clone(), body: Bytes::new(), session: None };
        let (headers, body, at) = (HeaderMap::new(), Bytes::new(), Some(SystemTime::UNIX_EPOCH));
        let result = match result {
            Ok(status) => Ok(RecordedAnswer { status, ..RecordedAnswer::default() }),
            Err(fault) => Err(RecordedFault { phase: Phase::Connect, fault, words: "refused".into() }),
        };
        let request = RecordedRequest { key, url, headers, body, at };
        RecordedExchange { request, latency: Duration::ZERO, result }
    }

    fn save(path: &Path, exchanges: &[RecordedExchange]) -> Result<(), CassetteError> {
        CassetteDraft::open(path).unwrap().save(&exchanges.to_vec().into())
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_cassette_with_pages_is_not_replaced_by_one_of_failures() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/shop.warc");
        let failures = [exchange("/robots.txt", Ok(200)), exchange("/", Err(Fault::Connect))];
        save(&path, &failures).unwrap();
        save(&path, &[exchange("/", Ok(503))]).unwrap();
        save(&path, &[exchange("/", Ok(200))]).unwrap();
        let before = fs::read(&path).unwrap();
        let error = save(&path, &failures).unwrap_err().to_string();
        assert!(error.ends_with("stays as it was: GET http://a.example/ failed: refused"), "{error}");
        assert_eq!(
            (fs::read(&path).unwrap(), names(path.parent().unwrap())),
            (before, vec!["shop.warc".into()])
        );
    }

    #[test]
    fn drafts_of_one_cassette_are_several_files_and_none_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.warc");
        let drafts = [CassetteDraft::open(&path).unwrap(), CassetteDraft::open(&path).unwrap()];
        assert_eq!(names(dir.path()).len(), 2);
        for (draft, path) in drafts.into_iter().zip(["/a", "/b"]) {
            draft.save(&vec![exchange(path, Ok(200))].into()).unwrap();
        }
        drop(CassetteDraft::open(&path).unwrap());
        assert_eq!(names(dir.path()), ["shop.warc"]);
        assert_eq!(Cassette::load(&path, "").unwrap().exchanges()[0].request.url.path(), "/b");
        assert!(CassetteDraft::open(dir.path()).is_err());
        assert!(CassetteDraft::open(&path.join("below")).is_err());
    }

    #[test]
    fn a_cassette_whose_name_ends_with_gz_is_compressed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.warc.gz");
        save(&path, &[exchange("/a", Ok(200)), exchange("/b", Ok(200))]).unwrap();
        assert!(fs::read(&path).unwrap().starts_with(&[0x1f, 0x8b]));
        assert_eq!(Cassette::load(&path, "").unwrap().exchanges().len(), 2);
    }

    #[test]
    fn a_cassette_that_was_cut_off_is_read_with_a_warning_and_dates_are_those_that_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.warc");
        let dated = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut exchanges = vec![exchange("/a", Ok(200)), exchange("/b", Ok(200)), exchange("/c", Ok(200))];
        exchanges[0].request.at = None;
        exchanges[1].request.at = Some(dated);
        save(&path, &exchanges).unwrap();
        let file = fs::read(&path).unwrap();
        fs::write(&path, &file[..file.len() - 10]).unwrap();
        let cassette = Cassette::load(&path, "").unwrap();
        assert_eq!(cassette.exchanges().len(), 2);
        assert!(cassette.warning().unwrap().contains("a record is cut"), "{:?}", cassette.warning());
        assert_eq!(crate::Tape::new(path, cassette, String::new()).began(), dated);
    }
}
