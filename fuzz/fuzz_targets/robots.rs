//! See `opilio_robots::fuzz::robots`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opilio_robots::fuzz::robots(bytes));
