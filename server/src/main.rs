//! The server as a program.

use std::process::ExitCode;

use clap::Parser;

/// Serve one feed of events over polling, long polling, HTTP streaming, SSE, WebSocket and raw TCP
#[derive(Parser)]
#[command(name = "server", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    options: server::Options,
}

fn main() -> ExitCode {
    server::logging::start();
    match server::run::run(&Arguments::parse().options, std::future::pending()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            server::output::error_line(format_args!("server: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
