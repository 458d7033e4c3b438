//! Tests of the commands that call the program of a cargo project. A script stands in for cargo.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::support::{Run, finish, opilio, signal, until};

/// Makes a project whose cargo builds a program with this content, and runs it as a script with this text.
fn project(dir: &Path, program: &str, script: &str) {
    std::fs::write(dir.join("Cargo.toml"), "[package]\nname = \"shop\"\n").unwrap();
    std::fs::write(dir.join("program"), program).unwrap();
    let built = format!("{{\"reason\":\"compiler-artifact\",\"executable\":\"{}/program\"}}", dir.display());
    let cargo = format!(
        "#!/bin/sh\necho \"$@\" >> {}/calls\nif [ $1 = build ]; then echo '{built}'; exit 0; fi\n{script}\n",
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
        (&["run", "--rate", "2/s", "-o", "x.csv"][..], "run --quiet -- run --rate 2/s -o x.csv"),
        (&["check", "-p", "shop", "--bin", "lamps"], "run --quiet --package shop --bin lamps -- check"),
        (
            &["parse", "--release", "http://a.example/", "-p", "x"],
            "run --quiet --release -- parse http://a.example/ -p x",
        ),
        (&["schema", "--help"], "run --quiet -- schema --help"),
        (&["record", "--", "--bin", "x"], "run --quiet -- record --bin x"),
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
    assert!(run.error().contains("the program program does not use opilio::main"), "{}", run.stderr);
    assert!(!dir.path().join("ran").exists(), "another program is not run");

    project(dir.path(), "", "exit 0");
    let cargo = "#!/bin/sh\necho 'error[E0425]: what' >&2; exit 101\n";
    std::fs::write(dir.path().join("cargo"), cargo).unwrap();
    let run = run_in(dir.path(), &["run"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.ends_with("error[E0425]: what\nerror: cargo could not build the program\n"),
        "{}",
        run.stderr
    );
}
