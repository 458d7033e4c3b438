//! See `opilio_core::fuzz::urls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opilio_core::fuzz::urls(bytes));
