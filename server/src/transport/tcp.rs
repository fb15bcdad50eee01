//! Raw TCP: one line per event on a plain socket, without HTTP. It is the lower bound for the other transports.
//!
//! - Starts with a connection to the TCP port and the line `SUB N`; with `SUB` alone, the subscriber receives future events only.
//! - Each event is a line.
//! - Resumes with a new connection and the last sequence number received. A gap is a line: `{"gap":{"after":N,"oldest":M,"epoch":E}}`.
//! - Costs one byte per event, and an empty line as heartbeat when nothing else was sent for a while. Browsers cannot use it, and
//!   HTTP proxies do not forward it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use protocol::envelope::line;
use protocol::{Bookmark, Envelope};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::carrier::admission::Admitted;
use crate::carrier::{Refusals, Socket, Stream, reject};
use crate::fan_out::{Delivery, Dispatcher, Subscription};
use crate::feed::Encoding;
use crate::state::ServerState;

/// The longest request, in bytes: `SUB`, a space, the twenty digits of the largest cursor, a hyphen, those of the largest epoch, CR LF.
const MAX_REQUEST_BYTES: usize = 47;
/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The messages to connections that are not served.
pub const REFUSALS: Refusals =
    Refusals { full: "ERR too many connections; try again in 1 s\n", plain: "ERR this port requires TLS\n" };

/// Serves one subscriber until either side ends the connection. `_admitted` counts the connection until then.
pub async fn serve(socket: Rc<Socket>, _admitted: Admitted, state: Arc<ServerState>, dispatcher: Rc<Dispatcher>) {
    let mut stream = Stream::new(socket.clone());
    let request = tokio::select! {
        request = timeout(REQUEST_TIMEOUT, request(&mut stream)) => request,
        () = state.closing() => return,
    };
    let after = match request {
        Ok(Some(after)) => after,
        Ok(None) | Err(_) => return reject::send(stream, "ERR this port expects: SUB N\n").await,
    };
    let subscription = Subscription::new(state.feed.clone(), dispatcher, after);
    Delivery::new(subscription, socket, Encoding::plain(Envelope::Line)).run().await;
}

/// Reads the client's request. Returns the cursor to resume from, if the request has one; `None` if it is not a valid request.
async fn request(stream: &mut Stream) -> Option<Option<Bookmark>> {
    let mut buffer = [0; MAX_REQUEST_BYTES];
    let mut length = 0;
    let end = loop {
        if length == buffer.len() {
            return None;
        }
        let read = stream.read(&mut buffer[length..]).await.ok().filter(|&read| read > 0)?;
        length += read;
        if let Some((_, end)) = line::split(&buffer[..length]) {
            break end;
        }
    };
    let line = std::str::from_utf8(&buffer[..end]).ok()?;
    let after = line.trim_end_matches(['\r', '\n']).strip_prefix("SUB")?;
    if after.is_empty() { Some(None) } else { Some(Some(after.strip_prefix(' ')?.parse().ok()?)) }
}
