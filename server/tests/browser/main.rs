//! A real browser against the server: its interfaces, the live page, and the lecture; skipped where there is no Chromium.

mod driver;
mod foreign;
mod interfaces;
mod page;
mod policy;
mod slides;
