//! Replacements for the standard macros that print lines, which panic when the reader has closed the pipe (`… | head`).

/// Prints a line on standard output. If the reader has closed it, the program exits successfully, without a message.
macro_rules! println {
    ($($text:tt)*) => { server::output::line(format_args!($($text)*)) };
}

/// Prints a line on standard error. If the reader has closed it, the line is lost.
macro_rules! eprintln {
    ($($text:tt)*) => { server::output::error_line(format_args!($($text)*)) };
}
