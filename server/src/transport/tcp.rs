//! Raw TCP: a line an event on a bare socket: the floor that the others are held against, with HTTP left out.
//!
//! - Initiated by connecting to the TCP port and sending `SUB N` and a line feed; `SUB` alone starts at the head.
//! - Framed as lines.
//! - Resumed by a new connection with the last seq received. A gap is a line: `{"gap":{"after":N,"oldest":M,"epoch":E}}`.
//! - Costs one byte an event and a connection, and an empty line as heartbeat when nothing else was sent for a while; no browser speaks it, and no proxy knows what it means.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::Bookmark;
use protocol::framing::line;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::admission::Refusals;
use crate::delivery::{Delivery, Due};
use crate::farewell;
use crate::feed::Framing;
use crate::site::Site;
use crate::socket::{Socket, Stream};
use crate::subscription::Subscription;

/// `SUB`, a space, the twenty digits of the largest cursor, a hyphen, those of the largest epoch, CR LF.
const LONGEST_REQUEST: usize = 47;
/// How long a client may take to send its one line.
const PATIENCE: Duration = Duration::from_secs(10);

/// What those are told who are not served.
pub const REFUSALS: Refusals =
    Refusals { full: "ERR too many connections; try again in 1 s\n", plain: "ERR this port speaks TLS\n" };

/// Serves one subscriber until either side ends it.
pub async fn session(socket: Arc<Socket>, subscribe: impl FnOnce(Option<Bookmark>) -> Subscription, site: Arc<Site>) {
    let mut stream = Stream::new(socket.clone());
    let asked = tokio::select! {
        asked = timeout(PATIENCE, request(&mut stream)) => asked,
        () = site.closing() => return,
    };
    let after = match asked {
        Ok(Some(after)) => after,
        Ok(None) | Err(_) => {
            return farewell::tell(stream, "ERR this port takes: SUB N\n").await;
        }
    };
    Delivery::new(subscribe(after), socket, Framing::Line).run(say).await;
}

fn say(due: Due) -> Option<Bytes> {
    match due {
        Due::Gap(gap) => Some(line::frame(&gap.encode()).into()),
        Due::Heartbeat => Some(Bytes::from_static(line::HEARTBEAT)),
        Due::End | Due::Input => None,
    }
}

/// Reads the one line that a client sends; `None` when it is not one we know.
async fn request(stream: &mut Stream) -> Option<Option<Bookmark>> {
    let mut buffer = [0; LONGEST_REQUEST];
    let mut length = 0;
    let end = loop {
        if length == buffer.len() {
            return None;
        }
        let read = stream.read(&mut buffer[length..]).await.ok().filter(|&read| read > 0)?;
        length += read;
        if let Some((_, taken)) = line::split(&buffer[..length]) {
            break taken;
        }
    };
    let line = std::str::from_utf8(&buffer[..end]).ok()?;
    let after = line.trim_end_matches(['\r', '\n']).strip_prefix("SUB")?;
    if after.is_empty() { Some(None) } else { Some(Some(after.strip_prefix(' ')?.parse().ok()?)) }
}

#[cfg(test)]
mod tests {
    use protocol::{Cursor, Epoch, Gap};

    use super::*;

    #[test]
    fn a_quiet_subscriber_gets_an_empty_line_and_a_gap_is_a_line_too() {
        assert_eq!(say(Due::Heartbeat).as_deref(), Some(&b"\n"[..]));
        let gap = Gap { after: Cursor(1), oldest: 5, epoch: Epoch(17) };
        let line = b"{\"gap\":{\"after\":1,\"oldest\":5,\"epoch\":17}}\n";
        assert_eq!(say(Due::Gap(gap)).as_deref(), Some(&line[..]));
    }
}
