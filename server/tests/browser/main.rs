//! Tests of the server with a real browser: subscribing by the browser's APIs, the live page, the content security policy, the lecture's
//! slides, and the story. Without chromedriver they are skipped; with `CI=true` in the environment they then fail.

mod colours;
mod contrast;
mod driver;
mod foreign;
mod hall;
mod interfaces;
mod learn;
mod page;
mod policy;
mod scene;
mod slides;
mod webtransport;
