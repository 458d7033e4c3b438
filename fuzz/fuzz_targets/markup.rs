//! See `opilio_extract::fuzz::markup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opilio_extract::fuzz::markup(bytes));
