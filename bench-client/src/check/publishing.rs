//! Requirements on publishing, and on HTTP in general.

use super::Requirement;
use super::wire::{Outcome, Server, Wire};

/// All of them.
pub const ALL: &[Requirement] = &[
    Requirement {
        id: "U1",
        points: 2,
        text: "POST /publish with a text is answered with 202 and JSON that has the event's sequence number, {\"seq\":N}",
        see: "RFC 9110, section 15.3.3",
        run: |server| server.publish("a text").map(|_| ()),
    },
    Requirement {
        id: "U2",
        points: 1,
        text: "The sequence numbers of events grow by one",
        see: "a subscriber finds a lost event by a number that is missing",
        run: numbers,
    },
    Requirement {
        id: "U3",
        points: 1,
        text: "A text of more than 64 KiB is refused with 413",
        see: "RFC 9110, section 15.5.14",
        run: |server| status(server, "POST", "/publish", &vec![b'x'; (64 << 10) + 1], 413),
    },
    Requirement {
        id: "U4",
        points: 1,
        text: "A body that is not UTF-8 is refused with 400",
        see: "RFC 3629, section 3",
        run: |server| status(server, "POST", "/publish", &[0xc3, 0x28], 400),
    },
    Requirement {
        id: "U5",
        points: 1,
        text: "GET /publish is refused with 405, and the response has the header Allow",
        see: "RFC 9110, section 15.5.6",
        run: wrong_method,
    },
    Requirement {
        id: "U6",
        points: 1,
        text: "A path that does not exist is answered with 404",
        see: "RFC 9110, section 15.5.5",
        run: |server| status(server, "GET", "/nothing-here", b"", 404),
    },
    Requirement {
        id: "U7",
        points: 1,
        text: "A second request on the same connection is answered, too",
        see: "RFC 9112, section 9.3",
        run: persistent,
    },
];

fn numbers(server: &Server) -> Outcome {
    let seqs = server.publish_all(3)?;
    match seqs.windows(2).all(|pair| Some(pair[1]) == pair[0].checked_add(1)) {
        true => Ok(()),
        false => Err(super::Fault { sent: "POST /publish, three times".into(), came: format!("the numbers {seqs:?}") }),
    }
}

/// Sends a request that must have a status.
pub fn status(server: &Server, method: &str, target: &str, body: &[u8], wanted: u16) -> Outcome {
    let mut wire = Wire::request(server, method, target, &[], body)?;
    let head = wire.head()?;
    if head.status == wanted { Ok(()) } else { Err(wire.fault(format!("status {}", head.status))) }
}

fn wrong_method(server: &Server) -> Outcome {
    let mut wire = Wire::request(server, "GET", "/publish", &[], b"")?;
    let head = wire.head()?;
    match (head.status, head.header("Allow")) {
        (405, Some(allow)) if allow.to_ascii_uppercase().contains("POST") => Ok(()),
        (status, allow) => Err(wire.fault(format!("status {status}, Allow: {}", allow.unwrap_or("(none)")))),
    }
}

fn persistent(server: &Server) -> Outcome {
    let mut wire = Wire::request(server, "POST", "/publish", &[], b"first")?;
    wire.response()?;
    wire.again(server, "POST", "/publish", &[], b"second, on the same connection")?;
    let (head, _) = wire.response()?;
    if head.status == 202 { Ok(()) } else { Err(wire.fault(format!("status {}", head.status))) }
}
