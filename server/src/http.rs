//! HTTP: each connection's loop, and the one match that says which path leads where.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HOST, ORIGIN, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::framing::line;
use protocol::status::{Published, Time};
use protocol::{Cursor, clock};

use crate::admission::{Admitted, Refusals};
use crate::answer::{self, Answer, Body, Polled};
use crate::budget::Reservation;
use crate::control;
use crate::echo;
use crate::fan_out::WakeList;
use crate::feed::{Entry, Feed};
use crate::host;
use crate::index;
use crate::lecture;
use crate::load;
use crate::options::LARGEST_PAYLOAD;
use crate::origin;
use crate::page;
use crate::presenter::{Credentials, Presenter};
use crate::publish;
use crate::query::{self, Query};
use crate::site::Site;
use crate::socket::{Socket, Stream};
use crate::subscription::Subscription;
use crate::transport::{LARGEST_BATCH, long_polling, ndjson, polling, sse, websocket};
use crate::{polls, upgrade, viewers, watching};

/// What those are told who are not served.
pub const REFUSALS: Refusals = Refusals {
    full: "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
        X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
        Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\n\r\ntoo many connections\n",
    plain: "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
        X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
        Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Length: 36\r\n\r\nthis port speaks TLS: use https://\r\n",
};

/// Serves one connection until either side ends it, or gracefully once the server is closing.
pub async fn serve(socket: Arc<Socket>, admitted: Admitted, site: Arc<Site>, wake_list: Arc<WakeList>) {
    if let Some(early) = polls::serve(&socket, &site, &wake_list).await {
        // A task of its own, so that who only polls has none as large.
        tokio::spawn(speak(early, socket, admitted, site, wake_list));
    }
}

/// Has hyper serve a connection of which `early` was read already.
async fn speak(early: Bytes, socket: Arc<Socket>, admitted: Admitted, site: Arc<Site>, wake_list: Arc<WakeList>) {
    let session = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        site.counters.request();
        socket.trace_answer(query::lane(request.uri().query()));
        // Browsers name the origin when a page of another one asks, and only then want to be told that it may read.
        let foreign = request.headers().contains_key(ORIGIN) && request.method() != Method::POST;
        let bodiless = request.method() == Method::HEAD;
        let (site, wake_list, socket, session) = (site.clone(), wake_list.clone(), socket.clone(), &session);
        async move {
            let mut answer = route(request, site, wake_list, socket.clone()).await;
            if let Body::Continued(continued) = answer.body_mut()
                && !bodiless
            {
                *session.lock().expect("no holder panics") = continued.take();
                socket.hold();
            }
            Ok::<_, Infallible>(if foreign { answer::for_any_origin(answer) } else { answer })
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who has ended its side still gets its answer; that a stream's subscriber has left is seen by its session.
        .half_close(true)
        // hyper counts the pause between two requests as time taken to send the head.
        .header_read_timeout(site.idle_timeout)
        .serve_connection(TokioIo::new(Stream::with_requests(early, socket.clone())), service);
    let mut closing = pin!(site.closing());
    let mut closes = false;
    let continued = poll_fn(|context| {
        if !closes && closing.as_mut().poll(context).is_ready() {
            closes = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        // An error is a peer that broke HTTP or left; hyper has answered what could be answered.
        let done = Pin::new(&mut connection).poll(context).map(drop);
        match session.lock().expect("no holder panics").take_if(|_| !socket.is_held()) {
            Some(session) => Poll::Ready(Some(session)),
            None => done.map(|()| None),
        }
    });
    if let Some(session) = continued.await {
        let parts = connection.into_parts();
        let mut early = parts.read_buf.to_vec();
        early.extend_from_slice(&parts.io.into_inner().into_early());
        // A task of its own, as small as the session needs it.
        tokio::spawn(async move {
            session(early).await;
            drop(admitted);
        });
    }
}

/// What is asked for, and in which ways it may be asked.
async fn route(request: Request<Incoming>, site: Arc<Site>, wake_list: Arc<WakeList>, socket: Arc<Socket>) -> Answer {
    // HTTP/1.1 demands it (RFC 9112, section 3.2), hyper does not look, and who may publish depends on it.
    if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1 {
        return answer::bad_request("a request names its Host once");
    }
    // A target in absolute form names the host once more (RFC 9112, section 3.2.2).
    let named = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let mut hosts = request.headers().get(HOST).map(|host| host.as_bytes()).into_iter().chain(named);
    match hosts.try_for_each(|host| host::check(host, &site.hosts)) {
        Ok(()) => {}
        Err(host::Fault::Malformed) => return answer::bad_request("Host names a host, and maybe a port"),
        Err(host::Fault::Foreign) => {
            let text = "this server does not go by that name; --host NAME gives it one\n";
            return answer::text(StatusCode::MISDIRECTED_REQUEST, text);
        }
    }
    let path = request.uri().path();
    // In which ways a path may be asked, and with which parameters.
    let (allow, known): (_, &[&str]) = match path {
        "/poll" => ("GET, HEAD", polling::PARAMETERS),
        "/long-poll" => ("GET, HEAD", long_polling::PARAMETERS),
        "/stream" | "/sse" => ("GET, HEAD", &["after", "lane"]),
        "/ws" => ("GET", &["after", "lane"]),
        "/published" => ("GET, HEAD", &["after"]),
        "/echo" => ("GET", &[]),
        "/publish" => ("POST", &["lane"]),
        "/control" => ("POST", &[]),
        "/watch" => ("GET", &["session"]),
        // A page's own parameters are the page's to read.
        "/presenter" if matches!(*request.method(), Method::GET | Method::HEAD) => return page::presenter(),
        "/presenter" => ("GET, HEAD, POST", &[]),
        "/" if request.method() == Method::GET && page::is_wanted(request.headers()) => return page::index(),
        path if lecture::is_there(path) && matches!(*request.method(), Method::GET | Method::HEAD) => {
            return match is_presenter(&request, &site).await {
                Ok(presenter) => lecture::answer(path, request.uri().query(), request.headers(), presenter).await,
                Err(refusal) => *refusal,
            };
        }
        path if path.starts_with("/page/") || lecture::is_there(path) => ("GET, HEAD", &[]),
        "/" | "/time" | "/load" | "/metrics" | "/viewers" | "/healthz" => ("GET, HEAD", &[]),
        _ => return answer::text(StatusCode::NOT_FOUND, "nothing here; the index is at /\n"),
    };
    // hyper sends the head of an answer to HEAD and leaves the body out.
    if !allow.split(", ").any(|method| method == request.method().as_str()) {
        return answer::wrong_method(allow);
    }
    let query = match Query::parse(request.uri().query(), known) {
        Ok(query) => query,
        Err(fault) => return answer::bad_request(fault),
    };
    let feed = &site.feed;
    let refused = |why| answer::text(StatusCode::FORBIDDEN, why);
    let opens = matches!(path, "/ws" | "/watch");
    let writes = matches!(path, "/publish" | "/control" | "/presenter");
    if opens || writes {
        match origin::may_publish(request.headers(), site.addresses.http_scheme(), &site.origins) {
            true => {}
            false if opens => return refused("only pages of this server may open this WebSocket\n"),
            false => return refused("only pages of this server may publish\n"),
        }
    }
    let may_publish = match opens || writes {
        true => match is_presenter(&request, &site).await {
            Ok(presenter) => presenter,
            Err(refusal) => return *refusal,
        },
        false => false,
    };
    let subscribe = |after| Subscription::new(feed.clone(), wake_list.clone(), after);
    match path {
        "/poll" => polling::answer(feed, query).unwrap_or_else(answer::gap),
        "/long-poll" => long_polling::answer(feed, wake_list, &socket, query).await.unwrap_or_else(answer::gap),
        "/stream" => ndjson::answer(subscribe(query.after), socket, request.version()),
        "/sse" => match sse::place(request.headers(), query.after) {
            Ok(after) => sse::answer(subscribe(after), socket, request.version()),
            Err(fault) => answer::bad_request(fault),
        },
        _ if writes && !may_publish => refused("this takes the presenter's token\n"),
        "/presenter" => site.presenter.as_ref().map_or(answer::empty(StatusCode::NO_CONTENT), Presenter::welcome),
        "/ws" => {
            let subscription = subscribe(query.after);
            let feed = feed.clone();
            upgrade::upgrade(&request, socket, LARGEST_PAYLOAD, None, async move |socket| {
                websocket::session(socket, &feed, subscription, may_publish).await;
            })
        }
        "/echo" => {
            let (site, reservation) = (site.clone(), Reservation::new(site.echoes.clone()));
            upgrade::upgrade(&request, socket, echo::MAX_MESSAGE, Some(reservation), async move |socket| {
                echo::session(socket, site).await;
            })
        }
        "/publish" => publish::publish(request, feed).await,
        "/control" => match publish::body(request).await {
            Ok(body) => control::control(&body, &site),
            Err(refusal) => *refusal,
        },
        "/watch" => {
            let Some(session) = query.session else {
                return answer::bad_request("session: the page's own word for it");
            };
            let Ok(address) = socket.peer() else { return answer::bad_request("the connection is gone") };
            let Some(watcher) = site.taps.watch(&session, address, may_publish) else {
                // A page that was refused asks once more without an upgrade, to learn why: that is no second refusal.
                if request.headers().contains_key(UPGRADE) {
                    site.counters.watch_refused();
                }
                return answer::text(StatusCode::CONFLICT, "this session is watched already, or too many are\n");
            };
            let (subscription, plan) = (subscribe(None), site.plan.subscribe());
            let closing = site.closing();
            upgrade::upgrade(&request, socket, watching::LARGEST, None, async move |socket| {
                watching::session(socket, watcher, subscription, plan, may_publish, closing).await;
            })
        }
        path if path.starts_with("/page/") => page::file(&path["/page/".len()..]),
        "/time" => answer::json(StatusCode::OK, &Time { now_ns: clock::now_ns() }),
        "/load" => answer::json(StatusCode::OK, &site.load().await),
        "/metrics" => answer::metrics(load::metrics(&site.load().await)),
        "/published" => published(feed, query).unwrap_or_else(answer::gap),
        "/viewers" => answer::json(StatusCode::OK, &viewers::viewers(&site.addresses)),
        "/healthz" => answer::text(StatusCode::OK, "ok\n"),
        _ => answer::text(
            StatusCode::OK,
            index::text(&site.addresses, site.is_self_signed(), site.presenter.as_ref().map(|_| "TOKEN")),
        ),
    }
}

/// Whether the request is the presenter's, as every request is where no token is needed; or the refusal of a wrong token.
async fn is_presenter(request: &Request<Incoming>, site: &Site) -> Result<bool, Box<Answer>> {
    let Some(presenter) = &site.presenter else { return Ok(true) };
    match presenter.credentials(request.headers()) {
        Credentials::Presenter => Ok(true),
        Credentials::Viewer => Ok(false),
        Credentials::Wrong => {
            site.counters.token_refused();
            Err(Box::new(presenter.refuse().await))
        }
    }
}

/// When the events after the cursor were due, and when they entered the feed, a line each.
fn published(feed: &Feed, query: Query) -> Polled {
    let after = feed.place(Some(query.after.unwrap_or(Cursor(0).into())))?;
    let times = |event: Arc<Entry>| {
        let times = Published { seq: event.seq, at: event.at, entered: event.entered };
        line::frame(&serde_json::to_vec(&times).expect("three numbers")).into()
    };
    Ok(answer::lines(feed.since(after, LARGEST_BATCH)?.into_iter().map(times).collect()))
}
