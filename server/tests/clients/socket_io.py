"""The server through python-socketio. The argument is the server's URL."""

import sys
import threading
import time

import socketio

url = sys.argv[1]


def wait_until(condition, what):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def connect(transports, **options):
    client = socketio.Client(reconnection=False)
    seqs = []
    client.on("event", lambda event: seqs.append(event["seq"]))
    client.connect(url, transports=transports, **options)
    return client, seqs


def delivers_every_event(transports):
    client, seqs = connect(transports, auth={"after": 0})
    last = [client.call("publish", f'"{number}"', timeout=5) for number in range(20)][-1]
    wait_until(lambda: seqs and seqs[-1] == last, "the last event")
    assert seqs == list(range(1, last + 1)), seqs
    if transports != ["polling"]:
        wait_until(lambda: client.transport() == "websocket", "the upgrade")
    client.disconnect()


def reaches_rooms_others_and_one_socket():
    clients = [socketio.Client(reconnection=False) for _ in range(3)]
    received = [[] for _ in clients]
    for client, messages in zip(clients, received):
        client.on("message", lambda data, sender, messages=messages: messages.append(data))
        client.connect(url)
    a, b, c = clients
    assert b.call("join", "red", timeout=5) is True
    assert a.call("broadcast", "all", timeout=5) >= 2
    assert a.call("to_room", ("red", {"n": 1}), timeout=5) == 1
    assert a.call("to", (c.get_sid(), "one"), timeout=5) == 1
    assert b.call("leave", "red", timeout=5) is True
    assert a.call("to_room", ("red", "nobody"), timeout=5) == 0
    wait_until(lambda: len(received[1]) == 2 and len(received[2]) == 2, "the messages")
    assert received == [[], ["all", {"n": 1}], ["all", "one"]], received
    for client in clients:
        client.disconnect()


def an_unknown_event_is_refused_and_times_out():
    client, _ = connect(["websocket"])
    refused = threading.Event()
    client.on("refused", lambda name, why: refused.set())
    try:
        client.call("dance", timeout=0.2)
        raise AssertionError("an unknown event was acknowledged")
    except socketio.exceptions.TimeoutError:
        pass
    assert refused.wait(5)
    client.disconnect()


def a_second_namespace():
    client = socketio.Client(reconnection=False)
    client.connect(url, namespaces=["/", "/chat"])
    wait_until(lambda: client.get_sid("/chat") is not None, "the namespace")
    assert client.call("join", "x", namespace="/chat", timeout=5) is True
    client.disconnect()


for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
    delivers_every_event(transports)
    print("ok", transports)
reaches_rooms_others_and_one_socket()
an_unknown_event_is_refused_and_times_out()
a_second_namespace()
