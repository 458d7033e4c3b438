//! Starts the program under test, and reads what it prints.

use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// The environment variable with the arguments of the program, one on each line.
pub(crate) const ARGS: &str = "TEST_COMMANDS_ARGS";

/// How the program ended, and what it printed.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Returns the lines of the program's own standard output as JSON. The test harness prints lines of its own.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let lines = self.stdout.lines().filter(|line| line.starts_with(['{', '[']));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs the program in a directory.
pub(crate) fn run(dir: &TempDir, args: &[&str]) -> Ended {
    finish(begin(dir, args))
}

/// Starts the program in a directory.
pub(crate) fn begin(dir: &TempDir, args: &[&str]) -> Child {
    begin_program("shop::the_program", dir, args)
}

/// Starts a program in a directory. `program` is the name of the test that is the program.
pub(crate) fn begin_program(program: &str, dir: &TempDir, args: &[&str]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OPILIO_")) {
        command.env_remove(name);
    }
    command.args(["--exact", program, "--nocapture"]);
    command.env(ARGS, args.join("\n")).current_dir(dir.path()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the program has ended.
pub(crate) fn finish(child: Child) -> Ended {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}
