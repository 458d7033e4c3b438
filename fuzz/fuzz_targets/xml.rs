//! See `opilio_extract::fuzz::xml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opilio_extract::fuzz::xml(bytes));
