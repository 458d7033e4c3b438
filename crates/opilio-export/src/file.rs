//! A sink that writes to a file. The file holds each page's rows completely or not at all.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use crate::error::ExportError;
use crate::export::Sink;

/// How many bytes are collected before they are written: 64 KiB, so that the cost of a write is small per
/// item.
const BUFFER_BYTES: usize = 64 * 1024;

/// A [`Sink`] that writes to a regular file; its positions are bytes.
#[derive(Debug)]
pub struct FileSink {
    name: Arc<str>,
    file: File,
    /// The rows of whole pages that are not written yet.
    buffer: Vec<u8>,
    /// The length in bytes of the part of the file that holds whole pages. After it the file may hold parts
    /// of a page.
    written: u64,
    begun: bool,
}

impl FileSink {
    /// Opens or creates a file. The file's content stays until the crawl begins.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        Ok(Self::over(path, open(path)?))
    }

    /// Makes a sink for a file that was opened with [`open`].
    pub(crate) fn over(path: &Path, file: File) -> Self {
        let name = path.to_string_lossy().into();
        Self { name, file, buffer: Vec::new(), written: 0, begun: false }
    }

    fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn failed(&self, source: std::io::Error) -> ExportError {
        ExportError::of_write(&self.name, source)
    }

    /// Writes the buffer after the last whole page. If this fails, the file is cut back to the last whole
    /// page.
    fn write(&mut self) -> Result<(), ExportError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.file.write_all(&self.buffer) {
            // Part of a page may be in the file. If it cannot be cut off now, the next write overwrites it,
            // or the next run cuts it off: the committed position is before it.
            let _ = self.cut(self.written);
            return Err(self.failed(source));
        }
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn cut(&mut self, position: u64) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(position))?;
        self.file.set_len(position)
    }
}

#[cfg(unix)]
fn place_of(file: &File, name: &str) -> String {
    use std::os::unix::fs::MetadataExt;
    let place = file.metadata().map(|file| format!("file {} on device {}", file.ino(), file.dev()));
    place.unwrap_or_else(|_| name.to_owned())
}

#[cfg(not(unix))]
fn place_of(_: &File, name: &str) -> String {
    let path = std::fs::canonicalize(name);
    path.map_or_else(|_| name.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// Opens a file for writing, or creates it, without changing its content.
pub(crate) fn open(path: &Path) -> Result<File, ExportError> {
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    open.map_err(|source| ExportError::Open { path: path.to_owned(), source })
}

impl Sink for FileSink {
    fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Returns the identity of the file, since one file may have several paths: `out`, `./out`, a link.
    fn place(&self) -> String {
        place_of(&self.file, &self.name)
    }

    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        let found = self.file.metadata().map_err(|source| self.failed(source))?.len();
        if found < position {
            return Err(ExportError::Shorter { sink: self.name(), committed: position, found });
        }
        self.cut(position).map_err(|source| self.failed(source))?;
        self.buffer.clear();
        self.written = position;
        self.begun = true;
        Ok(())
    }

    fn has_rows(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.len() > 0)
    }

    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError> {
        if !self.begun {
            self.begin(0)?;
        }
        if !self.buffer.is_empty() && self.buffer.len() + rows.len() > BUFFER_BYTES {
            self.write()?;
        }
        self.buffer.extend_from_slice(rows);
        Ok(self.end())
    }

    fn flush(&mut self) -> Result<u64, ExportError> {
        self.write()?;
        Ok(self.written)
    }

    fn sync(&mut self) -> Result<u64, ExportError> {
        self.write()?;
        self.file.sync_data().map_err(|source| self.failed(source))?;
        Ok(self.written)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::fs;

    fn sink(path: &Path) -> FileSink {
        let mut sink = FileSink::open(path).unwrap();
        sink.begin(0).unwrap();
        sink
    }

    #[test]
    fn what_is_flushed_can_be_read_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut sink = sink(&path);
        assert_eq!(sink.append(b"one\n").unwrap(), 4);
        assert_eq!(sink.append(b"").unwrap(), 4);
        assert_eq!(sink.append(b"two\n").unwrap(), 8);
        assert_eq!(fs::read(&path).unwrap(), b"", "a page costs no system call");
        assert_eq!(sink.flush().unwrap(), 8);
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
        assert_eq!(sink.sync().unwrap(), 8);
    }

    #[test]
    fn the_buffer_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = sink(&dir.path().join("out"));
        for _ in 0..100 {
            sink.append(&[b'x'; 10_000]).unwrap();
            assert!(sink.buffer.len() <= BUFFER_BYTES);
        }
        sink.append(&vec![b'x'; 10 * BUFFER_BYTES]).unwrap();
        assert_eq!(sink.flush().unwrap(), 1_000_000 + 10 * BUFFER_BYTES as u64);
    }

    #[test]
    fn a_new_crawl_starts_the_file_anew_but_not_before_it_begins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, "of another crawl\n").unwrap();
        let mut sink = FileSink::open(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"of another crawl\n");
        sink.append(b"new\n").unwrap();
        sink.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new\n");
    }

    #[test]
    fn a_resumed_crawl_cuts_off_what_was_not_committed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, "committed\nnot comm").unwrap();
        let mut sink = FileSink::open(&path).unwrap();
        sink.begin(10).unwrap();
        assert_eq!(sink.append(b"next\n").unwrap(), 15);
        assert_eq!(sink.flush().unwrap(), 15);
        assert_eq!(fs::read(&path).unwrap(), b"committed\nnext\n");
    }

    #[test]
    fn a_file_that_lost_committed_bytes_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, "short\n").unwrap();
        let error = FileSink::open(&path).unwrap().begin(10).unwrap_err();
        assert!(matches!(error, ExportError::Shorter { committed: 10, found: 6, .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"short\n");
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named_with_the_reason() {
        let error = FileSink::open(Path::new("/no/such/dir/out.jsonl")).unwrap_err();
        assert_eq!(error.to_string(), "cannot open the output /no/such/dir/out.jsonl");
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(reason.contains("No such file"), "{reason}");
    }

    /// Simulates a disk that is full after 16 or 32 KiB: runs this test again in a shell that limits the size
    /// of files.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_leaves_whole_pages_and_can_be_resumed() {
        const PATH: &str = "OPILIO_TEST_FULL_DISK";
        if let Some(path) = std::env::var_os(PATH) {
            return fill(Path::new(&path));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let limited = "trap '' XFSZ; ulimit -f 32; exec \"$0\" --exact file::tests::a_full_disk_leaves_whole_pages_and_can_be_resumed";
        let status = std::process::Command::new("sh")
            .args(["-c", limited])
            .arg(std::env::current_exe().unwrap())
            .env(PATH, &path)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(fs::read(&path).unwrap(), [b'1'; 10_000]);

        let mut sink = FileSink::open(&path).unwrap();
        sink.begin(10_000).unwrap();
        sink.append(&[b'2'; 30_000]).unwrap();
        assert_eq!(sink.flush().unwrap(), 40_000);
    }

    /// The part of the test that runs under the limit of 32 blocks. A block has 512 or 1,024 bytes, depending
    /// on the shell.
    #[cfg(target_os = "linux")]
    fn fill(path: &Path) {
        let mut sink = sink(path);
        sink.append(&[b'1'; 10_000]).unwrap();
        assert_eq!(sink.flush().unwrap(), 10_000);
        sink.append(&[b'2'; 30_000]).unwrap();
        let error = sink.flush().unwrap_err();
        assert!(matches!(error, ExportError::Write { .. }), "{error}");
        assert_eq!(fs::metadata(path).unwrap().len(), 10_000, "the torn page is cut off");
        assert!(sink.flush().is_err(), "it is still there to be written");
        let held = sink.buffer.len();
        assert!(sink.append(&[b'3'; BUFFER_BYTES]).is_err());
        assert_eq!(sink.buffer.len(), held, "what is refused is not taken");
    }
}
