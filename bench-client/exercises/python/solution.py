"""The solution of the exercises in Python, with its standard library: one feed over polling, long polling, HTTP streaming, server-sent events
and WebSocket.

Run it as: python3 solution.py PORT. Check it with: bench-client check http://127.0.0.1:PORT
"""

import asyncio
import base64
import hashlib
import json
import re
import struct
import sys
import time
from urllib.parse import parse_qs, urlsplit

MAX_BYTES = 64 << 10
KEPT = 1000
HEARTBEAT_S = 10
# What a slow client may leave unread, before it is disconnected.
MAX_UNREAD = 16 << 20


# --- The feed: the newest events, and those who want to know of new ones.


class Feed:
    def __init__(self):
        self.events = []
        self.head = 0
        self.listeners = set()

    def publish(self, data):
        self.head += 1
        event = (self.head, json.dumps({"seq": self.head, "at": time.time_ns(), "data": data}))
        self.events = (self.events + [event])[-KEPT:]
        for listener in list(self.listeners):
            listener(event)
        return self.head

    def since(self, after):
        """The events after a cursor; None if some are not kept any more, or the feed has never had the cursor."""
        if after > self.head or after < self.head - len(self.events):
            return None
        return self.events[len(self.events) - (self.head - after) :]

    def gap(self, after):
        return json.dumps({"gap": {"after": after, "oldest": self.head - len(self.events) + 1}})


feed = Feed()


# --- HTTP.


class Refused(Exception):
    def __init__(self, status, headers=()):
        self.status, self.headers = status, headers


def head(status, headers):
    return (f"HTTP/1.1 {status} \r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n").encode()


def respond(writer, status, body=b"", headers=()):
    length = () if status == 204 else (("Content-Length", len(body)),)
    writer.write(head(status, (*headers, *length)) + body)


async def request(reader):
    """The method, target and headers of the next request; None at the end of the connection."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = text.strip().split("\r\n")
    method, target, _ = first.split(" ")
    return method, target, {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def cursor(target, header=None):
    after = header or parse_qs(urlsplit(target).query).get("after", [None])[0]
    if after is None:
        return feed.head
    if not re.fullmatch(r"[0-9]{1,15}", after):
        raise Refused(400)
    return int(after)


async def receive(reader, writer, headers):
    length = int(headers.get("content-length", "0"))
    if length > MAX_BYTES:
        # The connection cannot be used again, since the body is not read.
        respond(writer, 413, headers=(("Connection", "close"),))
        return False
    body = await reader.readexactly(length)
    try:
        seq = feed.publish(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused(400) from None
    respond(writer, 202, json.dumps({"seq": seq}).encode(), (("Content-Type", "application/json"),))
    return True


# --- Polling and long polling.


def answer(writer, after, found):
    if not found:
        return respond(writer, 204, headers=(("Cursor", after),))
    body = "".join(f"{text}\n" for _, text in found).encode()
    respond(writer, 200, body, (("Content-Type", "application/x-ndjson"), ("Cursor", found[-1][0])))


def poll(writer, after):
    found = feed.since(after)
    if found is None:
        return respond(writer, 410, feed.gap(after).encode(), (("Content-Type", "application/json"),))
    answer(writer, after, found)


async def long_poll(reader, writer, after):
    if feed.since(after) != []:
        return poll(writer, after)
    new = asyncio.get_running_loop().create_future()
    listener = lambda event: new.done() or new.set_result([event])
    feed.listeners.add(listener)
    try:
        answer(writer, after, await asyncio.wait_for(new, 25))
    except asyncio.TimeoutError:
        answer(writer, after, [])
    finally:
        feed.listeners.discard(listener)


# --- Streams: chunks of a body that does not end.


async def endless(reader, send, heartbeat, found):
    """Sends what was found and then each new event, with heartbeats, until the client is gone."""
    listener = send
    for event in found:
        send(event)
    feed.listeners.add(listener)
    gone = asyncio.ensure_future(reader.read(1))
    try:
        while not (await asyncio.wait([gone], timeout=HEARTBEAT_S))[0]:
            heartbeat()
    finally:
        feed.listeners.discard(listener)


async def stream(reader, writer, after, content_type, wrap, tell_gap, heartbeat):
    writer.write(head(200, (("Content-Type", content_type), ("Cache-Control", "no-store"), ("Transfer-Encoding", "chunked"))))

    def write(text):
        data = text.encode()
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if writer.transport.get_write_buffer_size() > MAX_UNREAD:
            writer.transport.abort()

    found = feed.since(after)
    if found is None:
        write(tell_gap(after))
    await endless(reader, lambda event: write(wrap(event)), lambda: write(heartbeat), found or [])


LINES = dict(
    content_type="application/x-ndjson",
    wrap=lambda event: f"{event[1]}\n",
    tell_gap=lambda after: f"{feed.gap(after)}\n",
    heartbeat="\n",
)
SSE = dict(
    content_type="text/event-stream",
    wrap=lambda event: f"id: {event[0]}\ndata: {event[1]}\n\n",
    tell_gap=lambda after: f"event: gap\ndata: {feed.gap(after)}\n\n",
    heartbeat=":\n\n",
)


# --- WebSocket (RFC 6455).

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def accept(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def frame(opcode, payload):
    length = len(payload)
    if length < 126:
        header = bytes([0x80 | opcode, length])
    elif length < 65536:
        header = bytes([0x80 | opcode, 126]) + struct.pack("!H", length)
    else:
        header = bytes([0x80 | opcode, 127]) + struct.pack("!Q", length)
    return header + payload


class Wrong(Exception):
    def __init__(self, code):
        self.code = code


async def next_frame(reader):
    first, second = await reader.readexactly(2)
    if first & 0x70 or not second & 0x80:
        raise Wrong(1002)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", await reader.readexactly(8))
    if length > MAX_BYTES:
        raise Wrong(1009)
    mask = await reader.readexactly(4)
    payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(await reader.readexactly(length)))
    return bool(first & 0x80), first & 0xF, payload


async def websocket(reader, writer, target, headers):
    if headers.get("upgrade", "").lower() != "websocket":
        raise Refused(426, (("Upgrade", "websocket"),))
    if headers.get("sec-websocket-version") != "13":
        raise Refused(426, (("Sec-WebSocket-Version", "13"),))
    key = headers.get("sec-websocket-key")
    if not key:
        raise Refused(400)
    after = cursor(target)
    writer.write(head(101, (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept(key)))))

    def send(opcode, payload):
        writer.write(frame(opcode, payload))
        if writer.transport.get_write_buffer_size() > MAX_UNREAD:
            writer.transport.abort()

    found = feed.since(after)
    if found is None:
        return send(CLOSE, struct.pack("!H", 4410))
    listener = lambda event: send(TEXT, event[1].encode())
    for event in found:
        listener(event)
    feed.listeners.add(listener)

    async def pings():
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            send(PING, b"")

    pinging = asyncio.ensure_future(pings())
    message = b""
    try:
        while True:
            fin, opcode, payload = await next_frame(reader)
            if opcode == CLOSE:
                return send(CLOSE, payload[:2])
            if opcode == PING:
                send(PONG, payload)
            elif opcode != PONG:
                message += payload
                if len(message) > MAX_BYTES:
                    raise Wrong(1009)
                if fin:
                    text, message = message, b""
                    feed.publish(text.decode("utf-8"))
    except UnicodeDecodeError:
        send(CLOSE, struct.pack("!H", 1007))
    except Wrong as wrong:
        send(CLOSE, struct.pack("!H", wrong.code))
    finally:
        feed.listeners.discard(listener)
        pinging.cancel()


# --- Routes.


async def route(reader, writer, method, target, headers):
    """Serves a request; returns whether the connection goes on."""
    path = urlsplit(target).path
    if path == "/publish":
        if method != "POST":
            raise Refused(405, (("Allow", "POST"),))
        return await receive(reader, writer, headers)
    if path not in ("/poll", "/long-poll", "/stream", "/sse", "/ws"):
        raise Refused(404)
    if method != "GET":
        raise Refused(405, (("Allow", "GET"),))
    if path == "/ws":
        await websocket(reader, writer, target, headers)
        return False
    after = cursor(target, headers.get("last-event-id") if path == "/sse" else None)
    if path == "/poll":
        poll(writer, after)
    elif path == "/long-poll":
        await long_poll(reader, writer, after)
    else:
        await stream(reader, writer, after, **(SSE if path == "/sse" else LINES))
        return False
    return True


async def connection(reader, writer):
    try:
        while found := await request(reader):
            try:
                if not await route(reader, writer, *found):
                    break
            except Refused as refused:
                respond(writer, refused.status, headers=refused.headers)
            await writer.drain()
        await writer.drain()
        # What the client has still sent is read: otherwise the kernel resets the connection, and the client may not get what was sent last.
        writer.write_eof()
        while await asyncio.wait_for(reader.read(1 << 16), 1):
            pass
    except (ConnectionError, OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(connection, "127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    await server.serve_forever()


asyncio.run(main())
