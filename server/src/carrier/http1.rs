//! An HTTP/1.1 connection, after the poll loop has left it: hyper serves it, and then the session of an endless response or an upgrade.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::spawn_local;
use tracing::{Instrument, debug};

use super::admission::Admitted;
use super::socket::{Socket, Stream};
use crate::api::response::Body;
use crate::api::{query, respond};
use crate::fan_out::Dispatcher;
use crate::state::ServerState;

/// Serves a connection with hyper; `early` are the bytes that were already read from it.
pub async fn serve(
    early: Bytes,
    socket: Rc<Socket>,
    admitted: Admitted,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
) {
    let session = RefCell::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        state.counters.request();
        socket.trace.response(query::lane(request.uri().query()));
        let bodiless = request.method() == Method::HEAD;
        let (state, dispatcher, socket, session) = (state.clone(), dispatcher.clone(), socket.clone(), &session);
        async move {
            let mut response = respond(request, state, dispatcher, socket.clone()).await;
            if let Body::Continued(continued) = response.body_mut()
                && !bodiless
            {
                *session.borrow_mut() = continued.take();
                socket.mark_unflushed();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // A client that has ended its side still gets its response. The session of a stream notices by itself that the client disconnects.
        .half_close(true)
        // hyper counts the pause between two requests as a part of this time.
        .header_read_timeout(state.idle_timeout)
        .serve_connection(TokioIo::new(Stream::with_requests(early, socket.clone())), service);
    let mut closing = pin!(state.closing());
    let mut closes = false;
    let continued = poll_fn(|context| {
        if !closes && closing.as_mut().poll(context).is_ready() {
            closes = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        // An error means that the peer violated HTTP or disconnected; hyper has sent the response, if there was one to send.
        let done = Pin::new(&mut connection).poll(context).map(drop);
        match session.borrow_mut().take_if(|_| !socket.is_unflushed()) {
            Some(session) => Poll::Ready(Some(session)),
            None => done.map(|()| None),
        }
    });
    if let Some(session) = continued.await {
        let parts = connection.into_parts();
        let mut early = parts.read_buf.to_vec();
        early.extend_from_slice(&parts.io.into_inner().into_early());
        // A new task, which is no larger than the session needs.
        let session = async move {
            session(early).await;
            debug!("the subscription ended");
            drop(admitted);
        };
        spawn_local(session.in_current_span());
    }
}
