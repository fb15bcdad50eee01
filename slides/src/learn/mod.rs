//! The story: eight scenes that a reader scrolls through alone. Each has one idea, a prediction, and what was measured.
//!
//! [`measured`] selects what it shows of a run, [`scenes`] derives predictions and figures from that, [`picture`] draws it, and [`pages`]
//! writes the pages. The texts are in `text/`, one file per language. The script of the page, in `page/`, hides each measurement until the
//! reader has predicted it. [`site`] writes all of it as files.

mod measured;
mod pages;
mod picture;
mod scenes;
mod site;
mod texts;

pub use self::pages::{File, files, page_name};
pub use self::site::export;
