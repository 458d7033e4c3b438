//! See `opilio_robots::fuzz::sitemap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opilio_robots::fuzz::sitemap(bytes));
