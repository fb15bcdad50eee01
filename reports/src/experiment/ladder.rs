//! What crosses the wire between one subscriber and the server for three events, over each transport.

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Ladder, Message};
use protocol::facts::ladder::{Chunk, LadderFacts, WireTrace};
use protocol::transport::Carrier;

pub fn derive(facts: &LadderFacts) -> Experiment {
    let LadderFacts { delay_ms, poll_interval_ms, length_ms, traces } = facts;
    Experiment {
        title: "Messages on the wire over time".into(),
        question: "Three events are published, two of them close together: which messages cross between a subscriber and the server?"
            .into(),
        answer: vec![
            "Over polling, requests follow the client's clock, and events wait for the next one. A long poll gets its response at once, \
             but an event that is published while the response is under way waits for the next request. Over the other transports each \
             event leaves when it is published."
                .into(),
        ],
        drawings: traces.iter().map(|trace| Drawing::Ladder(ladder(trace, *length_ms as f64))).collect(),
        method: vec![
            format!(
                "One subscriber over a modelled network with a delay of {delay_ms} ms each way and no jitter; polls every \
                 {poll_interval_ms} ms. Times and bytes were recorded by the modelled network, which knows when bytes leave and when they \
                 arrive."
            ),
            "The opening of a connection is drawn as one exchange without payload bytes: TCP's SYN and SYN-ACK.".into(),
        ],
        ..Experiment::default()
    }
}

fn ladder(trace: &WireTrace, length_ms: f64) -> Ladder {
    let transport = trace.transport;
    let message = |chunk: &Chunk| Message {
        up: chunk.up,
        left_ms: chunk.left_ms,
        arrived_ms: chunk.arrived_ms,
        bytes: chunk.bytes,
        label: label(transport, chunk),
    };
    let count = trace.chunks.iter().filter(|chunk| chunk.bytes > 0).count();
    let bytes: u64 = trace.chunks.iter().map(|chunk| chunk.bytes).sum();
    Ladder {
        name: format!("ladder-{transport}"),
        title: format!("{}: {count} messages and {bytes} bytes for three events", transport.label()),
        caption: transport.row().summary.into(),
        transport,
        length_ms,
        messages: trace.chunks.iter().map(message).collect(),
        published_ms: trace.published_ms.clone(),
        delivered_ms: trace.delivered_ms.clone(),
    }
}

/// The label of a chunk: its method and path, its status, its HTTP/2 frames, or the name of a message, with the number of events in it.
fn label(transport: Transport, chunk: &Chunk) -> String {
    let events = match chunk.events {
        0 => String::new(),
        1 => ", 1 event".into(),
        count => format!(", {count} events"),
    };
    let mut words = chunk.first_line.as_deref().unwrap_or_default().split(' ');
    match (chunk.up, words.next().unwrap_or_default(), words.next()) {
        (true, ..) if chunk.bytes == 0 => "TCP opens".into(),
        (false, ..) if chunk.bytes == 0 => "opened".into(),
        _ if !chunk.frames.is_empty() => format!("{}{events}", chunk.frames.join(", ")),
        _ if transport.carrier() == Carrier::H2 => "rest of a frame".into(),
        // Its content is encrypted.
        _ if transport.carrier().is_quic() => "datagram".into(),
        (true, "GET", path) => {
            format!("GET {}", path.unwrap_or_default().split('?').next().unwrap_or_default())
        }
        (true, "SUB", _) => "SUB".into(),
        (true, ..) => "frame".into(),
        (false, "HTTP/1.1", status) => format!("{}{events}", status.unwrap_or_default()),
        (false, ..) => format!("{}{events}", transport.message_noun()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_what_the_first_bytes_are() {
        let chunk = |up, first_line: &str, events| Chunk {
            up,
            left_ms: 0.0,
            arrived_ms: 1.0,
            bytes: 10,
            first_line: (!first_line.is_empty()).then(|| first_line.into()),
            frames: Vec::new(),
            events,
        };
        let of = |up, first_line, events| label(Transport::WebSocket, &chunk(up, first_line, events));
        assert_eq!(of(true, "GET /ws?after=0 HTTP/1.1", 0), "GET /ws");
        assert_eq!(of(false, "HTTP/1.1 101 Switching Protocols", 0), "101");
        assert_eq!(of(false, "HTTP/1.1 200 OK", 2), "200, 2 events");
        assert_eq!(of(false, "", 1), "frame, 1 event");
        assert_eq!(of(true, "SUB 0", 0), "SUB");
        let data = Chunk { frames: vec!["HEADERS".into(), "DATA".into()], ..chunk(false, "", 1) };
        assert_eq!(label(Transport::LongPollingH2, &data), "HEADERS, DATA, 1 event");
        let rest = chunk(true, "", 0);
        assert_eq!(label(Transport::LongPollingH2, &rest), "rest of a frame");
        let opening = Chunk { bytes: 0, ..chunk(true, "", 0) };
        assert_eq!(label(Transport::Tcp, &opening), "TCP opens");
    }
}
