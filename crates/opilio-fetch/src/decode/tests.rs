//! Tests of the content codings: every name, streams that are cut off, and decompression bombs.

#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

pub(crate) fn encode(coding: &str, plain: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match coding {
        "gzip" => written(GzEncoder::new(Vec::new(), level), plain).finish().unwrap(),
        "zlib" => written(ZlibEncoder::new(Vec::new(), level), plain).finish().unwrap(),
        "raw" => written(DeflateEncoder::new(Vec::new(), level), plain).finish().unwrap(),
        "br" => written(brotli::CompressorWriter::new(Vec::new(), 4_096, 5, 22), plain).into_inner(),
        "zstd" => {
            let mut out = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
            zstd_safe::compress(&mut out, plain, 3).unwrap();
            out
        }
        other => panic!("{other}"),
    }
}

fn written<W: Write>(mut encoder: W, plain: &[u8]) -> W {
    encoder.write_all(plain).unwrap();
    encoder
}

pub(crate) fn decode(
    codings: &[Coding],
    wire: &[u8],
    chunk: usize,
    limits: &Limits,
) -> Result<Vec<u8>, Fault> {
    let mut decoder = Decoder::new(codings, limits);
    let mut sink = DecodedOutput { bytes: BytesMut::new(), room: 1 };
    let mut chunks: Vec<Bytes> = wire.chunks(chunk.max(1)).map(Bytes::copy_from_slice).collect();
    chunks.push(Bytes::new());
    let count = chunks.len();
    for (at, mut chunk) in chunks.into_iter().enumerate() {
        decoder.count(chunk.len());
        while decoder.push(&mut chunk, at + 1 == count, &mut sink)? == Pushed::Full {
            sink.room = sink.bytes.len() + 1;
        }
        assert!(chunk.is_empty());
    }
    Ok(sink.bytes.to_vec())
}

const ALL: [(&str, Coding); 5] = [
    ("gzip", Coding::Gzip),
    ("zlib", Coding::Deflate),
    ("raw", Coding::Deflate),
    ("br", Coding::Brotli),
    ("zstd", Coding::Zstd),
];

fn text(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| b"the quick brown fox jumps over "[i * 7 % 31].wrapping_add((i / 997) as u8 % 5))
        .collect()
}

#[test]
fn every_coding_is_undone_however_it_is_cut() {
    let plain = text(100_000);
    for (name, coding) in ALL {
        let wire = encode(name, &plain);
        for chunk in [1, 7, 1_000, usize::MAX] {
            assert_eq!(
                decode(&[coding], &wire, chunk, &Limits::default()).unwrap(),
                plain,
                "{name} by {chunk}"
            );
        }
    }
}

#[test]
fn two_codings_are_undone_in_turn() {
    let plain = text(100_000);
    for (outer_name, outer) in ALL {
        for (inner_name, inner) in ALL {
            let wire = encode(outer_name, &encode(inner_name, &plain));
            let got = decode(&[outer, inner], &wire, 900, &Limits::default()).unwrap();
            assert_eq!(got, plain, "{outer_name} over {inner_name}");
        }
    }
}

#[test]
fn cut_or_broken_data_is_no_page() {
    let plain = text(50_000);
    for (name, coding) in ALL {
        let wire = encode(name, &plain);
        // The trailers of gzip and zlib may be missing: see [`inflate`].
        let trailer = [("gzip", 8), ("zlib", 4)].iter().find(|(wrapped, _)| *wrapped == name);
        let trailer = trailer.map_or(0, |(_, bytes)| *bytes);
        for keep in [1, wire.len() / 2, wire.len() - trailer - 1] {
            let cut = decode(&[coding], &wire[..keep], 512, &Limits::default());
            assert_eq!(cut, Err(Fault::Undecodable), "{name} cut at {keep}");
        }
    }
    let mut wrong_sum = encode("gzip", &plain);
    let end = wrong_sum.len();
    wrong_sum[end - 6] ^= 1;
    assert_eq!(decode(&[Coding::Gzip], &wrong_sum, 512, &Limits::default()), Err(Fault::Undecodable));
    assert_eq!(decode(&[Coding::Gzip], b"<html>plain", 512, &Limits::default()), Err(Fault::Undecodable));
}

#[test]
fn members_and_frames_follow_each_other_and_padding_is_ignored() {
    for (name, coding) in [("gzip", Coding::Gzip), ("zstd", Coding::Zstd)] {
        let wire = [encode(name, b"one "), encode(name, b"two")].concat();
        assert_eq!(decode(&[coding], &wire, 5, &Limits::default()).unwrap(), b"one two");
    }
    let padded = [encode("gzip", b"one"), vec![0; 40]].concat();
    assert_eq!(decode(&[Coding::Gzip], &padded, 9, &Limits::default()).unwrap(), b"one");
}

#[test]
fn an_empty_body_is_empty_in_every_coding() {
    for (name, coding) in ALL {
        assert_eq!(decode(&[coding], b"", 1, &Limits::default()).unwrap(), b"", "{name}");
        assert_eq!(decode(&[coding], &encode(name, b""), 3, &Limits::default()).unwrap(), b"", "{name}");
    }
}

#[test]
fn bombs_are_found_by_ratio_and_by_size_in_any_stage() {
    let limits = Limits::default();
    let zeros = vec![0; 8 << 20];
    for (name, coding) in ALL {
        let wire = encode(name, &zeros);
        assert_eq!(decode(&[coding], &wire, 4_096, &limits), Err(Fault::DecompressionBomb), "{name}");
        // The output of the inner coding is small, but the output of the outer coding is large.
        let inside = encode(name, &wire);
        let chained = decode(&[coding, coding], &inside, 4_096, &limits);
        assert_eq!(chained, Err(Fault::DecompressionBomb), "{name} twice");
    }
    let small = Limits { body_bytes_max: 10_000, ..Limits::default() };
    let wire = encode("gzip", &text(10_001));
    assert_eq!(decode(&[Coding::Gzip], &wire, 512, &small), Err(Fault::DecompressionBomb));
    assert!(decode(&[Coding::Gzip], &encode("gzip", &text(10_000)), 512, &small).is_ok());
}

#[test]
fn the_header_names_codings_in_the_order_of_encoding() {
    let read = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
        }
        codings(&headers)
    };
    assert_eq!(read(&[]), Ok(vec![]));
    assert_eq!(read(&["identity"]), Ok(vec![]));
    assert_eq!(read(&["GZip"]), Ok(vec![Coding::Gzip]));
    assert_eq!(read(&["\"gzip\""]), Ok(vec![Coding::Gzip]));
    assert_eq!(read(&["gzip;q=1.0, br ; q=0"]), Ok(vec![Coding::Brotli, Coding::Gzip]));
    assert_eq!(read(&["deflate, br"]), Ok(vec![Coding::Brotli, Coding::Deflate]));
    assert_eq!(read(&["gzip", "identity, zstd"]), Ok(vec![Coding::Zstd, Coding::Gzip]));
    for unspoken in [
        &["compress"][..],
        &["none, XZ"],
        &["rot13"],
        &["chunked"],
        &["gzip gzip"],
        &["gzip, gzip, gzip"],
        &["gzip", "gzip", "br"],
    ] {
        assert_eq!(read(unspoken), Err(Fault::Undecodable), "{unspoken:?}");
    }
}

#[test]
fn a_word_that_codes_nothing_changes_nothing() {
    let read = |value: &[u8]| {
        codings(&HeaderMap::from_iter([(
            header::CONTENT_ENCODING,
            http::HeaderValue::from_bytes(value).unwrap(),
        )]))
    };
    for word in [
        &b"none"[..],
        b"None",
        b"utf-8",
        b"UTF8",
        b"iso-8859-1",
        b"windows-1252",
        b"Shift_JIS",
        b"binary",
        b"7bit",
        b"8bit",
        b"text/html",
        b"text/html; charset=utf-8",
        b"charset=utf-8",
        b"html",
        b"null",
        b"*",
        b"\"\"",
        b"\"none\"",
    ] {
        let name = String::from_utf8_lossy(word);
        assert_eq!(read(word), Ok(vec![]), "{name}");
        assert_eq!(read(&[b"gzip, ", word].concat()), Ok(vec![Coding::Gzip]), "gzip, {name}");
        assert_eq!(read(&[word, b",br"].concat()), Ok(vec![Coding::Brotli]), "{name}, br");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_upset_a_decoder(
        wire in proptest::collection::vec(any::<u8>(), 0..300), which in 0..ALL.len(), magic in any::<bool>(), chunk in 1usize..64,
    ) {
        let (name, coding) = ALL[which];
        // Half of the inputs begin like data of the coding, so that more than the check of its header is tested.
        let mut input = if magic { encode(name, b"abc")[..6.min(encode(name, b"abc").len())].to_vec() } else { Vec::new() };
        input.extend(wire);
        if let Ok(plain) = decode(&[coding], &input, chunk, &Limits::default()) {
            prop_assert!(plain.len() <= Limits::default().body_bytes_max);
        }
    }
}
