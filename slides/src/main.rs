//! Renders the lecture into self-contained pages: for each language, one with all slides, and a handout without the solutions.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use slides::{Destination, EDITIONS, Figures, LANGUAGES};

/// Render the lecture into self-contained pages: for each language, one with the solutions of the exercises, and a handout without them.
/// Open a page in a browser, and press ? for the list of its keys.
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
    let figures = match run {
        Some(file) => Figures::of(&reports::read(file)?)?,
        None => Figures::recorded()?,
    };
    reports::prepare(out)?;
    fs::create_dir_all(out).with_context(|| format!("cannot make the directory {}", out.display()))?;
    for language in &LANGUAGES {
        for edition in EDITIONS {
            let page = slides::render(language, &figures, Destination::File, edition)?;
            let file = out.join(format!("{}.html", edition.file_name(language.code)));
            fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
            println!("{}", file.display());
        }
    }
    Ok(())
}
