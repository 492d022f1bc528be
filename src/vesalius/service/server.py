"""Listening: the socket, uvicorn and its signals around a service, until it is told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from vesalius.errors import RecipeError, Refusal
from vesalius.service.app import application
from vesalius.service.assembly import assemble
from vesalius.service.container import Service
from vesalius.service.http.deadlines import protocol
from vesalius.service.settings import Settings
from vesalius.service.store import Store
from vesalius.service.telemetry import configure_logs, log
from vesalius.service.threads import favour_the_loop

KEEP_ALIVE = 5
HEAD_BYTES = 32 * 1024
SHUTDOWN = (signal.SIGINT, signal.SIGTERM)


def serve(settings: Settings, announce: Callable[[str, Service], None]) -> None:
    """Listen until a signal comes; ``announce`` is told the URL as soon as connections are taken.

    Stopping takes no new requests, finishes what is in line within ``grace`` seconds or refuses it.
    """
    configure_logs(settings.log_format, settings.log_level)
    service = assemble(settings)
    service.store.migrate()
    listener = bound(settings)
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    server = Server(listening(service), service)
    favour_the_loop()
    try:
        with in_charge(settings, service.store):
            announce(f"http://{address}:{port}", service)
            server.run(sockets=[listener])
    finally:
        listener.close()
    if not server.started:
        raise Refusal("engine_unavailable", "the service could not start", hint="the log says why")


@contextmanager
def in_charge(settings: Settings, store: Store) -> Iterator[None]:
    """Hold a local state; who is alone with it ends the questions that a crash left unanswered.

    Those of a shared database end at their deadlines: its other processes may be anywhere.
    """
    if not settings.database.startswith("sqlite"):
        yield
        return
    with (settings.state / "serving.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log().debug("shared")  # with another process that is at work
        else:
            store.interrupt_pending(everyone=True)
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def listening(service: Service) -> uvicorn.Config:
    """How uvicorn listens: our protocol and logs, none of its own headers."""
    settings = service.settings
    return uvicorn.Config(
        application(service),
        http=protocol(settings.header_deadline, settings.connections),
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(settings.grace) + 5,
        h11_max_incomplete_event_size=HEAD_BYTES,
        proxy_headers=False,
    )


class Server(uvicorn.Server):
    """uvicorn that says it is not ready, then closes its door, then refuses or ends what waits."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal, and then return: uvicorn would send it to itself again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SHUTDOWN}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the engine while uvicorn waits for what is being answered.

        Before that a balancer, which ends services by SIGTERM, has a while to see that this one is
        not ready and to send its callers elsewhere.
        """
        log().info("stopping")
        self._service.stopping = True
        if signal.SIGTERM in self._captured_signals:
            await asyncio.sleep(self._service.settings.drain)
        # uvicorn waits for responses before it ends the lifespan; the engine must end them.
        draining = asyncio.ensure_future(self._service.engine.stop(self._service.settings.grace))
        await super().shutdown(sockets)
        await draining


def bound(settings: Settings) -> socket.socket:
    """A listening socket; RecipeError where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Of a socket without its protocol asyncio does not see that it is TCP, and leaves Nagle's delay
    # on: 40 ms for each request on a connection that is kept.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        raise RecipeError(
            f"cannot listen: {error.strerror}", where=where, hint="choose another --port"
        ) from error
    return listener
