//! A server of another kind, which a target file describes: how it is spoken to, how events are published through it, and how its process is
//! found.
//!
//! Such a server need not know anything of this lab. The load client publishes the events of the schedule through it, each as the JSON of an
//! event with its number and time, and looks for them in what subscribers receive. What the server cannot tell is left out, not guessed.

pub mod control;
pub mod message;
pub mod poll;
mod process;
mod publish;
mod publisher;
mod request;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use protocol::transport::{Carrier, Coding, Exchange};
use protocol::{Envelope, Transport};
use schemars::JsonSchema;
use serde::Deserialize;

use message::Source;
use publish::Publish;

/// Where a free port is inserted into the URL and the command.
const PORT: &str = "{port}";

/// A target file.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// The server's name in reports.
    pub name: String,
    /// Its URL, without a path. `{port}` is a free port that is chosen for each start of the command.
    pub url: String,
    /// The command that starts the server, for each round anew, in the directory of this file. `{port}` is the port. Without it, the server is
    /// running already.
    pub command: Option<Vec<String>>,
    /// The process of a server that is running already, for its CPU time and memory. Without it they are not measured.
    pub pid: Option<u32>,
    /// How an event is published.
    pub publish: Publish,
    /// The transports that it offers, by their names in this lab: polling, long polling, those over HTTP/1.1 whose response is a stream, and those
    /// over WebSocket.
    pub transports: BTreeMap<Transport, Source>,
    /// The directory of the file.
    #[serde(skip)]
    directory: PathBuf,
}

impl TargetFile {
    /// Reads a target file.
    ///
    /// # Errors
    /// When it cannot be read or is no target: with the line and what would be right.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read the target {}", path.display()))?;
        let directory = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Self::parse(&text, directory, &path.display().to_string())
    }

    fn parse(text: &str, directory: PathBuf, file: &str) -> anyhow::Result<Self> {
        let mut target: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            anyhow::anyhow!("{file}:{line}: {}", error.message())
        })?;
        target.directory = directory;
        target.check().with_context(|| file.to_string())?;
        Ok(target)
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.name.trim().is_empty(), "name: the server needs a name");
        ensure!(self.url.starts_with("http://"), "url: http://HOST:PORT, not '{}'", self.url);
        ensure!(
            self.command.is_none() || self.url.contains(PORT),
            "url: a server that is started by a command needs {PORT} in its url, like http://127.0.0.1:{PORT}"
        );
        ensure!(
            self.command.is_some() || !self.url.contains(PORT),
            "url: {PORT} is chosen only for a server that is started by a command"
        );
        ensure!(
            self.command.as_ref().is_none_or(|command| !command.is_empty()),
            "command: the program's name is missing"
        );
        ensure!(self.command.is_none() || self.pid.is_none(), "pid: the process is that of the command");
        self.publish.check().map_err(|error| anyhow::anyhow!("publish.{error}"))?;
        ensure!(!self.transports.is_empty(), "transports: there must be at least one");
        for (transport, source) in &self.transports {
            ensure!(
                supported(*transport),
                "transports.{transport}: only {} can be measured at another server",
                Transport::all_where(supported).into_iter().map(Transport::name).collect::<Vec<_>>().join(", ")
            );
            let polls = matches!(transport.exchange(), Exchange::Poll | Exchange::LongPoll);
            source.check(polls).map_err(|error| anyhow::anyhow!("transports.{transport}.{error}"))?;
        }
        Ok(())
    }
}

/// Whether a server of another kind can offer a transport.
fn supported(transport: Transport) -> bool {
    let row = transport.row();
    let envelope = matches!(row.envelope, Envelope::Line | Envelope::Sse | Envelope::WebSocket | Envelope::SocketIo);
    envelope && row.carrier == Carrier::H1 && row.coding == Coding::Identity
}

/// The JSON schema of a target file.
pub fn schema() -> String {
    let schema = schemars::schema_for!(TargetFile);
    serde_json::to_string_pretty(&schema).expect("a schema is plain JSON") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"a server\"\nurl = \"http://127.0.0.1:9000\"\n[publish]\npath = \"/publish\"\n[transports.sse]\npath = \"/events\"\n";

    fn parse(text: &str) -> anyhow::Result<TargetFile> {
        TargetFile::parse(text, PathBuf::new(), "t.toml")
    }

    #[test]
    fn the_examples_of_the_readme_are_parts_of_target_files() {
        let readme = include_str!("../../../README.md");
        let blocks = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let examples: Vec<&str> = blocks.filter(|block| block.contains("[publish]")).collect();
        assert_eq!(examples.len(), 2);
        assert_eq!(parse(examples[0]).unwrap().transports.len(), 2);
        let rest = GOOD.replace("[publish]\npath = \"/publish\"\n", examples[1]);
        assert_eq!(parse(&rest).unwrap().publish.acknowledgement.as_deref(), Some("/ok"));
    }

    #[test]
    fn a_fault_is_told_with_the_line_or_the_field() {
        let changed = |from: &str, to: &str| format!("{:#}", parse(&GOOD.replace(from, to)).unwrap_err());
        assert!(changed("url =", "uri =").starts_with("t.toml:2: unknown field `uri`"));
        assert!(changed("[transports.sse]", "[transports.telegraph]").contains("t.toml:5: no transport is called"));
        assert!(
            changed("[transports.sse]", "[transports.tcp]").contains("transports.tcp: only polling, long_polling, ")
        );
        assert!(changed("http://127.0.0.1:9000", "http://127.0.0.1:{port}").contains("url: {port} is chosen only"));
        for (line, error) in [
            ("path = \"events\"", "path: it must begin with /"),
            ("path = \"/e v\"", "path: spaces, # and what is not ASCII must be percent-encoded, like %20"),
            ("path = \"/e\"\nevent = \"data\"", "event: a JSON pointer like /data/text"),
            ("path = \"/e\"\nheaders = { Host = \"a\" }", "headers.Host: the load client sends it itself; remove it"),
            ("path = \"/e\"\nheaders = { X = \"a\\r\\nb\" }", "headers.X: only ASCII without control characters"),
            ("path = \"/e\"\nheaders = { \"a b\" = \"\" }", "headers: 'a b' is not the name of a header"),
            ("path = \"/e\"\nmessages = \"lines\"", "messages: only for polling and long polling; remove it"),
            ("path = \"/e\"\nnext.n = {}", "next: only for polling and long polling; remove it"),
        ] {
            let told = changed("path = \"/events\"", line);
            assert!(told.starts_with(&format!("t.toml: transports.sse.{error}")), "{told}");
        }
    }

    #[test]
    fn a_fault_of_polling_is_told_with_its_field() {
        let told = |lines: &str| {
            let text = GOOD.replace("[transports.sse]\npath = \"/events\"", &format!("[transports.polling]\n{lines}"));
            parse(&text).map_err(|error| format!("{error:#}"))
        };
        let path = "path = \"/poll?after={n}\"\n";
        assert!(told(&format!("{path}next.n = {{ first = \"0\", header = \"Cursor\" }}")).is_ok());
        assert!(told("path = \"/poll\"\nheaders = { A = \"{n}\" }\nnext.n = { header = \"Etag\" }").is_ok());
        for (lines, error) in [
            ("messages = \"line\"", "t.toml:7: unknown variant `line`, expected one of `lines`, `body`, `array`"),
            ("messages = { array = \"items\" }", "transports.polling.messages.array: a JSON pointer like /items"),
            ("", "transports.polling.next.n: the path or a header has {n}, so this must say where it is in a response"),
            ("next.n = { first = \"0\" }", "transports.polling.next.n: one of header, body and message must say where"),
            (
                "next.n = { first = \"0\", header = \"A\", body = \"/a\" }",
                "next.n: only one of header, body and message",
            ),
            ("next.n = { first = \"0\", body = \"a\" }", "next.n: a JSON pointer begins with /"),
            ("next.n = { first = \"0\", header = \"a b\" }", "next.n: header is the name of a header, like Etag"),
            ("next.n = { header = \"A\" }", "next.n.first: the path of the first request needs a value, like \"0\""),
            (
                "next.\"a-b\" = { header = \"A\" }\nnext.n = { first = \"0\", header = \"A\" }",
                "next.\"a-b\": a name has only letters",
            ),
            ("next.n = { first = \"\\n\", header = \"A\" }", "next.n.first: only ASCII without control characters"),
            ("next.n = { heder = \"A\" }", "t.toml:7: unknown field `heder`, expected one of `first`, `header`,"),
            (
                "next.m = { header = \"A\" }\nnext.n = { first = \"0\", header = \"A\" }",
                "next.m: {m} must be in the path",
            ),
        ] {
            let told = told(&format!("{path}{lines}")).unwrap_err();
            assert!(told.contains(error) && !told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn a_fault_of_publishing_is_told_with_its_field() {
        let told = |lines: &str| format!("{:#}", parse(&GOOD.replace("path = \"/publish\"", lines)).unwrap_err());
        for (lines, error) in [
            ("path = \"p\"", "publish.path: it must begin with /"),
            ("path = \"/p\"\nbody = \"x\"", "publish.body: it must contain {event}"),
            ("path = \"/p\"\nmethod = \"A B\"", "publish.method: the name of a method, like PUT"),
            (
                "path = \"/p\"\nover = \"websocket\"\nmethod = \"PUT\"",
                "publish.method: only an HTTP request has a method",
            ),
            ("path = \"/p\"\nacknowledgement = \"/ok\"", "publish.acknowledgement: the response to an HTTP request"),
            (
                "path = \"/p\"\nover = \"websocket\"\nacknowledgement = \"ok\"",
                "publish.acknowledgement: a JSON pointer",
            ),
            ("path = \"/p\"\nover = \"mqtt\"", "t.toml:5: unknown variant `mqtt`, expected `http` or `websocket`"),
            (
                "path = \"/p\"\nheaders = { Connection = \"close\" }",
                "publish.headers.Connection: the load client sends",
            ),
        ] {
            let told = told(lines);
            assert!(told.contains(error) && !told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn every_field_is_described_in_the_schema() {
        let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
        let types = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        let fields: Vec<_> = types.filter_map(|one| one["properties"].as_object()).flatten().collect();
        assert!(
            ["next", "messages", "over", "acknowledgement"].iter().all(|name| fields.iter().any(|of| of.0 == name))
        );
        for (name, field) in fields {
            assert!(field["description"].is_string(), "{name}: {field}");
        }
    }
}
