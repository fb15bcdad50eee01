//! Tests of the server with a real browser: the browser's interfaces, the live page, and the lecture. They are skipped where there is no
//! chromedriver.

mod driver;
mod foreign;
mod interfaces;
mod page;
mod policy;
mod slides;
