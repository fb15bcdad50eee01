//! Renders the lecture into self-contained pages: for each language, one with all slides, a handout without the solutions, a worksheet and
//! the instructor's guide.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use slides::{Destination, Figures};

/// Render the lecture into self-contained pages: for each language, one with the solutions of the exercises, a handout without them, a
/// worksheet and the instructor's guide. Open the slides in a browser, and press ? for the list of their keys.
#[derive(Parser)]
#[command(name = "slides", version, max_term_width = 100)]
struct Arguments {
    /// The run whose charts and figures are shown, instead of the recorded run that is built into this program
    #[arg(long, value_name = "DIR/run.json")]
    run: Option<PathBuf>,
    /// Directory to write to
    #[arg(long, value_name = "DIR", default_value = "lab-slides")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match render(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slides: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn render(Arguments { run, out }: &Arguments) -> anyhow::Result<()> {
    for file in slides::write(&Figures::read(run.as_deref())?, Destination::File, out)? {
        println!("{}", file.display());
    }
    Ok(())
}
