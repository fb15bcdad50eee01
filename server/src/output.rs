//! Writes lines to standard output and standard error. Unlike `println!` and `eprintln!`, these functions do not panic if the reader of a
//! pipe has closed it (`… | head`).

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::exit;

/// Prints a line on standard output. If its reader has closed it, the process exits successfully, since no more output is wanted.
pub fn line(text: Arguments<'_>) {
    match writeln!(stdout().lock(), "{text}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(0),
        Err(error) => {
            error_line(format_args!("cannot write to standard output: {error}"));
            exit(1);
        }
    }
}

/// Prints a line on standard error; does nothing if that is closed.
pub fn error_line(text: Arguments<'_>) {
    // An error cannot be reported anywhere.
    let _ = writeln!(stderr().lock(), "{text}");
}
