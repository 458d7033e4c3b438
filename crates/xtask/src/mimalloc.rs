//! The binary for the processes that `cargo xtask bench --mimalloc` starts: `xtask` with mimalloc instead of the
//! system's allocator. Nothing else uses it.

use anyhow::{Context, Result};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = args.split_first().context("this program is started by the benchmark")?;
    opilio_bench::child(command, rest).with_context(|| format!("the benchmark starts no {command}"))?
}
