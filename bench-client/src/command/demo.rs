//! `demo`: starts a server and opens its live page in a browser, with a modelled network between them if one is given.

use std::process::{Command, Stdio};

use anyhow::ensure;
use protocol::network::Network;
use server::Server;

use crate::report;
use crate::test_bed::relay;

/// Show the transports live in a browser.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "demo")]
pub struct Options {
    /// Network to model between the page and the server, as in a comparison
    #[arg(long, value_name = "NAME|SETTINGS", default_value = "loopback")]
    pub network: Network,
    /// Print the address of the page, but do not open a browser
    #[arg(long)]
    pub no_browser: bool,
    /// The server
    #[command(flatten)]
    pub server: server::Options,
}

/// Starts the server, opens the page, and serves until Ctrl-C.
///
/// # Errors
/// When the server cannot be started.
pub fn demo(options: &Options) -> anyhow::Result<()> {
    ensure!(!options.network.loses_packets(), "the page's network has no packets to lose; leave out loss and queue");
    server::limits::raise_open_files();
    let server = Server::start(&options.server)?;
    report::block_on(async {
        let (mut base, mut query) = (server.url(), String::new());
        if options.network.is_modelled() {
            let relay = relay::start(options.network, server.addresses().http).await?;
            base = format!("{}://{relay}", server.addresses().http_scheme());
            query = format!("?network={}", options.network);
        }
        let url = server.presenter_page(&base, &query);
        println!(
            "{url}\n\nThis is the live page. Press Ctrl-C to stop the server.\nSlides: {}\nTo read alone: {base}/learn",
            server.presenter_slides(&base)
        );
        if let Some(viewers) = server.viewers() {
            println!("For viewers, who cannot publish: {viewers}");
        }
        if let Some(identity) = server.tls() {
            println!("Certificate: SHA-256 {}", identity.fingerprint);
        }
        // Without a desktop, this fails; the address is printed above.
        if !options.no_browser {
            let quiet = || Stdio::null();
            let _ = Command::new("xdg-open").arg(&url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
        }
        tokio::signal::ctrl_c().await?;
        Ok(())
    })?;
    server.shutdown();
    Ok(())
}
