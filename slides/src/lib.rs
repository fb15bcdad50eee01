//! The lecture, a deck in Markdown for each language, rendered into one self-contained page; and [`learn`], a story to scroll through alone.
//!
//! [`deck`] contains the Markdown and divides it into slides. [`markdown`] renders a slide and inserts what the slide refers to: charts,
//! lanes, a table and verdicts of a recorded run ([`figures`]), code of this project ([`source`]), and live lanes. A lane shows the
//! messages of one subscription over time; a live lane is a subscription of the browser itself. The player, the script that shows one
//! slide at a time, is in `player/`.

mod chart;
pub mod deck;
mod destination;
pub mod dictionary;
pub mod figures;
mod korean;
pub mod language;
pub mod learn;
mod lecture;
pub mod markdown;
pub mod palette;
pub mod paper;
pub mod parts;
pub mod source;
mod waiting;

pub use crate::destination::Destination;
pub use crate::figures::{Figures, recorded};
pub use crate::language::{LANGUAGES, Language};
pub use crate::lecture::{EDITIONS, Edition, render, write};
