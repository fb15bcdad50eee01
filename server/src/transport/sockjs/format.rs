//! The formats in which the fallback transports of SockJS send their messages.

use hyper::{Method, StatusCode};
use protocol::envelope::javascript;

use crate::api::query;
use crate::api::response::{self, Response};

/// The format of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A line, in the response to one poll.
    Xhr,
    /// Lines, in a response that does not end.
    XhrStreaming,
    /// Server-sent events.
    EventSource,
    /// Scripts in an HTML page, which call this function.
    HtmlFile(String),
    /// A script that calls this function, in the response to one poll.
    Jsonp(String),
}

impl Format {
    /// The format of the transport with that name; `None` if there is none for the method.
    ///
    /// # Errors
    /// The response to a request without a callback, or with an invalid one.
    pub fn of(transport: &str, method: &Method, query: Option<&str>) -> Result<Option<Self>, Box<Response>> {
        let callback = || match query::parameter(query, "c").or_else(|| query::parameter(query, "callback")) {
            Some(name) if javascript::is_callback(name) => Ok(name.to_string()),
            Some(_) => Err(Box::new(response::bad_request("invalid \"callback\" parameter"))),
            None => {
                let text = "\"callback\" parameter required";
                Err(Box::new(response::text(StatusCode::INTERNAL_SERVER_ERROR, text)))
            }
        };
        Ok(match (transport, method) {
            ("xhr", &Method::POST) => Some(Self::Xhr),
            ("xhr_streaming", &Method::POST) => Some(Self::XhrStreaming),
            ("eventsource", &Method::GET) => Some(Self::EventSource),
            ("htmlfile", &Method::GET) => Some(Self::HtmlFile(callback()?)),
            ("jsonp", &Method::GET) => Some(Self::Jsonp(callback()?)),
            _ => None,
        })
    }

    /// Whether the response ends with the first message.
    pub fn is_poll(&self) -> bool {
        matches!(self, Self::Xhr | Self::Jsonp(_))
    }

    /// The media type of the response.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Xhr | Self::XhrStreaming | Self::Jsonp(_) => "application/javascript; charset=UTF-8",
            Self::EventSource => "text/event-stream; charset=UTF-8",
            Self::HtmlFile(_) => "text/html; charset=UTF-8",
        }
    }

    /// The bytes before the first message. Browsers used to wait for about this many before they passed them on.
    pub fn prelude(&self) -> Vec<u8> {
        match self {
            Self::Xhr | Self::Jsonp(_) => Vec::new(),
            Self::XhrStreaming => [&[b'h'; 2_048][..], b"\n"].concat(),
            Self::EventSource => b"\r\n".to_vec(),
            Self::HtmlFile(callback) => {
                let mut page = format!(
                    "<!doctype html>\n<html><head><meta charset=\"utf-8\"></head><body><h2>Don't panic!</h2>\n<script>\n\
                     var c = parent.{callback};\nc.start();\nfunction p(d) {{c.message(d);}}\nwindow.onload = function() {{c.stop();}};\n\
                     </script>\n"
                )
                .into_bytes();
                page.resize(page.len().max(1_024), b' ');
                page.extend_from_slice(b"\r\n\r\n");
                page
            }
        }
    }

    /// Encodes a message of SockJS.
    pub fn encode(&self, frame: &[u8]) -> Vec<u8> {
        // The frame is UTF-8 without control characters.
        let string = || {
            let text = String::from_utf8_lossy(frame);
            javascript::escape(serde_json::Value::from(&*text).to_string().as_bytes()).into_owned()
        };
        match self {
            Self::Xhr | Self::XhrStreaming => [frame, b"\n"].concat(),
            Self::EventSource => [b"data: ", frame, b"\r\n\r\n"].concat(),
            Self::HtmlFile(_) => [&b"<script>\np("[..], &string(), b");\n</script>\r\n"].concat(),
            Self::Jsonp(callback) => [b"/**/", callback.as_bytes(), b"(", &string(), b");\r\n"].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_encoded_as_the_protocol_s_examples() {
        let message = br#"a["x<"]"#;
        let encoded = |format: Format| String::from_utf8(format.encode(message)).unwrap();
        assert_eq!(encoded(Format::Xhr), "a[\"x<\"]\n");
        assert_eq!(encoded(Format::EventSource), "data: a[\"x<\"]\r\n\r\n");
        assert_eq!(encoded(Format::Jsonp("f".into())), "/**/f(\"a[\\\"x\\u003c\\\"]\");\r\n");
        assert_eq!(encoded(Format::HtmlFile("f".into())), "<script>\np(\"a[\\\"x\\u003c\\\"]\");\n</script>\r\n");
        assert!(Format::HtmlFile("f".into()).prelude().len() > 1_024);
    }

    #[test]
    fn a_callback_is_required_and_checked() {
        let of = |query| Format::of("jsonp", &Method::GET, query).map_err(|refusal| refusal.status().as_u16());
        assert_eq!(of(Some("t=1&c=a.b")), Ok(Some(Format::Jsonp("a.b".into()))));
        assert_eq!((of(None), of(Some("c=a(b)"))), (Err(500), Err(400)));
        assert!(matches!(Format::of("xhr", &Method::GET, None), Ok(None)));
    }
}
