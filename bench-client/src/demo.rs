//! `demo`: the live page in a browser, with a server of its own behind it and, if asked for, a modelled network between.

use std::process::{Command, Stdio};

use protocol::network::Network;
use server::Server;

use crate::{relay, report};

/// Show the transports live in a browser.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "demo")]
pub struct Options {
    /// Network to model between the page and the server, by name or by settings, as in a comparison
    #[arg(long, value_name = "NAME|SETTINGS", default_value = "loopback")]
    pub network: Network,
    /// Print the page's address only, and open no browser
    #[arg(long)]
    pub no_browser: bool,
    /// The server
    #[command(flatten)]
    pub server: server::Options,
}

/// Starts the server, opens the page, and serves until it is interrupted.
///
/// # Errors
/// When the server cannot be started.
pub fn demo(options: &Options) -> anyhow::Result<()> {
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
        println!("{url}\n\nThe live page is there; Ctrl-C ends it.\nLecture: {}", server.presenter_slides(&base));
        if let Some(viewers) = server.viewers() {
            println!("Viewers, who may not publish: {viewers}");
        }
        if let Some(identity) = server.tls() {
            println!("Certificate: SHA-256 {}", identity.fingerprint);
        }
        // Where there is no desktop, the line above is what there is to open.
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
