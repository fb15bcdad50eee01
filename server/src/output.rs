//! Lines on standard output and standard error, whose reader may close them at any time (`… | head`). The standard macros
//! panic then.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::exit;

/// Prints a line on standard output. Where nobody reads that any more, what the program has to say is said: the process ends, as
/// one that has succeeded.
pub fn line(text: Arguments<'_>) {
    match writeln!(stdout().lock(), "{text}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(0),
        Err(error) => {
            complain(format_args!("cannot print: {error}"));
            exit(1);
        }
    }
}

/// Prints a line on standard error, if anybody reads that.
pub fn complain(text: Arguments<'_>) {
    // There is nowhere to tell of an error.
    let _ = writeln!(stderr().lock(), "{text}");
}
