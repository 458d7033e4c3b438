//! Encodes bodies with content codings, for bodies that become very large when they are decompressed.

use async_compression::Level;
use async_compression::codecs::brotli::params::EncoderParams;
use async_compression::codecs::flate::params::FlateEncoderParams;
use async_compression::codecs::{BrotliEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder};
use async_compression::core::util::{PartialBuffer, WriteBuffer};

/// Encodes the bytes with a coding (`gzip`, `deflate`, `br` or `zstd`). Other names leave them unchanged.
pub(super) fn encode(coding: &str, plain: &[u8]) -> Vec<u8> {
    let mut encoder: Box<dyn EncodeV2> = match coding {
        "gzip" => Box::new(GzipEncoder::new(FlateEncoderParams::from(Level::Default))),
        "deflate" => Box::new(ZlibEncoder::new(FlateEncoderParams::from(Level::Default))),
        "br" => Box::new(BrotliEncoder::new(EncoderParams::default().quality(Level::Fastest))),
        "zstd" => Box::new(ZstdEncoder::new(1)),
        _ => return plain.to_vec(),
    };
    let mut out = Vec::new();
    let mut block = vec![0; 64 << 10];
    let mut input = PartialBuffer::new(plain);
    // Encoding into memory does not fail. If it did, the result would not be a decompression bomb, and tests would
    // notice.
    while !input.unwritten().is_empty() {
        let mut output = WriteBuffer::new_initialized(&mut block);
        if encoder.encode(&mut input, &mut output).is_err() {
            return out;
        }
        out.extend_from_slice(output.written());
    }
    loop {
        let mut output = WriteBuffer::new_initialized(&mut block);
        let done = encoder.finish(&mut output).unwrap_or(true);
        out.extend_from_slice(output.written());
        if done {
            return out;
        }
    }
}

/// Returns two megabytes of zeros in this coding, which take only a few hundred bytes.
pub(super) fn bomb(coding: &str) -> Vec<u8> {
    encode(coding, &vec![0; 2 << 20])
}
