//! Saves cookies in a file, so that a resumed crawl is still logged in.
//!
//! ```text
//! "opilio cookies 1\n" · xxh3 of the rest:8 · JSON
//! ```
//! The file is written completely or not at all, and only its owner may read it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::jar::{Jar, KeptCookie};
use super::{Cookies, SESSIONS_MAX};

/// The reason why cookies could not be read from a file, or written to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CookieFileError {
    /// The file system reported an error.
    #[error("cannot {what} the cookies in {path}")]
    Io {
        /// The operation that failed: `"read"` or `"write"`.
        what: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The file is incomplete, or another program wrote to it.
    #[error("the cookies in {path} are damaged")]
    Damaged {
        /// The path of the file.
        path: PathBuf,
    },
}

/// The cookies of one session, as the file contains them.
#[derive(Serialize, Deserialize)]
struct SavedSession<Cookie> {
    name: String,
    cookies: Vec<Cookie>,
}

impl Cookies {
    /// Reads the cookies that [`save`](Self::save) wrote; to be called before the first request. Returns the number
    /// of cookies, or 0 if the file does not exist. Blocks the thread.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged; then no cookie is taken from it.
    pub fn load(&self, path: &Path) -> Result<usize, CookieFileError> {
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(source) => return Err(CookieFileError::Io { what: "read", path: path.to_owned(), source }),
        };
        let sessions = decode(&bytes).ok_or_else(|| CookieFileError::Damaged { path: path.to_owned() })?;
        let now = (self.now_secs)();
        let mut count = 0;
        let mut jars = self.lock();
        for SavedSession { name, cookies } in sessions.into_iter().take(SESSIONS_MAX) {
            let jar = Jar::of_kept(cookies, now);
            count += jar.len();
            jars.insert(name.into(), jar);
        }
        drop(jars);
        self.any.store(count > 0, Ordering::Release);
        Ok(count)
    }

    /// Writes all cookies to a file that only its owner may read, if they have changed since the last call. First
    /// come the cookies of the crawl's own session, then those of its other sessions in the order of their names.
    /// Sessions that do not fit within 32 MiB are left out. Blocks the thread.
    ///
    /// # Errors
    /// When the file cannot be written; then its old content remains.
    pub fn save(&self, path: &Path) -> Result<(), CookieFileError> {
        if !self.changed.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let saved = encode(self).and_then(|bytes| place(path, &bytes));
        saved.map_err(|source| {
            self.changed.store(true, Ordering::Release);
            CookieFileError::Io { what: "write", path: path.to_owned(), source }
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Opilio never writes a file longer than this limit. A longer file is not read to its end, so its checksum will
    // be wrong.
    File::open(path)?.take(FILE_BYTES_MAX as u64 * 2).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Option<Vec<SavedSession<KeptCookie>>> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, json) = rest.split_first_chunk::<8>()?;
    (xxh3_64(json) == u64::from_le_bytes(*sum)).then(|| serde_json::from_slice(json).ok())?
}

fn encode(cookies: &Cookies) -> io::Result<Vec<u8>> {
    let now = (cookies.now_secs)();
    let jars = cookies.lock();
    let mut names: Vec<&str> = jars.keys().map(|name| &**name).collect();
    names.sort_unstable();
    let mut room = FILE_BYTES_MAX;
    let mut sessions = Vec::new();
    for name in names {
        let Some(jar) = jars.get(name) else { continue };
        let kept: Vec<&KeptCookie> = jar.kept(now).collect();
        let bytes: usize = name.len() + kept.iter().map(|kept| kept.bytes()).sum::<usize>();
        if bytes > room {
            tracing::warn!(
                session = name,
                "the file of cookies is full: the cookies of this session are not saved"
            );
            continue;
        }
        room -= bytes;
        sessions.push(SavedSession { name: name.to_owned(), cookies: kept });
    }
    let json = serde_json::to_vec(&sessions)?;
    drop(jars);
    Ok([MAGIC, &xxh3_64(&json).to_le_bytes(), &json].concat())
}

fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(bytes)?;
    // Without this sync, a power cut might leave an empty file.
    file.sync_data()?;
    fs::rename(&unfinished, path)
}

/// The first bytes of the file. The digit is the version of the format.
const MAGIC: &[u8] = b"opilio cookies 1\n";
/// The most bytes of cookies that are saved, counted as in memory: 32 MiB. Cookies usually take less space in the
/// file; a file of more than twice this size is not read in full.
const FILE_BYTES_MAX: usize = 32 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use url::Url;

    const NOW: i64 = 1_800_000_000;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn cookies(lines: &[(&str, &str, &str)]) -> Cookies {
        let cookies = Cookies::new(|| NOW);
        for (session, from, line) in lines {
            let mut jars = cookies.lock();
            let jar = jars.entry((*session).into()).or_default();
            jar.set(&url(from), line.as_bytes(), NOW).unwrap();
        }
        cookies.changed.store(true, Ordering::Release);
        cookies
    }

    fn of(cookies: &Cookies, session: &str, to: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        cookies.lock().get_mut(session).and_then(|jar| jar.of(&url(to), NOW)).unwrap_or_default()
    }

    fn some() -> Cookies {
        cookies(&[
            ("", "https://www.shop.example/a/b", "sid=7; Domain=shop.example; Secure; Path=/"),
            ("", "https://www.shop.example/a/b", "sid=8; Path=/"),
            ("", "http://127.0.0.1:81/", "all=1; Max-Age=60"),
            ("", "http://127.0.0.1:81/", "over=1; Max-Age=1"),
            ("alice", "http://shop.example/", "sid=alice"),
        ])
    }

    #[test]
    fn what_was_saved_is_given_to_the_same_and_to_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cookies");
        let before = some();
        before.save(&path).unwrap();
        let after = Cookies::new(|| NOW + 30);
        assert_eq!(after.load(&path).unwrap(), 4, "what has expired is gone");
        for (session, to) in [
            ("", "https://www.shop.example/"),
            ("", "https://cart.shop.example/"),
            ("", "http://cart.shop.example/"),
            ("", "http://127.0.0.1/"),
            ("alice", "http://shop.example/"),
            ("alice", "https://www.shop.example/"),
            ("bob", "http://shop.example/"),
        ] {
            let given = |cookies| {
                of(cookies, session, to).into_iter().filter(|(name, _)| name != b"over").collect::<Vec<_>>()
            };
            assert_eq!(given(&before), given(&after), "{session} {to}");
        }
        assert_eq!(of(&after, "", "https://www.shop.example/").len(), 2);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_and_so_is_what_an_older_version_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cookies");
        let at = "http://shop.example/";
        let before = Cookies::new(|| NOW);
        let lines = [&b"a=M\xfcller"[..], b"b=M\xc3\xbcller", b"c=one\ttwo", b"\xff=1"];
        for line in lines {
            before.lock().entry("".into()).or_default().set(&url(at), line, NOW).unwrap();
        }
        before.changed.store(true, Ordering::Release);
        before.save(&path).unwrap();
        let after = Cookies::new(|| NOW);
        assert_eq!(after.load(&path).unwrap(), 4);
        assert_eq!(of(&after, "", at), of(&before, "", at));
        let json = br#"[{"name":"","cookies":[{"name":"sid","value":"7","domain":"shop.example","path":"/","host_only":true,"secure":false,"expires":null,"created":1}]}]"#;
        fs::write(&path, [MAGIC, &xxh3_64(json).to_le_bytes(), json].concat()).unwrap();
        assert_eq!(after.load(&path).unwrap(), 1);
        assert_eq!(of(&after, "", at), [(b"sid".to_vec(), b"7".to_vec())]);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cookies");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        some().save(&path).unwrap();
        assert_eq!(mode(), 0o600);
        // The file gets the same permissions if the old file could be read by others, or if an earlier save left an
        // unfinished file.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(path.with_extension("new"), "half").unwrap();
        some().save(&path).unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn it_is_written_only_when_something_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cookies");
        let cookies = some();
        cookies.save(&path).unwrap();
        fs::remove_file(&path).unwrap();
        cookies.save(&path).unwrap();
        assert!(!path.exists());
        Cookies::new(|| NOW).save(&path).unwrap();
        assert!(!path.exists(), "none were ever set");
        // Cookies that one call could not write are written by the next call.
        let cookies = some();
        let nowhere = dir.path().join("no").join("cookies");
        assert!(matches!(cookies.save(&nowhere), Err(CookieFileError::Io { what: "write", .. })));
        cookies.save(&path).unwrap();
        assert!(path.exists());
    }

    #[test]
    fn a_torn_file_and_any_other_is_an_error_and_gives_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cookies");
        assert_eq!(Cookies::new(|| NOW).load(&path).unwrap(), 0, "there is none");
        some().save(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|cut| whole[..cut].to_vec()).collect();
        damaged.extend((0..whole.len()).step_by(7).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        }));
        damaged.push([&whole[..], b"more"].concat());
        for bytes in damaged {
            fs::write(&path, &bytes).unwrap();
            let cookies = Cookies::new(|| NOW);
            let error = cookies.load(&path).unwrap_err();
            assert!(matches!(error, CookieFileError::Damaged { .. }), "{error}");
            assert!(cookies.lock().is_empty());
        }
    }
}
