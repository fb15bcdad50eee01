//! Generates a report again from its `run.json`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use protocol::run::Run;

/// Generate every file of a report again, byte for byte, from the result of its run.
#[derive(Parser)]
#[command(name = "reports", version, max_term_width = 100)]
struct Arguments {
    /// The result of a run
    #[arg(value_name = "DIR/run.json", required_unless_present = "schema")]
    run: Option<PathBuf>,
    /// Print the JSON schema of such a result instead
    #[arg(long, conflicts_with_all = ["run", "out"])]
    schema: bool,
    /// Directory for the files, instead of the one that contains the result
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { run, schema: _, out } = Arguments::parse();
    let Some(file) = run else {
        print!("{}", Run::schema());
        return ExitCode::SUCCESS;
    };
    match reports::redraw(&file, out.as_deref()) {
        Ok(page) => {
            println!("{}", page.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("reports: {error:#}");
            ExitCode::FAILURE
        }
    }
}
