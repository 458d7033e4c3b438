//! Tests of the compiler's messages for mistakes in `#[derive(Extract)]`, with one file per mistake.
//!
//! The messages change with the compiler, so they are compared only under the version of Rust that the workspace
//! names, and the test is skipped under any other version. `TRYBUILD=overwrite cargo test -p opilio-extract
//! --features derive --test mistakes` writes the expected messages anew.

use std::process::Command;

#[test]
fn the_compiler_names_what_to_write_instead() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version =
        Command::new(rustc).arg("--version").output().expect("rustc runs, since it compiled this test");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let pinned = concat!("rustc ", env!("CARGO_PKG_RUST_VERSION"), ".");
    if version.starts_with(pinned) {
        trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
    }
}
