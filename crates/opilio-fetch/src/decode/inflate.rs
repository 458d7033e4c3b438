//! Decodes gzip and zlib: a header, a deflate stream, and a trailer, which may be missing.
//!
//! Some servers omit the trailer, or send only part of it. The deflate stream itself marks its last block, so no
//! part of the page is lost without the trailer, and browsers show such a page. A stream that ends before its last
//! block counts as cut off, and the part of the trailer that was sent must be correct.

use adler2::Adler32;
use flate2::Crc;

use super::codec::{Codec, CorruptStream, DecodedPart, RawDeflate, StreamState};

/// Decodes gzip (RFC 1952) or zlib (RFC 1950).
pub(super) struct Inflate {
    stream: RawDeflate,
    format: StreamFormat,
    at: At,
}

/// The format of the stream, with the checksum of the output so far.
enum StreamFormat {
    Gzip(Crc),
    Zlib(Adler32),
}

/// The part of the stream at which reading has arrived.
enum At {
    GzipHeader(GzipHeader),
    /// The zlib header of two bytes; contains its first byte, once that is read.
    ZlibHeader(Option<u8>),
    Stream,
    /// The trailer; this many of its bytes were read, and all were correct.
    Trailer(usize),
    End,
}

/// The header of a gzip member. Its fields are read and ignored.
struct GzipHeader {
    part: HeaderPart,
    /// The flags of the optional parts of the header that are still to be read.
    flags: u8,
}

enum HeaderPart {
    /// The fixed part of ten bytes; this many of them were read.
    Fixed(usize),
    /// The two bytes that state the length of the extra field; contains the first of them, once it is read.
    ExtraLength(Option<u8>),
    /// The extra field; this many of its bytes are left to read.
    Extra(u16),
    /// The name of the file, which ends with a zero byte.
    Name,
    Comment,
    /// The checksum of the header; this many of its bytes are left to read.
    Sum(u8),
}

impl Inflate {
    pub(super) fn gzip() -> Self {
        let (format, at) = (StreamFormat::Gzip(Crc::new()), At::GzipHeader(GzipHeader::new()));
        Self { stream: RawDeflate::new(), format, at }
    }

    pub(super) fn zlib() -> Self {
        let (format, at) = (StreamFormat::Zlib(Adler32::new()), At::ZlibHeader(None));
        Self { stream: RawDeflate::new(), format, at }
    }

    /// Reads one byte of the header or the trailer.
    fn take(&mut self, byte: u8) -> Result<(), CorruptStream> {
        match &mut self.at {
            At::GzipHeader(header) => {
                if header.take(byte)? {
                    self.at = At::Stream;
                }
            }
            At::ZlibHeader(first) => match first.replace(byte) {
                None => {}
                Some(first) => {
                    check_zlib_header(first, byte)?;
                    self.at = At::Stream;
                }
            },
            At::Trailer(read) => {
                let (trailer, length) = self.format.trailer();
                if byte != trailer[*read] {
                    return Err(CorruptStream);
                }
                *read += 1;
                if *read == length {
                    self.at = At::End;
                }
            }
            At::Stream | At::End => {}
        }
        Ok(())
    }

    fn state(&self) -> StreamState {
        match self.at {
            At::GzipHeader(_) | At::ZlibHeader(_) | At::Stream => StreamState::Incomplete,
            At::Trailer(_) => StreamState::Complete,
            At::End => StreamState::Ended,
        }
    }
}

impl Codec for Inflate {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodedPart, CorruptStream> {
        let (mut used, mut written) = (0, 0);
        loop {
            match self.at {
                At::Stream => {
                    let decoded = self.stream.decode(&input[used..], &mut output[written..])?;
                    self.format.update(&output[written..written + decoded.written]);
                    used += decoded.used;
                    written += decoded.written;
                    if decoded.stream != StreamState::Ended {
                        break;
                    }
                    self.at = At::Trailer(0);
                }
                At::End => break,
                At::GzipHeader(_) | At::ZlibHeader(_) | At::Trailer(_) => {
                    let Some(byte) = input.get(used) else { break };
                    self.take(*byte)?;
                    used += 1;
                }
            }
        }
        Ok(DecodedPart { used, written, stream: self.state() })
    }

    fn reset(&mut self) -> Result<(), CorruptStream> {
        let fresh = match self.format {
            StreamFormat::Gzip(_) => Self::gzip(),
            StreamFormat::Zlib(_) => Self::zlib(),
        };
        self.stream.reset()?;
        (self.format, self.at) = (fresh.format, fresh.at);
        Ok(())
    }
}

impl StreamFormat {
    fn update(&mut self, decoded: &[u8]) {
        match self {
            Self::Gzip(sum) => sum.update(decoded),
            Self::Zlib(sum) => sum.write_slice(decoded),
        }
    }

    /// Returns the trailer that the output must have, and the length of the trailer in bytes.
    fn trailer(&self) -> ([u8; 8], usize) {
        let mut trailer = [0; 8];
        match self {
            Self::Gzip(sum) => {
                trailer[..4].copy_from_slice(&sum.sum().to_le_bytes());
                trailer[4..].copy_from_slice(&sum.amount().to_le_bytes());
                (trailer, 8)
            }
            Self::Zlib(sum) => {
                trailer[..4].copy_from_slice(&sum.checksum().to_be_bytes());
                (trailer, 4)
            }
        }
    }
}

impl GzipHeader {
    fn new() -> Self {
        Self { part: HeaderPart::Fixed(0), flags: 0 }
    }

    /// Reads the next byte of the header. Returns true if this byte was the last of the header.
    fn take(&mut self, byte: u8) -> Result<bool, CorruptStream> {
        match &mut self.part {
            HeaderPart::Fixed(at) => {
                if MAGIC.get(*at).is_some_and(|magic| *magic != byte) {
                    return Err(CorruptStream);
                }
                if *at == FLAGS_AT {
                    self.flags = byte & (EXTRA | NAME | COMMENT | SUM);
                }
                *at += 1;
                if *at < FIXED_BYTES {
                    return Ok(false);
                }
            }
            HeaderPart::ExtraLength(first) => {
                let Some(first) = first.replace(byte) else { return Ok(false) };
                let length = u16::from_le_bytes([first, byte]);
                if length > 0 {
                    self.part = HeaderPart::Extra(length);
                    return Ok(false);
                }
            }
            HeaderPart::Extra(left) => {
                *left -= 1;
                if *left > 0 {
                    return Ok(false);
                }
            }
            HeaderPart::Name | HeaderPart::Comment => {
                if byte != 0 {
                    return Ok(false);
                }
            }
            HeaderPart::Sum(left) => {
                *left -= 1;
                if *left > 0 {
                    return Ok(false);
                }
            }
        }
        Ok(self.goes_on())
    }

    /// Begins the next part of the header that the flags announce. Returns true if there is no further part.
    fn goes_on(&mut self) -> bool {
        // The parts come in this order, which differs from the order of the bits.
        let order = [
            (EXTRA, HeaderPart::ExtraLength(None)),
            (NAME, HeaderPart::Name),
            (COMMENT, HeaderPart::Comment),
            (SUM, HeaderPart::Sum(2)),
        ];
        match order.into_iter().find(|(flag, _)| self.flags & flag != 0) {
            Some((flag, part)) => {
                self.flags &= !flag;
                self.part = part;
                false
            }
            None => true,
        }
    }
}

fn check_zlib_header(first: u8, second: u8) -> Result<(), CorruptStream> {
    let sum = u16::from_be_bytes([first, second]);
    if first & 0x0f != 8 || !sum.is_multiple_of(31) || second & PRESET_DICTIONARY != 0 {
        return Err(CorruptStream);
    }
    Ok(())
}

/// The first bytes of a gzip member, up to its compression method (RFC 1952 §2.3).
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const FLAGS_AT: usize = 3;
const FIXED_BYTES: usize = 10;
/// The flags of the optional parts of a gzip header (RFC 1952 §2.3.1).
const SUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
/// The flag in a zlib header that announces a preset dictionary (RFC 1950 §2.2).
const PRESET_DICTIONARY: u8 = 1 << 5;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use opilio_core::Fault;

    use crate::Limits;
    use crate::decode::Coding;
    use crate::decode::tests::{decode, encode};

    const PLAIN: &[u8] = b"<p>one two three two one</p>";

    fn read(coding: Coding, wire: &[u8]) -> Result<Vec<u8>, Fault> {
        let whole = decode(&[coding], wire, usize::MAX, &Limits::default());
        for chunk in [1, 3] {
            assert_eq!(decode(&[coding], wire, chunk, &Limits::default()), whole, "by {chunk}");
        }
        whole
    }

    #[test]
    fn a_missing_trailer_costs_nothing_and_a_wrong_one_the_page() {
        let long: Vec<u8> = (0..12_000_u32).flat_map(|n| (n.wrapping_mul(n) >> 7).to_le_bytes()).collect();
        for plain in [PLAIN, &long, b""] {
            for (name, coding, trailer) in [("gzip", Coding::Gzip, 8), ("zlib", Coding::Deflate, 4)] {
                let wire = encode(name, plain);
                let end = wire.len();
                for missing in 0..=trailer {
                    let got = read(coding, &wire[..end - missing]);
                    assert!(got.as_deref() == Ok(plain), "{name} of {} without {missing}", plain.len());
                }
                let cut = read(coding, &wire[..end - trailer - 1]);
                assert_eq!(cut, Err(Fault::Undecodable), "{name}: its last block is cut");
                for wrong in 1..=trailer {
                    let mut wire = wire.clone();
                    wire[end - wrong] ^= 1;
                    assert_eq!(read(coding, &wire), Err(Fault::Undecodable), "{name}: {wrong} from the end");
                    // A wrong byte of the trailer is also found if the bytes after it are missing.
                    let cut = read(coding, &wire[..end - wrong + 1]);
                    assert_eq!(cut, Err(Fault::Undecodable), "{name}: {wrong} from the end, and cut there");
                }
            }
        }
    }

    #[test]
    fn every_part_of_a_header_is_skipped() {
        let wire = encode("gzip", PLAIN);
        let rest = &wire[10..];
        for flags in 0..32_u8 {
            let mut header = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 255];
            if flags & 4 != 0 {
                header.extend(b"\x03\x00a\0b");
            }
            if flags & 8 != 0 {
                header.extend(b"page.html\0");
            }
            if flags & 16 != 0 {
                header.extend(b"\xe9 comment\0");
            }
            if flags & 2 != 0 {
                header.extend([7, 7]);
            }
            let whole = [&header, rest].concat();
            assert_eq!(read(Coding::Gzip, &whole).as_deref(), Ok(PLAIN), "{flags:#b}");
            for cut in 1..header.len() {
                assert_eq!(read(Coding::Gzip, &whole[..cut]), Err(Fault::Undecodable), "{flags:#b} to {cut}");
            }
        }
        let no_extra = [&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0, 0, 0], rest].concat();
        assert_eq!(read(Coding::Gzip, &no_extra).as_deref(), Ok(PLAIN));
    }

    #[test]
    fn other_formats_and_dictionaries_are_refused() {
        let wire = encode("zlib", PLAIN);
        let gzip = encode("gzip", PLAIN);
        for (coding, bytes) in [
            (Coding::Deflate, [&[0x78, 0xbb][..], &wire[2..]].concat()),
            (Coding::Deflate, [&[0x78, 0x9d][..], &wire[2..]].concat()),
            (Coding::Gzip, [&[0x1f, 0x8b, 7][..], &gzip[3..]].concat()),
            (Coding::Gzip, [&[0x1f, 0x8c][..], &gzip[2..]].concat()),
            (Coding::Gzip, wire.clone()),
        ] {
            assert_eq!(read(coding, &bytes), Err(Fault::Undecodable), "{bytes:?}");
        }
    }
}
