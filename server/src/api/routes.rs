//! The table of routes: the endpoint of each path, with its methods and parameters.

use protocol::Transport;
use protocol::transport::Exchange;

use crate::transport::{socket_io, sockjs};

/// The resource at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// A subscription over this transport.
    Subscribe(Transport),
    /// The times at which events were due and entered the feed.
    Published,
    /// The table of transports.
    Transports,
    /// A WebSocket that returns each message.
    Echo,
    /// SockJS, with all its paths.
    SockJs,
    /// Socket.IO.
    SocketIo,
    /// Publishes an event.
    Publish,
    /// Changes what is published, and cuts connections.
    Control,
    /// A page's trace session.
    Watch,
    /// The page that the presenter's link opens; with POST, the presenter's cookie.
    Presenter,
    /// A file of the live page.
    PageFile,
    /// The lecture.
    Slides,
    /// The live page, or the list of endpoints as text.
    Index,
    /// The server's clock.
    Time,
    /// The resources that the server has used, and its counters.
    Load,
    /// The same in the text format of Prometheus.
    Metrics,
    /// The link for viewers.
    Viewers,
    /// Responds whenever the server is running.
    Health,
}

/// An endpoint, with its methods and parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The methods, as the header `Allow` lists them.
    pub methods: &'static str,
    /// The names of the query parameters.
    pub parameters: &'static [&'static str],
}

/// The route of a path; `None` if there is nothing at that path.
pub fn find(path: &str) -> Option<Route> {
    // Libraries have parameters and methods of their own.
    let library = |endpoint| Some(Route { endpoint, methods: "GET, HEAD, POST, OPTIONS", parameters: &[] });
    if path.strip_prefix(sockjs::PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return library(Endpoint::SockJs);
    }
    if path.strip_suffix('/').unwrap_or(path) == socket_io::PATH {
        return library(Endpoint::SocketIo);
    }
    if let Some(transport) = Transport::ALL.into_iter().find(|transport| transport.row().path == Some(path)) {
        return Some(subscribe(transport));
    }
    let (endpoint, methods, parameters): (_, _, &[_]) = match path {
        "/published" => (Endpoint::Published, "GET, HEAD", &["after"]),
        "/transports" => (Endpoint::Transports, "GET, HEAD", &[]),
        "/echo" => (Endpoint::Echo, "GET", &["compression"]),
        "/publish" => (Endpoint::Publish, "POST", &["lane"]),
        "/control" => (Endpoint::Control, "POST", &[]),
        "/watch" => (Endpoint::Watch, "GET", &["session"]),
        "/presenter" => (Endpoint::Presenter, "GET, HEAD, POST", &[]),
        "/" => (Endpoint::Index, "GET, HEAD", &[]),
        "/time" => (Endpoint::Time, "GET, HEAD", &[]),
        "/load" => (Endpoint::Load, "GET, HEAD", &[]),
        "/metrics" => (Endpoint::Metrics, "GET, HEAD", &[]),
        "/viewers" => (Endpoint::Viewers, "GET, HEAD", &[]),
        "/healthz" => (Endpoint::Health, "GET, HEAD", &[]),
        "/slides" => (Endpoint::Slides, "GET, HEAD", &[]),
        path if path.starts_with("/slides/") => (Endpoint::Slides, "GET, HEAD", &[]),
        path if path.starts_with("/page/") => (Endpoint::PageFile, "GET, HEAD", &[]),
        _ => return None,
    };
    Some(Route { endpoint, methods, parameters })
}

fn subscribe(transport: Transport) -> Route {
    let (methods, parameters): (_, &[_]) = match (transport.exchange(), transport.envelope().has_callback()) {
        (Exchange::Poll | Exchange::Stream, false) => ("GET, HEAD", &["after", "lane"]),
        (Exchange::Poll | Exchange::Stream, true) => ("GET, HEAD", &["after", "lane", "callback"]),
        (Exchange::LongPoll, false) => ("GET, HEAD", &["after", "wait", "lane"]),
        (Exchange::LongPoll, true) => ("GET, HEAD", &["after", "wait", "lane", "callback"]),
        (Exchange::Socket, _) => ("GET", &["after", "lane", "compression"]),
    };
    Route { endpoint: Endpoint::Subscribe(transport), methods, parameters }
}

#[cfg(test)]
mod tests {
    use protocol::Envelope;

    use super::*;

    fn first_at(path: &str) -> Transport {
        Transport::ALL.into_iter().find(|transport| transport.row().path == Some(path)).unwrap()
    }

    #[test]
    fn every_http_transport_has_a_route_and_unknown_paths_have_none() {
        for transport in Transport::ALL {
            if let Some(path) = transport.row().path {
                let expected = match transport.envelope() {
                    Envelope::SockJs => Endpoint::SockJs,
                    Envelope::SocketIo => Endpoint::SocketIo,
                    // Selected among the transports at its path by the sub-protocol, the version of HTTP or the compression.
                    _ => Endpoint::Subscribe(first_at(path)),
                };
                assert_eq!(find(path).map(|route| route.endpoint), Some(expected));
            }
        }
        for path in ["", "/nothing", "/slidesx", "/page", "/poll/"] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
