//! Runs the server as a program: starts it, prints its URLs, and shuts it down when it is asked to.

use std::io::Write;

use anyhow::{Context, bail};
use protocol::platform::StopSignals;

use crate::{Options, Server, limits};

/// Runs the server until a signal asks this process to end, or `ended` resolves.
///
/// The first two lines on stdout are the URLs of the two ports, for a program that started this one. A list of endpoints for users follows.
///
/// # Errors
/// When the server cannot be started, or its shared feed cannot be continued.
pub fn run(options: &Options, ended: impl Future<Output = ()>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    // Before the URLs are printed, so that a signal that comes right after that is handled.
    let mut signals = StopSignals::new().context("cannot listen for signals")?;
    limits::raise_open_files();
    let server = Server::start(options)?;
    let addresses = server.addresses();
    let url = server.url();
    let (page, slides) = (server.presenter_page(&url, ""), server.presenter_slides(&url));
    let mut text = server.index() + &format!("\nlive page      {page}\nlecture        {slides}\n");
    if let Some(viewers) = server.viewers() {
        text += &format!("for viewers    {viewers}\n");
    }
    if let Some(identity) = server.tls() {
        text += &format!("certificate    SHA-256 {}\n", identity.fingerprint);
    }
    if server.max_connections() < options.max_connections {
        let count = server.max_connections();
        text += &format!("connections    at most {count}: the limit on open files leaves no room for more\n");
    }
    // An error means that the pipe was closed; the server runs without it.
    let _ = write!(
        std::io::stdout(),
        "{}://{}\n{}\n\n{text}",
        addresses.http_scheme(),
        addresses.http,
        addresses.tcp_url()
    );
    let failure = runtime.block_on(async {
        tokio::select! {
            () = signals.receive() => None,
            () = ended => None,
            failure = server.failure() => Some(failure),
        }
    });
    server.shutdown();
    match failure {
        Some(failure) => bail!(failure),
        None => Ok(()),
    }
}
