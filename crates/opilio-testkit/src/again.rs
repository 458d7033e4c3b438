//! The commands that record a cassette anew or accept items, for messages.

/// Returns the command that records the cassette of the running test. The test's name is that of its thread.
pub(crate) fn recording_command() -> String {
    command(RECORD)
}

/// Returns the command that runs this test again with an environment variable set.
pub(crate) fn command(variable: &str) -> String {
    let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}")).unwrap_or_default();
    let thread = std::thread::current();
    let test =
        thread.name().filter(|name| *name != "main").map(|name| format!(" {name}")).unwrap_or_default();
    format!("{variable}=1 cargo test{package}{test}")
}

/// Returns whether cassettes are to be recorded anew (`OPILIO_RECORD`).
pub(crate) fn is_recording() -> bool {
    is_set(RECORD)
}

/// Returns whether an environment variable is set to a value other than the empty text and 0.
pub(crate) fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

/// Prints a warning. Cargo shows it if the test fails.
#[expect(clippy::print_stderr, reason = "a test has no other place for a warning")]
pub(crate) fn warn(warning: &str) {
    eprintln!("warning: {warning}");
}

const RECORD: &str = "OPILIO_RECORD";
