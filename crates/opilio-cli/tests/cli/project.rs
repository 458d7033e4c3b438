//! Tests of the commands that call the program of a cargo project. A script stands in for cargo.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::support::{Run, finish, opilio, signal, until};

/// Makes a project whose cargo builds a program with this content, and runs it as a script with this text.
fn project(dir: &Path, program: &str, script: &str) {
    project_of(dir, &[("program", program)], script);
}

/// Makes a project whose cargo builds programs of these names and contents.
fn project_of(dir: &Path, programs: &[(&str, &str)], script: &str) {
    std::fs::write(dir.join("Cargo.toml"), "[package]\nname = \"shop\"\n").unwrap();
    let mut built = String::new();
    for (name, content) in programs {
        std::fs::write(dir.join(name), content).unwrap();
        let target = format!("{{\"kind\":[\"bin\"],\"name\":\"{name}\"}}");
        let file = dir.join(name);
        let message = format!(
            "{{\"reason\":\"compiler-artifact\",\"target\":{target},\"executable\":\"{}\"}}",
            file.display()
        );
        built.push_str(&format!("echo '{message}'; "));
    }
    let cargo = format!(
        "#!/bin/sh\necho \"$@\" >> {}/calls\nif [ $1 = build ]; then {built}exit 0; fi\n{script}\n",
        dir.display()
    );
    std::fs::write(dir.join("cargo"), cargo).unwrap();
    std::fs::set_permissions(dir.join("cargo"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn run_in(dir: &Path, args: &[&str]) -> Run {
    finish(opilio().args(args).current_dir(dir).env("CARGO", dir.join("cargo")).spawn().unwrap())
}

fn marked() -> String {
    format!("\u{0}elf{}more", opilio_app::PROGRAM_MARK)
}

#[test]
fn the_program_gets_the_command_and_its_arguments_and_its_exit_code_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), &marked(), "echo items; exit 7");
    let below = dir.path().join("src/deep");
    std::fs::create_dir_all(&below).unwrap();
    for (args, call) in [
        (
            &["run", "--rate", "2/s", "-o", "x.csv"][..],
            "run --quiet --bin program -- run --rate 2/s -o x.csv",
        ),
        (&["check", "-p", "shop", "--bin", "lamps"], "run --quiet --package shop --bin lamps -- check"),
        (
            &["parse", "--release", "http://a.example/", "-p", "x"],
            "run --quiet --release --bin program -- parse http://a.example/ -p x",
        ),
        (&["schema", "--help"], "run --quiet --bin program -- schema --help"),
        (&["record", "--", "--bin", "x"], "run --quiet --bin program -- record --bin x"),
    ] {
        let run = finish(
            opilio().args(args).current_dir(&below).env("CARGO", dir.path().join("cargo")).spawn().unwrap(),
        );
        assert_eq!((run.code, run.stdout.as_str()), (7, "items\n"), "{args:?}: {}", run.stderr);
        let calls = std::fs::read_to_string(dir.path().join("calls")).unwrap();
        assert_eq!(calls.lines().last(), Some(call));
    }
}

#[test]
fn the_program_that_uses_opilio_main_is_run_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let marked = marked();
    let call =
        || std::fs::read_to_string(dir.path().join("calls")).unwrap().lines().last().unwrap().to_owned();
    // `cargo run` without a name could run the server, if the package names it as default-run.
    project_of(dir.path(), &[("server", "another program"), ("spider", &marked)], "exit 7");
    assert_eq!(
        (run_in(dir.path(), &["run"]).code, call()),
        (7, "run --quiet --bin spider -- run".to_owned())
    );

    project_of(dir.path(), &[("lamps", &marked), ("server", ""), ("chairs", &marked)], "exit 7");
    let run = run_in(dir.path(), &["run"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    let words = "error: several programs use opilio::main (lamps, chairs): choose one by --bin NAME";
    assert!(run.stderr.contains(words) && call().starts_with("build "), "{}", run.stderr);
}

#[test]
fn a_signal_reaches_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'exit 143' TERM; touch started; while true; do sleep 0.02; done";
    project(dir.path(), &marked(), script);
    let child =
        opilio().arg("run").current_dir(dir.path()).env("CARGO", dir.path().join("cargo")).spawn().unwrap();
    until(|| dir.path().join("started").exists());
    std::thread::sleep(Duration::from_millis(20));
    signal(&child, "TERM");
    assert_eq!(finish(child).code, 143);
}

#[test]
fn without_a_project_or_without_opilio_main_the_error_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_in(dir.path(), &["run"]);
    assert_eq!(run.code, 2);
    assert!(
        run.error().contains("there is no Cargo.toml in ") && run.error().contains("opilio crawl URL"),
        "{}",
        run.stderr
    );
    let run = run_in(dir.path(), &["check", "--help"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("--bin <NAME>"), "{}", run.stdout);

    project(dir.path(), "another program", "touch ran");
    let run = run_in(dir.path(), &["run"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("error: the program program does not use opilio::main"), "{}", run.stderr);
    assert!(!dir.path().join("ran").exists(), "another program is not run");

    project(dir.path(), "", "exit 0");
    let cargo = "#!/bin/sh\necho 'error[E0425]: what' >&2; exit 101\n";
    std::fs::write(dir.path().join("cargo"), cargo).unwrap();
    let run = run_in(dir.path(), &["check"]);
    assert_eq!(run.code, 2, "1 says that a field fell silent");
    assert!(
        run.stderr.contains("error[E0425]: what\nerror: the program is not built: cargo build in "),
        "{}",
        run.stderr
    );
}

#[test]
fn below_the_project_the_program_runs_in_the_directory_of_the_project() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), &marked(), "cat opilio.toml; exit 0");
    std::fs::write(dir.path().join("opilio.toml"), "[default]\nrate = \"1/s\"\n").unwrap();
    let below = dir.path().join("src/deep");
    std::fs::create_dir_all(&below).unwrap();
    let run = |from: &Path, args: &[&str]| {
        let cargo = dir.path().join("cargo");
        finish(opilio().args(args).current_dir(from).env("CARGO", cargo).spawn().unwrap())
    };
    let (above, deep) = (run(dir.path(), &["run"]), run(&below, &["run"]));
    for run in [&above, &deep] {
        assert_eq!((run.code, run.stdout.as_str()), (0, "[default]\nrate = \"1/s\"\n"), "{}", run.stderr);
    }
    let project = dir.path().canonicalize().unwrap();
    let words = format!("the program runs in {}: relative paths begin there\n", project.display());
    assert!(deep.stderr.starts_with(&words), "{}", deep.stderr);
    assert!(!above.stderr.contains("relative paths"), "{}", above.stderr);
    assert_eq!(run(&below, &["run", "--quiet"]).stderr, "");
}

#[test]
fn without_a_terminal_a_line_says_that_the_program_is_built_and_what_failed() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), &marked(), "exit 0");
    let run = run_in(dir.path(), &["run", "-p", "shop"]);
    assert_eq!(run.stderr, "building the program: cargo build --package shop\n");
    assert_eq!(run_in(dir.path(), &["run", "-q"]).stderr, "");

    let cargo = "#!/bin/sh\necho 'error[E0425]: what' >&2; exit 101\n";
    std::fs::write(dir.path().join("cargo"), cargo).unwrap();
    let run = run_in(dir.path(), &["run", "--release", "-q"]);
    let project = dir.path().canonicalize().unwrap();
    let words = format!(
        "error[E0425]: what\nerror: the program is not built: cargo build --release in {} failed (exit status: 101)\n",
        project.display()
    );
    assert_eq!((run.code, run.stderr), (2, words));
}
