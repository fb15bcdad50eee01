//! Forwards one connection, with the relay's delay and fault.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::http::{Filter, Requests, Responses};
use super::{Conditions, Fault, ServerSide};

/// After this time without a byte in either direction, [`Fault::CutIdle`] closes a connection.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// How long a client may take to close a connection that the server has closed, and how long either may read nothing. Other clients need the
/// places of connections that have ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How fast a client reads with [`Fault::SlowReader`], and how many bytes at once.
const SLOW_BYTES_PER_SECOND: u32 = 5_000;
const SLOW_READ_BYTES: usize = 250;
/// The buffer size of one read, in bytes.
const READ_BYTES: usize = 4 << 10;
/// The most bytes under way in one direction. While there are that many, nothing more is read.
const MAX_QUEUED_BYTES: usize = 32 << 10;

/// Forwards a connection to the one that `connect` opens, until both directions have ended or the fault changes. A changed fault resets the
/// connection, as a proxy with another configuration would; only for [`Fault::HalfOpen`] it stays open, and silent.
pub async fn forward(
    mut client: TcpStream,
    connect: impl AsyncFnOnce() -> io::Result<ServerSide>,
    mut conditions: Receiver<Conditions>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let fault = conditions.borrow_and_update().fault;
    if fault != Fault::HalfOpen {
        // The round trip of TCP's handshake, which the client has already completed with the relay.
        sleep(2 * delay(&conditions)).await;
        let mut server = connect().await?;
        let changes = conditions.clone();
        let ended = tokio::select! {
            ended = both_ways(&mut client, &mut server.stream, fault, &changes) => Some(ended),
            changed = conditions.wait_for(|new| new.fault != fault) => match changed {
                Ok(new) if new.fault == Fault::HalfOpen => None,
                _ => Some(Err(io::ErrorKind::ConnectionReset.into())),
            },
        };
        match ended {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => {
                reset(client);
                reset(server.stream);
                return Err(error);
            }
            None => {
                half_open(&mut client, &mut conditions).await;
                reset(server.stream);
            }
        }
    } else {
        half_open(&mut client, &mut conditions).await;
    }
    reset(client);
    Ok(())
}

/// Forwards nothing until the fault changes, or the client closes its connection, so that its place is free for others.
async fn half_open(client: &mut TcpStream, conditions: &mut Receiver<Conditions>) {
    let left = async {
        let mut buffer = [0; READ_BYTES];
        while client.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        _ = conditions.wait_for(|new| new.fault != Fault::HalfOpen) => {}
        () = left => {}
    }
}

/// Ends a connection with a reset. Without it, bytes in the kernel's buffers would still be sent.
pub fn reset(stream: TcpStream) {
    // An error means that the connection has ended already.
    let _ = stream.set_zero_linger();
}

fn delay(conditions: &Receiver<Conditions>) -> Duration {
    conditions.borrow().delay
}

/// Forwards in both directions, until both have ended.
async fn both_ways(
    client: &mut TcpStream,
    server: &mut TcpStream,
    fault: Fault,
    conditions: &Receiver<Conditions>,
) -> io::Result<()> {
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let up = match fault {
        Fault::DropUpgrade => Filter::DropUpgrade(Requests::default()),
        _ => Filter::None,
    };
    let down = match fault {
        Fault::Buffer => Filter::Hold(Responses::default()),
        _ => Filter::None,
    };
    let pace = (fault == Fault::SlowReader).then_some(SLOW_BYTES_PER_SECOND);
    let active = Cell::new(Instant::now());
    let forwarded = async {
        let up = pin!(one_way(client_read, server_write, up, None, conditions, &active));
        let down = one_way(server_read, client_write, down, pace, conditions, &active);
        match select(up, pin!(down)).await {
            Either::Left((ended, down)) => {
                ended?;
                down.await
            }
            Either::Right((ended, up)) => {
                ended?;
                // The server has closed the connection, and the client should.
                timeout(CLOSE_TIMEOUT, up).await?
            }
        }
    };
    tokio::select! {
        ended = forwarded => ended,
        () = silence(&active), if fault == Fault::CutIdle => Ok(()),
    }
}

/// Waits until nothing has been forwarded for [`MAX_SILENCE`].
async fn silence(active: &Cell<Instant>) {
    while active.get().elapsed() < MAX_SILENCE {
        sleep_until(active.get() + MAX_SILENCE).await;
    }
}

/// Forwards in one direction. Each byte arrives after the delay at the time when it came, and not before those ahead of it. With a `pace`, in
/// bytes per second, it is written as slowly as a slow client would read it.
async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut filter: Filter,
    pace: Option<u32>,
    conditions: &Receiver<Conditions>,
    active: &Cell<Instant>,
) -> io::Result<()> {
    let mut queue: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut queued_bytes = 0;
    let mut ended = false;
    let mut buffer = [0; READ_BYTES];
    loop {
        let due = queue.front().map(|&(due, _)| due);
        if ended && due.is_none() {
            return to.shutdown().await;
        }
        tokio::select! {
            read = from.read(&mut buffer), if !ended && queued_bytes < MAX_QUEUED_BYTES => {
                let read = read?;
                ended = read == 0;
                active.set(Instant::now());
                let bytes = if ended { filter.finish() } else { filter.pass(&buffer[..read]) };
                if !bytes.is_empty() {
                    let last = queue.back().map_or(Instant::now(), |&(due, _)| due);
                    queued_bytes += bytes.len();
                    queue.push_back((last.max(Instant::now() + delay(conditions)), bytes));
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some((_, bytes)) = queue.pop_front() {
                    queued_bytes -= bytes.len();
                    for part in bytes.chunks(pace.map_or(READ_BYTES, |_| SLOW_READ_BYTES)) {
                        timeout(WRITE_TIMEOUT, to.write_all(part)).await??;
                        if let Some(pace) = pace {
                            sleep(Duration::from_secs(part.len() as u64) / pace).await;
                        }
                    }
                }
            }
        }
    }
}
