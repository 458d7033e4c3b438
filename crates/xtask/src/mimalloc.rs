//! The program of the processes that `cargo xtask bench --mimalloc` starts: the same as `xtask`, but with the
//! allocator mimalloc instead of the allocator of the system. Nothing else uses this program.

use anyhow::{Context, Result};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = args.split_first().context("this program is started by the benchmark")?;
    opilio_bench::child(command, rest).with_context(|| format!("the benchmark starts no {command}"))?
}
