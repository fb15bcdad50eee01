//! An HTTP/1.1 connection. The poll loop serves it first, without hyper; then hyper; and then the session of an endless response or an
//! upgrade.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::ORIGIN;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::spawn_local;
use tracing::{Instrument, Level, debug, enabled};

use super::admission::{Admitted, Refusals};
use super::poll_loop;
use super::socket::{Socket, Stream};
use crate::api::response::{self, Body};
use crate::api::{query, respond};
use crate::fan_out::Dispatcher;
use crate::state::ServerState;

/// The responses to connections that are not served.
pub const REFUSALS: Refusals = Refusals {
    full: "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
        X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
        Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\n\r\ntoo many connections\n",
    plain: "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
        X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
        Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Length: 38\r\n\r\nthis port requires TLS: use https://\r\n",
};

/// Serves one connection until either side ends it, or closes it gracefully when the server shuts down.
pub async fn serve(socket: Rc<Socket>, admitted: Admitted, state: Arc<ServerState>, dispatcher: Rc<Dispatcher>) {
    if let Some(early) = poll_loop::serve(&socket, &state, &dispatcher).await {
        // A new task, so that the task of a connection that only polls stays small.
        spawn_local(serve_with_hyper(early, socket, admitted, state, dispatcher).in_current_span());
    }
}

/// Serves a connection with hyper; `early` are the bytes that were already read from it.
async fn serve_with_hyper(
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
        // A browser sends `Origin` for a page of another origin. That page may read the response only if a header of it allows that.
        let foreign = request.headers().contains_key(ORIGIN) && request.method() != Method::POST;
        let bodiless = request.method() == Method::HEAD;
        let (state, dispatcher, socket, session) = (state.clone(), dispatcher.clone(), socket.clone(), &session);
        async move {
            let logged = enabled!(Level::DEBUG).then(|| (request.method().clone(), request.uri().path().to_string()));
            let mut response = respond(request, state, dispatcher, socket.clone()).await;
            if let Some((method, path)) = logged {
                debug!(%method, path, status = response.status().as_u16(), "request");
            }
            if let Body::Continued(continued) = response.body_mut()
                && !bodiless
            {
                *session.borrow_mut() = continued.take();
                socket.mark_unflushed();
            }
            Ok::<_, Infallible>(if foreign { response::for_any_origin(response) } else { response })
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
