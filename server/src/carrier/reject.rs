//! Rejects a connection that is not served: sends the reason and closes it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long the peer may take to read the reason.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Sends `reason` and closes the connection.
pub async fn send(mut stream: impl AsyncRead + AsyncWrite + Unpin, reason: &str) {
    let sent = async {
        stream.write_all(reason.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing a socket with unread bytes resets the connection, and the peer may lose the reason.
        let mut ignored = [0; 512];
        while stream.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    };
    // An error means that the peer has disconnected.
    let _ = tokio::time::timeout(TIMEOUT, sent).await;
}
