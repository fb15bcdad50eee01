//! The table of routes: the endpoint of each path, with its methods and parameters.

use protocol::Transport;
use protocol::transport::Exchange;

use super::hall::Part;
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
    /// Answers the question in the body.
    Ask,
    /// A WebSocket on which questions are asked.
    AskSocket,
    /// An answer: how far it is; with DELETE, its end.
    Answer,
    /// The events of an answer over this transport.
    AnswerEvents(Transport),
    /// The same answers as a tool of the Model Context Protocol.
    Mcp,
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
    /// The story to scroll through alone.
    Learn,
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
    /// A phone's page.
    JoinPage,
    /// The hall on the big screen.
    HallPage,
    /// What phones, the presenter and the hall's page request.
    Hall(Part),
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
    let over_tcp = |transport: &Transport| transport.is_over_tcp() && transport.row().path == Some(path);
    if let Some(transport) = Transport::ALL.into_iter().find(over_tcp) {
        return Some(subscribe(transport));
    }
    if let Some((_, rest)) = path.strip_prefix(ANSWERS).and_then(answer_id) {
        return match rest {
            "" => Some(Route { endpoint: Endpoint::Answer, methods: "GET, HEAD, DELETE", parameters: &[] }),
            rest => match find(rest)? {
                Route { endpoint: Endpoint::Subscribe(transport), methods, parameters } => {
                    Some(Route { endpoint: Endpoint::AnswerEvents(transport), methods, parameters })
                }
                _ => None,
            },
        };
    }
    let (endpoint, methods, parameters): (_, _, &[_]) = match path {
        "/answer" => (Endpoint::Ask, "POST", &[]),
        "/answer/ws" => (Endpoint::AskSocket, "GET", &[]),
        "/mcp" => (Endpoint::Mcp, "POST", &[]),
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
        "/join" => (Endpoint::JoinPage, "GET, HEAD", &[]),
        "/hall" => (Endpoint::HallPage, "GET, HEAD", &[]),
        "/hall/join" => (Endpoint::Hall(Part::Join), "POST", &[]),
        "/hall/phone" => (Endpoint::Hall(Part::Phone), "POST", &[]),
        "/hall/report" => (Endpoint::Hall(Part::Report), "POST", &[]),
        "/hall/answer" => (Endpoint::Hall(Part::Answer), "POST", &[]),
        "/hall/control" => (Endpoint::Hall(Part::Control), "POST", &[]),
        "/hall/state" => (Endpoint::Hall(Part::State), "GET, HEAD", &[]),
        "/hall/run.json" => (Endpoint::Hall(Part::Run), "GET, HEAD", &[]),
        "/hall/run.csv" => (Endpoint::Hall(Part::Csv), "GET, HEAD", &[]),
        "/slides" => (Endpoint::Slides, "GET, HEAD", &[]),
        path if path.starts_with("/slides/") => (Endpoint::Slides, "GET, HEAD", &[]),
        "/learn" => (Endpoint::Learn, "GET, HEAD", &[]),
        path if path.starts_with("/learn/") => (Endpoint::Learn, "GET, HEAD", &[]),
        path if path.starts_with("/page/") => (Endpoint::PageFile, "GET, HEAD", &[]),
        _ => return None,
    };
    Some(Route { endpoint, methods, parameters })
}

/// The beginning of the paths of answers.
const ANSWERS: &str = "/answer/";

/// Divides the path of an answer, after [`ANSWERS`], into its id, which is 32 hex digits, and the path of a transport, or nothing.
pub fn answer_id(rest: &str) -> Option<(&str, &str)> {
    let (id, path) = rest.split_at_checked(32)?;
    (id.bytes().all(|byte| byte.is_ascii_hexdigit()) && (path.is_empty() || path.starts_with('/')))
        .then_some((id, path))
}

/// The id of the answer that a path belongs to.
pub fn answer_of(path: &str) -> &str {
    path.strip_prefix(ANSWERS).and_then(answer_id).map_or("", |(id, _)| id)
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
                    // HTTP/3 has another port.
                    _ if !transport.is_over_tcp() => {
                        assert_eq!(find(path), None);
                        continue;
                    }
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
