//! The program under test, and what it prints.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use opilio_app::App;
use opilio_app::clap::Arg;
use opilio_engine::Spider;
use tempfile::TempDir;

/// The environment variable with the arguments of the program, one on each line.
const ARGS: &str = "TEST_COMMANDS_ARGS";

/// Runs the program of a spider if the environment variable is set, and otherwise does nothing: the tests start it as a
/// process. `make` makes the spider of the flag `--base`.
pub(crate) fn run_program<S: Spider>(
    make: impl FnOnce(String) -> S + 'static,
    more: impl FnOnce(App<S>) -> App<S>,
) {
    let Ok(args) = std::env::var(ARGS) else { return };
    let base = Arg::new("base").long("base").required(true).help("Where to begin");
    let app = App::with_flags([base], |flags| {
        Ok(make(flags.get_one::<String>("base").cloned().unwrap_or_default()))
    });
    let app = app.settings("[crawl]\nallow_private = true\n[default]\nrate = \"2000/s\"\nin_flight = 4\n");
    let args: Vec<&str> = args.split('\n').filter(|arg| !arg.is_empty()).collect();
    let code = match more(app).run(args) {
        Ok(ended) => ended.tell().code(),
        Err(failure) => failure.tell(),
    };
    std::process::exit(code.into());
}

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

/// Sends a signal, such as `INT`, to the program.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// Waits until this condition, which depends on what a server has received, holds.
pub(crate) fn until(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
}
