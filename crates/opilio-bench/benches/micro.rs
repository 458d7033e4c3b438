//! Times single operations of a crawl: `cargo bench -p opilio-bench`.
#![allow(clippy::expect_used, reason = "a benchmark for the terminal")]

use opilio_bench::micro::{ALL, Operation};

fn main() {
    divan::main();
}

#[divan::bench(args = ALL)]
fn step(bencher: divan::Bencher<'_, '_>, operation: Operation) {
    let mut step = operation.prepare().expect("its input is fixed");
    bencher.bench_local(&mut step);
}
