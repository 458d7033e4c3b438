//! Writes data to stdout, one value on each line.

use std::io::{self, BufWriter, ErrorKind, Write};

use serde::Serialize;

use opilio_app::exit::Failure;

/// Writes lines to stdout. A reader that closes the pipe early does not cause an error.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn lines(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::run(error)),
        _ => {
            // After the reader has closed the pipe, dropping the buffer must not write its rest again.
            let _ = out.into_parts();
            Ok(())
        }
    }
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// When the line cannot be written.
pub(crate) fn json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}
