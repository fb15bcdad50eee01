//! Writes shared bytes to a socket in as few system calls as it takes.

use std::io::{self, IoSlice};

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// How many parts one call takes.
const MOST_PARTS: usize = 64;

/// Writes all `parts`, in order; several go together in one vectored write.
///
/// # Errors
/// Those of the socket. Some of the bytes may have been written then.
pub async fn write_all(stream: &mut (impl AsyncWrite + Unpin), parts: &[Bytes]) -> io::Result<()> {
    if let [part] = parts {
        return stream.write_all(part).await;
    }
    for parts in parts.chunks(MOST_PARTS) {
        let mut slices = [IoSlice::new(&[]); MOST_PARTS];
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
        }
        let mut left = &mut slices[..parts.len()];
        while !left.is_empty() {
            let written = stream.write_vectored(left).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, written);
        }
    }
    Ok(())
}
