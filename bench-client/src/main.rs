//! The load client's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_client::command::main()
}
