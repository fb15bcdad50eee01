//! A real browser against the server: its interfaces, and the live page; skipped where there is no Chromium.

mod driver;
mod interfaces;
mod page;
