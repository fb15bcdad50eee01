//! A last word to a connection that is not served.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long who is told may take to hear it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells a peer, in `words`, why it is not served, and ends the connection.
pub async fn tell(mut stream: impl AsyncRead + AsyncWrite + Unpin, words: &str) {
    let told = async {
        stream.write_all(words.as_bytes()).await?;
        stream.shutdown().await?;
        // What is unread when a socket is closed resets the connection, and the words may be lost.
        let mut ignored = [0; 512];
        while stream.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    };
    // An error is a peer that does not care.
    let _ = tokio::time::timeout(PATIENCE, told).await;
}
