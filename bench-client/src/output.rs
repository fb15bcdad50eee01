//! `println!` for this crate: the standard one panics when whoever reads has left, as in `bench-client … | head`.

macro_rules! println {
    () => {
        server::output::line(format_args!(""))
    };
    ($($text:tt)*) => {
        server::output::line(format_args!($($text)*))
    };
}
