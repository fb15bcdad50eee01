"""A server to complete, in Python with its standard library. What is missing is marked TODO, in the order of the exercises.

Run it as: python3 server.py PORT. Check an exercise with: bench-client check http://127.0.0.1:PORT --exercise polling
"""

import asyncio
import json
import sys
import time
from urllib.parse import parse_qs, urlsplit


# --- The feed: all events, and those who want to know of new ones. It is complete.


class Feed:
    def __init__(self):
        self.events = []
        self.listeners = set()

    def publish(self, data):
        seq = len(self.events) + 1
        event = (seq, json.dumps({"seq": seq, "at": time.time_ns(), "data": data}))
        self.events.append(event)
        for listener in list(self.listeners):
            listener(event)
        return seq

    def since(self, after):
        """The events after a cursor; None if the feed has never had it."""
        return None if after > len(self.events) else self.events[after:]


feed = Feed()


def respond(writer, status, body=b"", headers=()):
    lines = (*headers, ("Content-Length", len(body)))
    writer.write((f"HTTP/1.1 {status} \r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines) + "\r\n").encode() + body)


async def request(reader):
    """The method, target and headers of the next request; None at the end of the connection."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = text.strip().split("\r\n")
    method, target, _ = first.split(" ")
    return method, target, {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


# --- Publishing.


async def receive(reader, writer, headers):
    # TODO publishing: refuse more than 64 KiB (413), and bytes that are not UTF-8 (400).
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    respond(writer, 202, json.dumps({"seq": feed.publish(body.decode())}).encode())


# --- Exercises.


def poll(writer, after):
    # TODO polling: the events after the cursor as lines of JSON, with the header Cursor; 204 if there is none; 410 with a gap if since() is None.
    respond(writer, 501, b"polling is still to be written\n")


async def long_poll(writer, after):
    # TODO long polling: as poll(), but wait for the next event if there is none. Mind a client that goes away while it waits.
    respond(writer, 501, b"long polling is still to be written\n")


async def stream(reader, writer, after):
    # TODO ndjson: a body in chunks that does not end, with a line for each event, old ones first, and a blank line now and then.
    respond(writer, 501, b"HTTP streaming is still to be written\n")


async def sse(reader, writer, after, last_event_id):
    # TODO sse: the same as server-sent events, each with its id; a browser resumes with Last-Event-ID.
    respond(writer, 501, b"server-sent events are still to be written\n")


async def websocket(reader, writer, after, headers):
    # TODO websocket: the handshake (RFC 6455, section 4.2), then a text frame for each event. Read frames, too: messages, pings and the close.
    respond(writer, 501, b"WebSocket is still to be written\n")


# --- Routes.


async def route(reader, writer, method, target, headers):
    path = urlsplit(target).path
    # TODO publishing: 405 for another method. TODO polling: 400 if after is not a number.
    after = int(parse_qs(urlsplit(target).query).get("after", [len(feed.events)])[0])
    if path == "/publish" and method == "POST":
        await receive(reader, writer, headers)
    elif path == "/poll":
        poll(writer, after)
    elif path == "/long-poll":
        await long_poll(writer, after)
    elif path == "/stream":
        await stream(reader, writer, after)
    elif path == "/sse":
        await sse(reader, writer, after, headers.get("last-event-id"))
    elif path == "/ws":
        await websocket(reader, writer, after, headers)
    else:
        respond(writer, 404, b"nothing here\n")


async def connection(reader, writer):
    while found := await request(reader):
        await route(reader, writer, *found)
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(connection, "127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    await server.serve_forever()


asyncio.run(main())
