//! The commands of a spider's program (`run`, `parse`, …), called from the directory of its cargo project or below.
//!
//! The flags of these commands are those of the program, which reads them. This module only finds the program. It
//! runs the program in the project's directory: there its `opilio.toml` and its cassette are.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, anyhow, bail};
use clap::{Args, CommandFactory, Subcommand};
use opilio_app::{PROGRAM_MARK, SpiderCommand};
use serde_json::Value;

use crate::args::Cli;
use opilio_app::exit::{Failure, say};

/// A command of a spider's program.
#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// In a project: runs its spider
    Run(ProjectArgs),
    /// In a project: reads one page with its spider, and prints the items
    Parse(ProjectArgs),
    /// In a project: records a crawl of its spider in a cassette
    Record(ProjectArgs),
    /// In a project: names the fields that the site has no more since the recording
    Check(ProjectArgs),
    /// In a project: prints which fields the items of its spider have
    Schema(ProjectArgs),
}

impl ProjectCommand {
    fn parts(&self) -> (SpiderCommand, &ProjectArgs) {
        match self {
            Self::Run(args) => (SpiderCommand::Run, args),
            Self::Parse(args) => (SpiderCommand::Parse, args),
            Self::Record(args) => (SpiderCommand::Record, args),
            Self::Check(args) => (SpiderCommand::Check, args),
            Self::Schema(args) => (SpiderCommand::Schema, args),
        }
    }
}

/// The flags that choose the program, and the arguments for it.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct ProjectArgs {
    /// Package of the program, if the workspace has several
    #[arg(long, short, value_name = "NAME")]
    package: Option<String>,
    /// Binary of the program, if the package has several
    #[arg(long, value_name = "NAME", conflicts_with = "example")]
    bin: Option<String>,
    /// Example to run instead of a binary
    #[arg(long, value_name = "NAME")]
    example: Option<String>,
    /// Builds the program with optimizations
    #[arg(long)]
    release: bool,
    /// Arguments for the program; --help shows its flags. Relative paths begin in the directory of Cargo.toml
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    args: Vec<OsString>,
}

impl ProjectArgs {
    /// Returns the arguments for cargo that choose the program.
    fn choice(&self) -> Vec<OsString> {
        let named = [("--package", &self.package), ("--bin", &self.bin), ("--example", &self.example)];
        let named = named.into_iter().filter_map(|(flag, name)| Some([flag, name.as_deref()?]));
        let release = self.release.then_some("--release");
        named.flatten().chain(release).map(OsString::from).collect()
    }

    /// Returns whether the flags name the program itself, and not only its package.
    fn asks_for_one(&self) -> bool {
        self.bin.is_some() || self.example.is_some()
    }

    fn asks_for_help(&self) -> bool {
        self.args.iter().any(|arg| arg == "--help" || arg == "-h")
    }

    fn asks_for_quiet(&self) -> bool {
        self.args.iter().any(|arg| arg == "--quiet" || arg == "-q")
    }
}

/// Builds the program of the project in this directory or above it, and replaces this process by it, so that the
/// program gets the signals and its exit code is that of this command. Returns the exit code where processes cannot be
/// replaced.
///
/// # Errors
/// When there is no project, it cannot be built, or its program does not use `opilio::main`.
pub(crate) fn run(command: &ProjectCommand) -> Result<ExitCode, Failure> {
    let (command, args) = command.parts();
    let here = std::env::current_dir().map_err(Failure::run)?;
    let Some(project) = here.ancestors().find(|dir| dir.join("Cargo.toml").is_file()) else {
        if args.asks_for_help() {
            print_help(command);
            return Ok(ExitCode::SUCCESS);
        }
        return Err(Failure::usage(anyhow!(
            "there is no Cargo.toml in {} or above it: opilio {} calls the program of a cargo project, whose main is \
             opilio::main(Spider); opilio crawl URL needs no project",
            here.display(),
            command.name()
        )));
    };
    if project != here && !args.asks_for_quiet() && !args.asks_for_help() {
        say(&format!("the program runs in {}: relative paths begin there", project.display()));
    }
    // A build that fails is a usage error: exit code 1 would say, for check, that a field fell silent.
    let programs = build(project, args).map_err(Failure::Usage)?;
    let program = choose(programs, args.asks_for_one()).map_err(Failure::Usage)?;
    let mut cargo = cargo(project);
    cargo.args(["run", "--quiet"]).args(args.choice());
    if !args.asks_for_one() {
        cargo.args(program.choice());
    }
    cargo.arg("--").arg(command.name()).args(&args.args);
    replace(cargo).map_err(Failure::Usage)
}

/// Returns cargo in the project's directory. Building and running need the same directory, since `CARGO_TARGET_DIR` may
/// be relative to it.
fn cargo(project: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(project);
    cargo
}

/// A program that cargo has built.
struct BuiltProgram {
    /// The name of the target in its package.
    name: String,
    is_example: bool,
    path: PathBuf,
}

impl BuiltProgram {
    /// Reads a message of cargo. Returns `None` for a message about anything but a program.
    fn of(message: &Value) -> Option<Self> {
        let path = PathBuf::from(message["executable"].as_str()?);
        let target = &message["target"];
        let name = target["name"].as_str().map_or_else(
            || path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            str::to_owned,
        );
        let is_example =
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "example"));
        Some(Self { name, is_example, path })
    }

    /// Returns the arguments for cargo that choose this program.
    fn choice(&self) -> [&str; 2] {
        [if self.is_example { "--example" } else { "--bin" }, &self.name]
    }
}

/// Builds the programs. Cargo prints errors of the compiler on stderr, and on a terminal its progress. Elsewhere, such
/// as in the log of a CI job, one line says that the build begins, since it may take minutes.
fn build(project: &Path, args: &ProjectArgs) -> anyhow::Result<Vec<BuiltProgram>> {
    let choice = args.choice();
    let words: Vec<_> = choice.iter().map(|word| word.to_string_lossy()).collect();
    let shown = format!("cargo build {}", words.join(" "));
    let shown = shown.trim_end();
    let mut cargo = cargo(project);
    cargo.args(["build", "--message-format=json-render-diagnostics"]).args(&choice);
    if !std::io::stderr().is_terminal() {
        cargo.arg("--quiet");
        if !args.asks_for_quiet() && !args.asks_for_help() {
            say(&format!("building the program: {shown}"));
        }
    }
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the program is not built: {shown} in {} failed ({})", project.display(), output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(messages.filter_map(|message| BuiltProgram::of(&message)).collect())
}

/// Returns the program that uses `opilio::main`. Any other program could do anything, so it is not run. `is_named` says
/// that the user has named the program.
fn choose(programs: Vec<BuiltProgram>, is_named: bool) -> anyhow::Result<BuiltProgram> {
    let Some(first) = programs.first() else {
        bail!("this package has no program: write src/main.rs, with opilio::main(Spider) as its main");
    };
    let first = first.name.clone();
    let mut marked = Vec::new();
    for program in programs {
        if is_marked(&program.path)? {
            marked.push(program);
        }
    }
    match <[BuiltProgram; 1]>::try_from(marked) {
        Ok([program]) => Ok(program),
        Err(none) if none.is_empty() => bail!(
            "the program {first} does not use opilio::main: write fn main() -> std::process::ExitCode \
             {{ opilio::main(Spider) }}, with the feature app of opilio"
        ),
        Err(several) => {
            let names: Vec<&str> = several.iter().map(|program| program.name.as_str()).collect();
            let how = if is_named { "--package NAME" } else { "--bin NAME, or --package NAME" };
            bail!("several programs use opilio::main ({}): choose one by {how}", names.join(", "))
        }
    }
}

/// Returns whether the file contains the text that `opilio::main` puts into each program.
fn is_marked(program: &Path) -> anyhow::Result<bool> {
    let file = std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    Ok(memchr::memmem::find(&file, PROGRAM_MARK.as_bytes()).is_some())
}

/// Replaces this process. Cargo does the same with the program, so that it has this process's id.
#[cfg(unix)]
fn replace(mut command: Command) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("cannot run cargo")
}

/// Runs the command to its end, and returns its exit code. The console sends Ctrl-C to all processes.
#[cfg(not(unix))]
fn replace(mut command: Command) -> anyhow::Result<ExitCode> {
    let code = command.status().context("cannot run cargo")?.code();
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

fn print_help(command: SpiderCommand) {
    if let Some(help) = Cli::command().find_subcommand_mut(command.name()) {
        // Printing fails when the reader has closed the pipe.
        let _ = help.print_help();
    }
}
