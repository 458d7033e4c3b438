//! See `opilio_extract::fuzz::media`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opilio_extract::fuzz::media(bytes));
