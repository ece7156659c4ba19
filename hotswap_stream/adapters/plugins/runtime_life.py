"""One life of a runtime's process: started, loaded, asked, ended."""

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import msgspec

from hotswap_stream.adapters.plugins.wire import (
    REPLIES,
    Array,
    CloseOrder,
    Done,
    InferOrder,
    LoadOrder,
    Order,
    Refused,
    Reply,
    WireError,
    packed,
    receive,
    send,
    unpacked,
)
from hotswap_stream.errors import HotswapError

COMMAND = (sys.executable, "-m", "hotswap_stream.adapters.plugins.runtime_process")
GOODBYE_SECONDS_MAX = 5.0


class RuntimeInputError(ValueError):
    """A runtime refused what it was given."""


class RuntimeFailedError(HotswapError):
    """A runtime raised an error, hung, or ended; the message says which."""


class RuntimeEndedError(RuntimeFailedError):
    """The process of a runtime is gone: it was ended because it took too long, or it ended by itself."""


class RuntimeLife:
    """A process, from its start to its end. One call at a time, but for `kill`: any thread, any time."""

    def __init__(self, name: str, content_fd: int) -> None:
        """Start the process. It dies with the thread that calls this, on Linux. OSError.

        Args:
            name: The runtime's, for messages.
            content_fd: An open descriptor of the artifact.
        """
        self._name = name
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*COMMAND, str(theirs.fileno()), str(content_fd)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), content_fd),
            )
        self._connection = ours
        self._connection_used = threading.Lock()
        """Held while the connection is used. Were it closed under somebody who waits at it, its number would be that of
        the next file that is opened, and he would wait there."""

    def load(self, order: LoadOrder, seconds_max: float) -> Refused | None:
        """Load the runtime; return what it says against that. RuntimeEndedError: it took too long, or it ended."""
        reply = self._ask(order, seconds_max, "load")
        return reply if isinstance(reply, Refused) else None

    def infer(self, inputs: dict[str, Array], seconds_max: float) -> dict[str, Array]:
        """Compute.

        Raises:
            RuntimeInputError: The runtime refuses the inputs.
            RuntimeFailedError: It raised another error.
            RuntimeEndedError: It took too long, or it ended; this life is over.
        """
        order = InferOrder({name: packed(name, array) for name, array in inputs.items()})
        reply = self._ask(order, seconds_max, "answer")
        if isinstance(reply, Done):
            return {name: unpacked(array) for name, array in reply.outputs.items()}
        if reply.ended:
            raise RuntimeEndedError(f"the process of runtime {self._name!r} ended: {reply.reason}")
        if reply.by_input:
            raise RuntimeInputError(reply.reason)
        raise RuntimeFailedError(reply.reason)

    def kill(self) -> None:
        """End the process at once."""
        with suppress(OSError):
            self._process.kill()

    def end(self) -> None:
        """Let the runtime close, and end the process when it is through or takes too long."""
        if not self._connection_used.acquire(timeout=GOODBYE_SECONDS_MAX):
            self.kill()
            return
        try:
            with suppress(OSError):
                self._connection.settimeout(GOODBYE_SECONDS_MAX)
                send(self._connection, CloseOrder())
        finally:
            self._connection_used.release()
        try:
            self._process.wait(GOODBYE_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()

    def wait(self) -> None:
        """Return when the process is gone, and what belonged to it is given back."""
        self._process.wait()
        # Wakes whoever waits for an answer, also where a child that the process left behind has the other end.
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        with self._connection_used:
            self._connection.close()
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        self._process.stdin.close()

    def _ask(self, order: Order, seconds_max: float, what: str) -> Reply:
        deadline_s = time.monotonic() + seconds_max
        try:
            with self._connection_used:
                self._connection.settimeout(seconds_max)
                send(self._connection, order)
                reply = receive(self._connection, deadline_s)
            return REPLIES.decode(reply)
        except TimeoutError:
            self.kill()
            raise RuntimeEndedError(
                f"runtime {self._name!r} did not {what} within {seconds_max:g} s; its process was ended"
            ) from None
        except (WireError, OSError, msgspec.DecodeError) as error:
            self.kill()
            code = self._process.wait()
            raise RuntimeEndedError(f"the process of runtime {self._name!r} {_how(code, error)}") from error


def _how(code: int, error: Exception) -> str:
    if isinstance(error, msgspec.DecodeError):
        return f"wrote what is no message: {error}"
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
