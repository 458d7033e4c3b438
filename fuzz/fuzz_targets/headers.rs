//! See `opilio_core::fuzz::headers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opilio_core::fuzz::headers(bytes));
