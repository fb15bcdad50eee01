//! The subcommands that are not experiments: their options, and what they print.

pub mod compare;
pub mod demo;
