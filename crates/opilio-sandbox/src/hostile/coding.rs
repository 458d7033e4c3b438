//! Encodes bodies with content codings, for bodies that become very large when they are decompressed.

use std::io::{self, Write};

use brotli::CompressorWriter;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

/// Encodes the bytes with a coding (`gzip`, `deflate`, `br` or `zstd`). Other names leave them unchanged.
pub(super) fn encode(coding: &str, plain: &[u8]) -> Vec<u8> {
    // Encoding into memory does not fail. If it did, the result would not be a decompression bomb, and tests would
    // notice.
    encoded(coding, plain).unwrap_or_default()
}

fn encoded(coding: &str, plain: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain)?;
            encoder.finish()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain)?;
            encoder.finish()
        }
        "br" => {
            let mut encoder = CompressorWriter::new(Vec::new(), BLOCK_BYTES, 1, 22);
            encoder.write_all(plain)?;
            Ok(encoder.into_inner())
        }
        "zstd" => {
            let mut out = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
            zstd_safe::compress(&mut out, plain, 1).map_err(|_| io::ErrorKind::Other)?;
            Ok(out)
        }
        _ => Ok(plain.to_vec()),
    }
}

/// Returns two megabytes of zeros in this coding, which take only a few hundred bytes.
pub(super) fn bomb(coding: &str) -> Vec<u8> {
    encode(coding, &vec![0; 2 << 20])
}

const BLOCK_BYTES: usize = 4 << 10;
