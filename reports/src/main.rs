//! Redraws a report from its `run.json`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Redraw every file of a report, byte for byte, from the result of its run.
#[derive(Parser)]
#[command(name = "reports", version, max_term_width = 100)]
struct Arguments {
    /// The result of a run
    #[arg(value_name = "DIR/run.json")]
    run: PathBuf,
    /// Directory to draw into, instead of the one that the result lies in
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let own = || arguments.run.parent().unwrap_or(".".as_ref()).to_path_buf();
    let out = arguments.out.clone().unwrap_or_else(own);
    match reports::read(&arguments.run).and_then(|run| reports::write(&run, &out)) {
        Ok(()) => {
            println!("{}", out.join("index.html").display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("reports: {error:#}");
            ExitCode::FAILURE
        }
    }
}
