"""WebTransport through aioquic, an implementation of QUIC and HTTP/3 in Python. The argument is the server's URL."""

import asyncio
import json
import ssl
import sys
import urllib.request

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DatagramReceived, HeadersReceived, WebTransportStreamDataReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.http = H3Connection(self._quic, enable_webtransport=True)
        self.status = asyncio.get_event_loop().create_future()
        self.received = bytearray()
        self.streams = set()
        self.datagrams = 0
        self.arrived = asyncio.Event()

    def quic_event_received(self, event):
        for event in self.http.handle_event(event):
            if isinstance(event, HeadersReceived) and not self.status.done():
                self.status.set_result(int(dict(event.headers)[b":status"]))
            elif isinstance(event, WebTransportStreamDataReceived):
                self.received += event.data
                self.streams.add(event.stream_id)
                self.arrived.set()
            elif isinstance(event, DatagramReceived):
                self.received += event.data
                self.datagrams += 1
                self.arrived.set()

    async def open(self, authority, path, more=()):
        stream = self._quic.get_next_available_stream_id()
        headers = [
            (b":method", b"CONNECT"),
            (b":protocol", b"webtransport"),
            (b":scheme", b"https"),
            (b":authority", authority.encode()),
            (b":path", path.encode()),
            *more,
        ]
        self.http.send_headers(stream, headers)
        self.transmit()
        self.session = stream
        return await asyncio.wait_for(self.status, 10)

    def send(self, text):
        stream = self.http.create_webtransport_stream(self.session, is_unidirectional=True)
        self._quic.send_stream_data(stream, text.encode(), end_stream=True)
        self.transmit()

    async def lines(self, count):
        while self.received.count(b"\n") < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 10)
        return [json.loads(line) for line in self.received.split(b"\n")[:count]]


async def main(url):
    transports = json.load(urllib.request.urlopen(url + "/transports"))
    row = next(row for row in transports if row["name"] == "webtransport")
    authority = row["url"].removeprefix("https://").split("/")[0]
    host, port = authority.rsplit(":", 1)
    # The hash of the certificate is checked by the test in a browser.
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, max_datagram_frame_size=65536)

    def session():
        return connect(host, int(port), configuration=configuration, create_protocol=Client)

    publish = lambda text: urllib.request.urlopen(url + "/publish", data=text.encode()).read()
    publish("one")
    publish("two")
    async with session() as client:
        assert await client.open(authority, "/webtransport?after=0") == 200
        assert [event["data"] for event in await client.lines(2)] == ["one", "two"]
        # A stream of the client's is a message.
        client.send("three")
        assert (await client.lines(3))[2]["seq"] == 3
    async with session() as client:
        assert await client.open(authority, "/webtransport?after=2") == 200
        assert [event["data"] for event in await client.lines(1)] == ["three"]
    async with session() as client:
        assert await client.open(authority, "/webtransport?after=9") == 200
        assert (await client.lines(1))[0]["gap"]["after"] == 9
    async with session() as client:
        assert await client.open(authority, "/webtransport/streams?after=0") == 200
        assert sorted(event["seq"] for event in await client.lines(3)) == [1, 2, 3]
        assert (len(client.streams), client.datagrams) == (3, 0)
    async with session() as client:
        assert await client.open(authority, "/webtransport/datagrams?after=0") == 200
        assert sorted(event["seq"] for event in await client.lines(3)) == [1, 2, 3]
        assert (len(client.streams), client.datagrams) == (0, 3)
    for path, status in [("/nothing", 404), ("/webtransport?after=x", 400), ("/webtransport?afer=1", 400)]:
        async with session() as client:
            assert await client.open(authority, path) == status, path
    async with session() as client:
        assert await client.open("lab.example.org", "/webtransport") == 421
    async with session() as client:
        assert await client.open(authority, "/webtransport", [(b"origin", b"https://other.example")]) == 403


asyncio.run(main(sys.argv[1]))
