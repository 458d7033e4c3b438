//! See `opilio_fetch::fuzz::answers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opilio_fetch::fuzz::answers(bytes));
