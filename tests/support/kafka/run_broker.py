"""The one broker of a test run: started when the first test asks for it, in whatever process, and ended with the run.

pytest-xdist's controller runs no tests, but it is there from the first one to the last: it has the broker, and a door
through which the processes with the tests ask for it.
"""

import asyncio
import logging
import shutil
import socket
import socketserver
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Protocol

import msgspec
import structlog

from hotswap_stream.broker import EmbeddedKafka

HEAP_MIB_MAX = 512
"""More than the default: every test of a run makes topics there, and none is deleted."""
START_SECONDS_MAX = 300.0


class Answer(msgspec.Struct):
    """What comes through the door: where the broker is, or why there is none."""

    servers: str = ""
    error: str = ""


class RunBroker(Protocol):
    """Whoever knows where the run's broker is."""

    def servers(self) -> str:
        """Return the bootstrap servers, of a broker that runs; raise when it cannot be started."""
        ...

    def close(self) -> None:
        """End what was begun."""
        ...


class OwnBroker:
    """The broker in this process, where it is started at most once."""

    def __init__(self) -> None:
        self._broker: EmbeddedKafka | None = None
        self._lock = Lock()

    def servers(self) -> str:
        with self._lock:
            if self._broker is None:
                broker = EmbeddedKafka(heap_mib_max=HEAP_MIB_MAX)
                _aside(broker.start())
                self._broker = broker
            return self._broker.bootstrap_servers

    def close(self) -> None:
        with self._lock:
            if self._broker is not None:
                _aside(self._broker.stop())
                self._broker = None


class SharedBroker(OwnBroker):
    """The broker in pytest-xdist's controller; `door` is the path of a socket that says where it is."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.mkdtemp(prefix="hotswap-tests-")
        self.door = str(Path(self._folder) / "broker")
        self._server = _Door(self.door, self)
        self._thread = Thread(target=self._server.serve_forever, name="broker door", daemon=True)
        self._thread.start()
        # The controller's output is the progress of the tests.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)


class AskedBroker:
    """The broker of the controller, as a process with tests knows it."""

    def __init__(self, door: str) -> None:
        self._door = door

    def servers(self) -> str:
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as file:
            connection.settimeout(START_SECONDS_MAX)
            connection.connect(self._door)
            answer = msgspec.json.decode(file.readline(), type=Answer)
        if answer.error:
            raise RuntimeError(f"the broker of the tests cannot start: {answer.error}")
        return answer.servers

    def close(self) -> None:
        """Leave it to the controller."""


class _Door(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, broker: OwnBroker) -> None:
        super().__init__(path, _Asked)
        self.broker = broker


class _Asked(socketserver.StreamRequestHandler):
    server: _Door

    def handle(self) -> None:
        try:
            answer = Answer(servers=self.server.broker.servers())
        except Exception as error:  # noqa: BLE001  # it is raised where the test is
            answer = Answer(error=f"{type(error).__name__}: {error}")
        self.wfile.write(msgspec.json.encode(answer) + b"\n")


def _aside(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a thread of its own: pytest-asyncio owns this one's event loop, and tests without one ask too."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, work).result()
