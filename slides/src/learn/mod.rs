//! The story: eight scenes that a reader scrolls through alone. Each has one idea, a prediction, and what was measured.
//!
//! `measured.rs` selects what it shows of a run, `scenes.rs` derives predictions and figures from that, `picture.rs` draws it, and `pages.rs`
//! writes the pages. The texts are in `text/`, one file per language. The script of the page, in `page/`, hides each measurement until the
//! reader has predicted it. `site.rs` writes all of it as files.

mod measured;
mod pages;
mod picture;
mod scenes;
mod site;
mod texts;

pub use self::pages::{File, files};
pub use self::site::export;
