//! Lines on standard output and standard error in place of the standard macros, which panic where nobody reads them (`… | head`).

/// Prints a line on standard output; where nobody reads that any more, the program ends quietly.
macro_rules! println {
    ($($text:tt)*) => { server::output::line(format_args!($($text)*)) };
}

/// Prints a line on standard error, if anybody reads that.
macro_rules! eprintln {
    ($($text:tt)*) => { server::output::complain(format_args!($($text)*)) };
}
