//! Responds to one HTTP request: checks the host, the method, the parameters and the rights, and calls the endpoint.

use std::rc::Rc;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::header::{HOST, HeaderMap, ORIGIN, UPGRADE};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode, Version};
use protocol::envelope::line;
use protocol::status::{Published, Time};
use protocol::transport::{BrowserApi, Exchange, Row};
use protocol::{Cursor, Envelope, Transport, clock};
use serde::Serialize;
use tracing::{Level, debug, enabled};

use super::hall::{self, Part};
use super::presenter::{Credentials, Presenter};
use super::query::Query;
use super::response::{self, Polled, Response};
use super::routes::{self, Endpoint};
use super::{answer, control, echo, host, index, learn, lecture, load, mcp, origin, page, publish, viewers};
use crate::budget::Reservation;
use crate::carrier::{self, Compression, Socket};
use crate::fan_out::{Dispatcher, Subscription};
use crate::feed::{Entry, Feed};
use crate::options::MAX_PAYLOAD_BYTES;
use crate::state::ServerState;
use crate::trace;
use crate::transport::{MAX_BATCH_BYTES, long_polling, polling, socket_io, sockjs, stomp, stream, websocket};

/// Responds to a request that came over `socket`.
pub async fn respond(
    request: Request<Incoming>,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    socket: Rc<Socket>,
) -> Response {
    // A browser sends `Origin` for a page of another origin. That page may read the response only if a header of it allows that.
    let foreign = request.headers().contains_key(ORIGIN) && request.method() != Method::POST;
    let logged = enabled!(Level::DEBUG).then(|| (request.method().clone(), request.uri().path().to_string()));
    let response = route(request, state, dispatcher, socket).await;
    if let Some((method, path)) = logged {
        debug!(%method, path, status = response.status().as_u16(), "request");
    }
    if foreign { response::for_any_origin(response) } else { response }
}

/// Finds the endpoint of a request, and calls it.
async fn route(
    request: Request<Incoming>,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    socket: Rc<Socket>,
) -> Response {
    if let Err(fault) = check_host(&request, &state) {
        return *fault;
    }
    let path = request.uri().path();
    let Some(route) = routes::find(path) else {
        return response::text(StatusCode::NOT_FOUND, "nothing here; the index is at /\n");
    };
    // The carrier sends the headers of a response to HEAD and leaves the body out.
    if !route.methods.split(", ").any(|method| method == request.method().as_str()) {
        return response::wrong_method(route.methods);
    }
    // The parameters of pages are for their scripts, so they are not checked here.
    match route.endpoint {
        Endpoint::Presenter if request.method() != Method::POST => {
            return page::presenter(&state, &host_name(&request));
        }
        Endpoint::Index if request.method() == Method::GET && page::is_wanted(request.headers()) => {
            return page::index(&state, &host_name(&request), request.uri().query());
        }
        Endpoint::JoinPage => return page::join(&state, &host_name(&request)),
        Endpoint::HallPage => return page::hall(&state, &host_name(&request)),
        Endpoint::Slides => {
            return match is_presenter(&request, &state).await {
                Ok(presenter) => lecture::respond(path, request.uri().query(), request.headers(), presenter).await,
                Err(refusal) => *refusal,
            };
        }
        Endpoint::Learn => return learn::respond(path, request.uri().query(), request.headers()).await,
        Endpoint::SockJs | Endpoint::SocketIo => {
            let may_publish = match check_rights(route.endpoint, &request, &state).await {
                Ok(may_publish) => may_publish,
                Err(refusal) => return *refusal,
            };
            let origin = request.headers().get(ORIGIN).cloned();
            let response = match (request.method(), route.endpoint) {
                (&Method::OPTIONS, _) => response::preflight(),
                (_, Endpoint::SockJs) => sockjs::respond(request, state, dispatcher, socket, may_publish).await,
                _ => socket_io::respond(request, state, dispatcher, socket, may_publish).await,
            };
            return response::for_its_origin(response, origin);
        }
        _ => {}
    }
    let query = match Query::parse(request.uri().query(), route.parameters) {
        Ok(query) => query,
        Err(fault) => return response::bad_request(fault),
    };
    let may_publish = match check_rights(route.endpoint, &request, &state).await {
        Ok(may_publish) => may_publish,
        Err(refusal) => return *refusal,
    };
    let feed = &state.feed;
    match route.endpoint {
        Endpoint::Subscribe(transport) => {
            let transport = by_subprotocol(transport, request.headers());
            state.hall.requested(transport, query.lane.as_deref());
            subscribe(transport, &request, query, feed, dispatcher, socket, may_publish).await
        }
        Endpoint::Ask => answer::ask(request, state, socket).await,
        Endpoint::AskSocket => {
            let properties = carrier::Properties::plain(MAX_PAYLOAD_BYTES);
            carrier::upgrade(&request, socket, properties, async move |socket| {
                crate::answer::session(socket, state).await;
            })
        }
        Endpoint::Answer | Endpoint::AnswerEvents(_) => {
            match (state.answers.find(routes::answer_of(path)), route.endpoint) {
                (None, _) => {
                    response::text(StatusCode::NOT_FOUND, "there is no such answer, or it ended a while ago\n")
                }
                (Some(answer), Endpoint::AnswerEvents(transport)) => {
                    let (feed, dispatcher) = (answer.feed.clone(), crate::answer::dispatcher(&answer.feed));
                    subscribe(transport, &request, query, &feed, dispatcher, socket, false).await
                }
                (Some(answer), _) => answer::status(request.method(), &answer),
            }
        }
        Endpoint::Mcp => mcp::respond(request, state, socket).await,
        Endpoint::Published => published(feed, query).unwrap_or_else(response::gap),
        Endpoint::Transports => response::json(StatusCode::OK, &transports(&state)),
        Endpoint::Echo => {
            let properties = carrier::Properties {
                reservation: Some(Reservation::new(state.echoes.clone())),
                compression: query.compression.unwrap_or(Compression::Takeover),
                ..carrier::Properties::plain(echo::MAX_MESSAGE_BYTES)
            };
            carrier::upgrade(&request, socket, properties, async move |socket| {
                echo::session(socket, state).await;
            })
        }
        Endpoint::Publish => publish::publish(request, &state.sink).await,
        Endpoint::Control => match publish::body(request).await {
            Ok(body) => control::control(&body, &state).await,
            Err(refusal) => *refusal,
        },
        Endpoint::Watch => watch(&request, query, state, dispatcher, socket, may_publish),
        Endpoint::Presenter => {
            state.presenter.as_ref().map_or(response::empty(StatusCode::NO_CONTENT), Presenter::welcome)
        }
        Endpoint::PageFile => page::file(&path["/page/".len()..], &state, &host_name(&request)),
        Endpoint::Time => response::json(StatusCode::OK, &Time { now_ns: clock::now_ns() }),
        Endpoint::Load => response::json(StatusCode::OK, &load::read(&state).await),
        Endpoint::Metrics => response::metrics(load::metrics(&load::read(&state).await)),
        Endpoint::Viewers => response::json(StatusCode::OK, &viewers::viewers(&state.addresses)),
        Endpoint::Health => response::text(StatusCode::OK, "ok\n"),
        Endpoint::Hall(part) => hall::respond(part, request, &state, &socket, may_publish).await,
        Endpoint::Index
        | Endpoint::JoinPage
        | Endpoint::HallPage
        | Endpoint::Slides
        | Endpoint::Learn
        | Endpoint::SockJs
        | Endpoint::SocketIo => response::text(
            StatusCode::OK,
            index::text(&state.addresses, state.is_self_signed(), state.presenter.as_ref().map(|_| "TOKEN")),
        ),
    }
}

/// Starts a subscription to a feed.
async fn subscribe(
    transport: Transport,
    request: &Request<Incoming>,
    query: Query,
    feed: &Arc<Feed>,
    dispatcher: Rc<Dispatcher>,
    socket: Rc<Socket>,
    may_publish: bool,
) -> Response {
    let &Row { envelope, browser, .. } = transport.row();
    match transport.exchange() {
        Exchange::Poll => polling::respond(feed, query, envelope).unwrap_or_else(response::gap),
        Exchange::LongPoll => long_polling::respond(feed, dispatcher, &socket, query, envelope).await,
        Exchange::Stream => {
            let after = match browser {
                Some(BrowserApi::EventSource) => stream::last_event_id(request.headers(), query.after),
                Some(
                    BrowserApi::Fetch
                    | BrowserApi::WebSocket
                    | BrowserApi::Script
                    | BrowserApi::Iframe
                    | BrowserApi::WebTransport,
                )
                | None => Ok(query.after),
            };
            match after {
                Ok(after) => {
                    let subscription = Subscription::new(feed.clone(), dispatcher, after);
                    let callback = query.callback.unwrap_or_default();
                    stream::respond(subscription, socket, request.version(), envelope, &callback)
                }
                Err(fault) => response::bad_request(fault),
            }
        }
        Exchange::Socket => {
            let subprotocol = transport.row().subprotocol;
            let after = query.after;
            let properties = carrier::Properties { subprotocol, ..carrier::Properties::plain(MAX_PAYLOAD_BYTES) };
            // Two futures, so that a subscriber of plain WebSocket does not take the memory of a session with STOMP.
            if envelope == Envelope::Stomp {
                let state = socket.state.clone();
                return carrier::upgrade(request, socket, properties, async move |socket| {
                    stomp::session(socket, state, dispatcher, after, may_publish).await;
                });
            }
            let compression = query.compression.unwrap_or(Compression::Shared);
            let properties = carrier::Properties { compression, ..properties };
            let (feed, state) = (feed.clone(), socket.state.clone());
            carrier::upgrade(request, socket, properties, async move |socket| {
                let subscription = Subscription::new(feed, dispatcher, after);
                websocket::session(socket, &state, subscription, may_publish).await;
            })
        }
    }
}

/// The transport at the same path whose sub-protocol the client offers; `transport` itself if there is none.
fn by_subprotocol(transport: Transport, headers: &HeaderMap) -> Transport {
    let has = |other: Transport, name: &str| {
        other.row().path == transport.row().path && other.row().subprotocol == Some(name)
    };
    carrier::choose_subprotocol(headers, |name| Transport::ALL.into_iter().find(|&other| has(other, name)))
        .unwrap_or(transport)
}

/// A row of the table of transports, with what this server adds to it.
#[derive(Serialize)]
struct Offered {
    #[serde(flatten)]
    row: &'static Row,
    /// The URL, for a transport with a port of its own that browsers can use.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The SHA-256 hash of the certificate there, in hex: for `serverCertificateHashes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_hash: Option<String>,
}

fn transports(state: &ServerState) -> Vec<Offered> {
    let has_quic = state.addresses.quic.is_some();
    let offered = |transport: Transport| {
        let over_quic = !transport.is_over_tcp();
        Offered {
            row: transport.row(),
            url: if over_quic { state.addresses.reachable().quic_url(transport) } else { None },
            certificate_hash: over_quic.then(|| state.quic_certificate.clone()),
        }
    };
    Transport::all_where(|transport| has_quic || transport.is_over_tcp()).into_iter().map(offered).collect()
}

/// Opens a page's trace session.
fn watch(
    request: &Request<Incoming>,
    query: Query,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    socket: Rc<Socket>,
    may_control: bool,
) -> Response {
    let Some(name) = query.session else {
        return response::bad_request("session: the name of a trace session is required");
    };
    let Ok(address) = socket.peer() else { return response::bad_request("the connection has been closed") };
    let Some(session) = state.traces.open(&name, address, may_control) else {
        // A page whose request was refused repeats it without an upgrade, to read the response; that is not counted again.
        if request.headers().contains_key(UPGRADE) || request.extensions().get::<Protocol>().is_some() {
            state.counters.watch_refused();
        }
        return response::text(StatusCode::CONFLICT, "this session is already open, or there are too many\n");
    };
    let subscription = Subscription::new(state.feed.clone(), dispatcher, None);
    let (plan, closing) = (state.plan.subscribe(), state.closing());
    let network =
        trace::Network { port: state.addresses.http.port(), tls: state.tls.is_some(), relay: state.relay.clone() };
    carrier::upgrade(request, socket, carrier::Properties::plain(trace::MAX_MESSAGE_BYTES), async move |socket| {
        trace::run_session(socket, session, subscription, plan, network, may_control, closing).await;
    })
}

/// Checks that the request is for this server.
fn check_host(request: &Request<Incoming>, state: &ServerState) -> Result<(), Box<Response>> {
    // HTTP/1.1 requires one Host header (RFC 9112, section 3.2); hyper does not check that, and the right to publish depends on it.
    if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1 {
        return Err(Box::new(response::bad_request("a request must have exactly one Host header")));
    }
    // A target in absolute form also contains the host (RFC 9112, section 3.2.2).
    let named = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let mut hosts = request.headers().get(HOST).map(|host| host.as_bytes()).into_iter().chain(named);
    hosts.try_for_each(|host| host::check(host, &state.hosts)).map_err(|fault| {
        Box::new(match fault {
            host::Fault::Malformed => {
                response::bad_request("Host must be a host name or address, with or without a port")
            }
            host::Fault::Foreign => response::text(
                StatusCode::MISDIRECTED_REQUEST,
                "this server does not have that host name; the option --host NAME adds it\n",
            ),
        })
    })
}

/// The host name or address in a request that [`check_host`] has accepted, without the port.
fn host_name<T>(request: &Request<T>) -> String {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    let authority: Option<Authority> = named.or_else(|| request.uri().authority().cloned());
    authority.map_or(String::new(), |authority| authority.host().to_string())
}

/// Checks that the request may use the endpoint, and returns whether it may publish or control there.
async fn check_rights(
    endpoint: Endpoint,
    request: &Request<Incoming>,
    state: &ServerState,
) -> Result<bool, Box<Response>> {
    let refused = |why| Err(Box::new(response::text(StatusCode::FORBIDDEN, why)));
    let opens = match endpoint {
        Endpoint::Subscribe(transport) => transport.exchange() == Exchange::Socket,
        Endpoint::AnswerEvents(transport) => transport.exchange() == Exchange::Socket,
        Endpoint::Watch | Endpoint::SockJs | Endpoint::SocketIo => true,
        Endpoint::Ask | Endpoint::AskSocket | Endpoint::Answer | Endpoint::Mcp => true,
        Endpoint::Hall(part) => part.is_for_phones(),
        _ => false,
    };
    let writes =
        matches!(endpoint, Endpoint::Publish | Endpoint::Control | Endpoint::Presenter | Endpoint::Hall(Part::Control));
    if matches!(endpoint, Endpoint::Hall(Part::State | Part::Run | Part::Csv)) {
        return is_presenter(request, state).await;
    }
    if !opens && !writes {
        return Ok(false);
    }
    let ports = origin::Ports { server: state.addresses.http.port(), relay: state.relay.port };
    match origin::may_publish(request.headers(), state.addresses.http_scheme(), ports, &state.origins) {
        true => {}
        false if opens => {
            return refused("only pages of this server and of the origins in its options may subscribe here\n");
        }
        false => return refused("only pages of this server may publish\n"),
    }
    match is_presenter(request, state).await? {
        false if writes => refused("this requires the presenter's token\n"),
        presenter => Ok(presenter),
    }
}

/// Whether the request is the presenter's. If no token is required, every request is.
///
/// # Errors
/// The response to a wrong token.
async fn is_presenter(request: &Request<Incoming>, state: &ServerState) -> Result<bool, Box<Response>> {
    let Some(presenter) = &state.presenter else { return Ok(true) };
    match presenter.credentials(request.headers()) {
        Credentials::Presenter => Ok(true),
        Credentials::Viewer => Ok(false),
        Credentials::Wrong => {
            state.counters.token_refused();
            Err(Box::new(presenter.refuse().await))
        }
    }
}

/// Responds with the times at which the events after the cursor were due and entered the feed, one line per event.
fn published(feed: &Feed, query: Query) -> Polled {
    let after = feed.start(Some(query.after.unwrap_or(Cursor(0).into())))?;
    let times = |event: Arc<Entry>| {
        let times = Published { seq: event.seq, at: event.at, entered: event.entered };
        line::encode(&serde_json::to_vec(&times).expect("three numbers")).into()
    };
    Ok(response::lines(feed.since(after, MAX_BATCH_BYTES)?.into_iter().map(times).collect()))
}
