"""A server that stops: it answers what it has accepted, refuses what takes too long, and waits for nobody who asks nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest
from starlette.responses import JSONResponse

from bmretriever_integrations.serving import protocol
from bmretriever_integrations.serving.app import create_app
from bmretriever_integrations.serving.listening import listen, port_of
from bmretriever_integrations.serving.run import server_of
from bmretriever_integrations.serving.service import Service
from bmretriever_integrations.serving.settings import Limits, ServerSettings

HELD = "GET /held HTTP/1.1"
HEALTH = "GET /health HTTP/1.1"


class Held:
    """A server with an address whose answer waits for an event."""

    def __init__(self, encoder, stop_seconds):
        limits = Limits(stop_seconds=stop_seconds)
        settings = ServerSettings(port=0, limits=limits)
        app = create_app(Service.of_model(encoder, limits), settings)
        app.add_api_route("/held", self.answer)
        self.server = server_of(app, settings)
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self.server.run)

    async def answer(self):
        self.go_on = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.begun.set()
        await self.go_on.wait()
        return JSONResponse({"waited": True})


@pytest.fixture
def held(mini):
    @contextmanager
    def run(stop_seconds):
        held = Held(mini, stop_seconds)
        held.thread.start()
        while not held.server.started:
            time.sleep(0.01)
        yield held
        held.server.should_exit = True
        held.thread.join(60)
        assert not held.thread.is_alive()

    return run


def test_what_was_accepted_is_answered_and_then_the_connection_ends(held, wire):
    with held(60) as one:
        line, idle, half = wire(one), wire(one), wire(one)
        assert idle.ask(HEALTH).status == 200
        half.socket.sendall(b"GET /hea")
        line.send(HELD)
        assert one.begun.wait(30)
        one.server.should_exit = True
        assert idle.ended()
        assert half.ended()
        assert one.thread.is_alive()
        one.loop.call_soon_threadsafe(one.go_on.set)
        assert line.answer().status == 200
        assert line.ended()


def test_a_request_that_is_on_its_way_is_answered(held, wire, monkeypatch):
    monkeypatch.setattr(protocol, "LAST_SECONDS", 5.0)
    stopping, plain = threading.Event(), protocol.Protocol.shutdown

    def shutdown(connection):
        plain(connection)
        stopping.set()

    monkeypatch.setattr(protocol.Protocol, "shutdown", shutdown)
    with held(60) as one:
        line, silent = wire(one), wire(one)
        assert line.ask(HEALTH).status == silent.ask(HEALTH).status == 200
        one.server.should_exit = True
        assert stopping.wait(30)
        assert line.ask(HEALTH).status == 200
        assert line.ended()
        assert silent.ended()


def test_what_takes_too_long_is_refused(held, wire):
    with held(0.1) as one:
        line = wire(one)
        line.send(HELD)
        assert one.begun.wait(30)
        one.server.should_exit = True
        answer = line.answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert answer.message == "the server stops and could not finish this request"


def test_a_name_with_several_addresses_has_one_port():
    sockets = listen("localhost", 0)
    try:
        assert {each.getsockname()[1] for each in sockets} == {port_of(sockets)}
    finally:
        for each in sockets:
            each.close()


def test_a_socket_that_was_taken_is_given_back_when_another_cannot_be(monkeypatch):
    import socket

    taken, plain = [], socket.socket.bind

    def bind(one, address):
        taken.append(one)
        if len(taken) > 1:
            raise OSError(98, "made up")
        plain(one, address)

    both = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))] * 2
    both[1] = (*both[1][:3], "other", both[1][4])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_named: both)
    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1"):
        listen("both", 0)
    assert [one.fileno() for one in taken] == [-1, -1]
