//! Stores bodies as files, named by the hash of their content.
//!
//! No text from a server becomes part of a path: a file is named by the SHA-256 of its bytes. So equal
//! content is stored once, whatever its URLs. A file is written under a temporary name, synced and then
//! renamed. So it exists completely or not at all, and storing the same bytes again changes nothing.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hmac_sha256::Hash;
use serde::{Serialize, Serializer};

use crate::error::ExportError;

/// The SHA-256 of some bytes. It is displayed as 64 hexadecimal digits, as `sha256sum` does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Computes the hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Hash::hash(bytes))
    }

    /// Returns the path of these bytes relative to the directory of a [`FileStore`]: `ab/cdef…`.
    #[must_use]
    pub fn path(&self) -> String {
        let name = self.to_string();
        format!("{}/{}", &name[..2], &name[2..])
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A directory of files that are named by their content.
///
/// Clones share the directory, and several crawls may use it at once. Calls block, so a crawl makes them on a
/// pool of threads, before it settles the page.
///
/// ```
/// # mod opilio { pub use opilio_export as export; }
/// use opilio::export::{ContentHash, FileStore};
///
/// # let dir = tempfile::tempdir()?;
/// let store = FileStore::open(dir.path())?;
/// let hash = ContentHash::of(b"an image");
/// store.put(&hash, b"an image")?;
/// assert_eq!(std::fs::read(store.path(&hash))?, b"an image");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileStore {
    dir: Arc<Path>,
    count: Arc<AtomicU64>,
}

impl FileStore {
    /// Opens a directory, or creates it.
    ///
    /// # Errors
    /// When the directory cannot be created or written to. The error names the directory.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, ExportError> {
        let dir = dir.as_ref();
        let open = |source| ExportError::Open { path: dir.to_owned(), source };
        fs::create_dir_all(dir.join(UNFINISHED)).map_err(open)?;
        sweep(&dir.join(UNFINISHED));
        let store = Self { dir: dir.into(), count: Arc::default() };
        // Checks now that files can be written, so that a crawl does not fail for this reason after an hour.
        let probe = store.unfinished();
        File::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(open)?;
        Ok(store)
    }

    /// Returns the path at which these bytes are stored, whether they are stored yet or not.
    #[must_use]
    pub fn path(&self, hash: &ContentHash) -> PathBuf {
        self.dir.join(hash.path())
    }

    /// Stores bytes under their hash. Writes nothing if the bytes are stored already.
    ///
    /// # Errors
    /// When the bytes cannot be written. The store then has no new file under that hash.
    pub fn put(&self, hash: &ContentHash, bytes: &[u8]) -> Result<(), ExportError> {
        let place = self.path(hash);
        // If a file of another size is there, it was truncated, or another program wrote it, so the bytes are
        // written again.
        if fs::metadata(&place).is_ok_and(|meta| meta.is_file() && meta.len() == bytes.len() as u64) {
            return Ok(());
        }
        let unfinished = self.unfinished();
        let written = write(&unfinished, &place, bytes);
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written.map_err(|source| {
            let sink: Arc<str> = place.to_string_lossy().into();
            ExportError::Write { sink, source }
        })
    }

    /// Returns a temporary path that is unique among all processes and threads.
    fn unfinished(&self) -> PathBuf {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let unique = std::ptr::from_ref(&*self.count) as usize;
        self.dir.join(UNFINISHED).join(format!("{}-{unique:x}-{count}", std::process::id()))
    }
}

fn write(unfinished: &Path, place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(unfinished)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    drop(file);
    let Some(parent) = place.parent() else { return fs::rename(unfinished, place) };
    let is_new = !parent.is_dir();
    fs::create_dir_all(parent)?;
    fs::rename(unfinished, place)?;
    // The name of a file is data of its directory, so the directory is synced, too.
    sync_dir(parent)?;
    match parent.parent() {
        Some(root) if is_new => sync_dir(root),
        Some(_) | None => Ok(()),
    }
}

#[cfg(unix)]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Does nothing: only Unix can open a directory to sync it.
#[cfg(not(unix))]
fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Removes unfinished files that killed processes left behind. Keeps files younger than [`LEFT_AFTER`], since
/// a running process may still be writing them.
fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.filter_map(Result::ok) {
        let age =
            entry.metadata().and_then(|meta| meta.modified()).map(|at| at.elapsed().unwrap_or_default());
        if age.is_ok_and(|age| age > LEFT_AFTER) {
            // If the file cannot be removed, the next process that opens the store tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The name of the directory for files that are still being written. Killed processes may leave files there.
const UNFINISHED: &str = "unfinished";
/// The age from which on an unfinished file is removed: one day, since no write takes that long.
const LEFT_AFTER: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn files(dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { found.extend(files(&path)) } else { found.push(path.display().to_string()) }
        }
        found
    }

    #[test]
    fn the_same_content_is_one_file_named_by_its_sha256() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path()).unwrap();
        for _ in 0..3 {
            store.put(&ContentHash::of(b"abc"), b"abc").unwrap();
        }
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(ContentHash::of(b"abc").to_string(), hash);
        assert_eq!(files(dir.path()), [dir.path().join(&hash[..2]).join(&hash[2..]).display().to_string()]);
    }

    #[test]
    fn a_torn_file_is_mended_and_many_writers_agree() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path()).unwrap();
        let bytes = vec![7; 100_000];
        let hash = ContentHash::of(&bytes);
        fs::create_dir_all(store.path(&hash).parent().unwrap()).unwrap();
        fs::write(store.path(&hash), b"to").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (store, bytes) = (FileStore::open(dir.path()).unwrap(), &bytes);
                scope.spawn(move || (0..20).for_each(|_| store.put(&hash, bytes).unwrap()));
            }
        });
        assert_eq!(fs::read(store.path(&hash)).unwrap(), bytes);
        assert_eq!(files(dir.path()).len(), 1);
    }

    #[test]
    fn what_a_kill_left_behind_goes_a_day_later() {
        let dir = tempfile::tempdir().unwrap();
        FileStore::open(dir.path()).unwrap();
        let (old, young) =
            (dir.path().join(UNFINISHED).join("1-a-0"), dir.path().join(UNFINISHED).join("2-b-0"));
        let file = File::create(&old).unwrap();
        file.set_modified(std::time::SystemTime::now() - LEFT_AFTER * 2).unwrap();
        fs::write(&young, "x").unwrap();
        FileStore::open(dir.path()).unwrap();
        assert!(!old.exists() && young.exists());
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"x").unwrap();
        let error = FileStore::open(&path).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
