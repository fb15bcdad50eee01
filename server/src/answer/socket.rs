//! `GET /answer/ws`: a WebSocket on which the client asks one question after another, and receives the tokens of each answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use protocol::Envelope;
use protocol::answer::Question;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{Answer, Refusal, ask as begin, subscribe};
use crate::carrier::{WebSocket, closing};
use crate::fan_out::{Delivery, Due};
use crate::feed::Encoding;
use crate::state::ServerState;

/// The longest reason of a close frame in characters: at most 120 of the 123 bytes that RFC 6455 allows (section 5.5).
const MAX_REASON_CHARS: usize = 30;

/// Answers questions until the client ends the connection, sends something else, or asks nothing for too long.
pub async fn session(mut socket: WebSocket, state: Arc<ServerState>) {
    let Ok(address) = socket.get_ref().socket().peer() else { return };
    loop {
        let asked = tokio::select! {
            asked = timeout(state.idle_timeout, ask(&mut socket)) => asked,
            () = state.closing() => return closing::shut_down(&mut socket).await,
        };
        let question = match asked {
            Ok(Some(Ok(question))) => question,
            Ok(Some(Err(fault))) => return refuse(&mut socket, CloseCode::Policy, fault).await,
            Ok(None) => return,
            Err(_) => return refuse(&mut socket, CloseCode::Away, "no question came for a while".into()).await,
        };
        let answer = match begin(question, address, Duration::ZERO, &state) {
            Ok(answer) => answer,
            Err(Refusal::Full) => return refuse(&mut socket, CloseCode::Again, "too many answers".into()).await,
            Err(Refusal::NoId) => return refuse(&mut socket, CloseCode::Error, "no random numbers".into()).await,
        };
        if !tell(&mut socket, &answer).await {
            return;
        }
    }
}

/// Receives the next question; the fault of a message that is none; `None` at the end.
async fn ask(socket: &mut WebSocket) -> Option<Result<Question, String>> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => return Some(Question::parse(text.as_bytes())),
            Ok(Message::Binary(_)) => return Some(Err("a question must be text".into())),
            Ok(Message::Close(_)) => {
                closing::finish(socket).await;
                return None;
            }
            Ok(_) => {}
            Err(error) => {
                closing::close_for(socket, &error).await;
                return None;
            }
        }
    }
}

/// Sends the events of an answer; returns whether the connection is still open then.
async fn tell(socket: &mut WebSocket, answer: &Arc<Answer>) -> bool {
    let _attached = answer.attach();
    // Frames may have been received together with the question.
    if !read(socket).await {
        return false;
    }
    let writer = socket.get_ref().socket().clone();
    let mut delivery = Delivery::new(subscribe(answer), writer, Encoding::plain(Envelope::WebSocket));
    loop {
        match poll_fn(|context| delivery.poll(context)).await {
            Ok(Due::Input) => {
                if !read(socket).await {
                    return false;
                }
            }
            // There is at least a token every second.
            Ok(Due::Heartbeat) => {}
            Ok(Due::End) => return true,
            Ok(Due::Gap(_)) | Err(_) => return false,
        }
    }
}

/// Reads everything that came during an answer: nothing but pings and the client's end may come. Returns whether the connection is still open.
async fn read(socket: &mut WebSocket) -> bool {
    loop {
        match poll_fn(|context| Poll::Ready(socket.poll_next_unpin(context))).await {
            // A pong must be written completely before events are written to the socket again.
            Poll::Pending => return socket.flush().await.is_ok(),
            Poll::Ready(None) => return false,
            Poll::Ready(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Poll::Ready(Some(Ok(Message::Close(_)))) => {
                closing::finish(socket).await;
                return false;
            }
            Poll::Ready(Some(Ok(_))) => {
                refuse(socket, CloseCode::Policy, "the last answer has not ended".into()).await;
                return false;
            }
            Poll::Ready(Some(Err(error))) => {
                closing::close_for(socket, &error).await;
                return false;
            }
        }
    }
}

async fn refuse(socket: &mut WebSocket, code: CloseCode, reason: String) {
    let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
    closing::close(socket, code.into(), reason).await;
}
