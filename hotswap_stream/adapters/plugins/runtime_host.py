"""Keeps a runtime's process: one life after another, so that a pass that hangs costs its own requests and no others."""

import os
import tempfile
import threading
import time
from typing import BinaryIO

import structlog

from hotswap_stream.adapters.plugins.runtime_life import RuntimeEndedError, RuntimeFailedError, RuntimeLife
from hotswap_stream.adapters.plugins.wire import Array, LoadOrder, Refused

RESTART_SECONDS = 1.0
RESTART_SECONDS_MAX = 60.0
"""Between a life that could not be loaded and the next one: twice as long each time, at most so long."""

_log = structlog.get_logger(__name__)


class RuntimeHost:
    """A runtime that is there again after it hung or crashed. `start` once, `infer` one call at a time, `close`."""

    def __init__(
        self, order: LoadOrder, content: bytes | memoryview, *, load_seconds_max: float, pass_seconds_max: float
    ) -> None:
        self._order = order
        self._content = content_file(content)
        self._load_seconds_max = load_seconds_max
        self._pass_seconds_max = pass_seconds_max
        self._changed = threading.Condition()
        """Guards what follows."""
        self._life: RuntimeLife | None = None
        self._refusal: Refused | RuntimeFailedError | None = None
        """Why the latest life could not be loaded."""
        self._closed = False

    def start(self) -> Refused | None:
        """Start and load; return what the runtime says against that. RuntimeFailedError: it took too long, or ended."""
        # A thread for all lives: on Linux a process that asks for it ends with the thread that started it.
        threading.Thread(target=self._keep, name=f"runtime-{self._order.runtime}", daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: self._life is not None or self._refusal is not None)
            refusal = self._refusal
        if isinstance(refusal, RuntimeFailedError):
            raise refusal
        return refusal

    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Compute. RuntimeInputError, RuntimeFailedError; see `RuntimeLife.infer`."""
        life = self._ready_life()
        try:
            return life.infer(inputs, self._pass_seconds_max)
        except RuntimeEndedError as error:
            with self._changed:
                self._life = None
            _log.warning("runtime_ended", runtime=self._order.runtime, reason=str(error))
            raise

    def close(self) -> None:
        """End the process. Blocking, for some seconds at most."""
        with self._changed:
            self._closed = True
            life = self._life
            self._changed.notify_all()
        if life is not None:
            life.end()

    def _ready_life(self) -> RuntimeLife:
        deadline_s = time.monotonic() + self._pass_seconds_max
        with self._changed:
            self._changed.wait_for(
                lambda: self._life is not None or self._closed, max(0.0, deadline_s - time.monotonic())
            )
            if self._life is not None:
                return self._life
            why = "" if self._refusal is None else f", and could not be last time: {_reason(self._refusal)}"
        raise RuntimeFailedError(f"runtime {self._order.runtime!r} is being started again{why}")

    def _keep(self) -> None:
        """Start, load and wait for the end, again and again. Ends when the first load fails."""
        first, wait_seconds = True, RESTART_SECONDS
        with self._content:
            while not self._closed:
                refusal = self._live()
                if refusal is None:
                    first, wait_seconds = False, RESTART_SECONDS
                    continue
                with self._changed:
                    self._refusal = refusal
                    self._changed.notify_all()
                    if first or self._changed.wait_for(lambda: self._closed, wait_seconds):
                        return
                wait_seconds = min(2 * wait_seconds, RESTART_SECONDS_MAX)
                _log.warning("runtime_not_started_again", runtime=self._order.runtime, reason=_reason(refusal))

    def _live(self) -> Refused | RuntimeFailedError | None:
        """Return after the end of a life that was loaded; before, why it could not be."""
        try:
            life = RuntimeLife(self._order.runtime, self._content.fileno())
        except OSError as error:
            return RuntimeFailedError(f"the process of runtime {self._order.runtime!r} cannot be started: {error}")
        try:
            refusal = life.load(self._order, self._load_seconds_max)
        except RuntimeFailedError as error:
            life.wait()
            return error
        if refusal is not None:
            life.kill()
            life.wait()
            return refusal
        with self._changed:
            self._life, self._refusal = life, None
            closed = self._closed
            self._changed.notify_all()
        if closed:
            life.end()
        life.wait()
        with self._changed:
            if self._life is life:
                self._life = None
        return None


def content_file(content: bytes | memoryview) -> BinaryIO:
    """Return an open file of these bytes that has no name anywhere: in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        file: BinaryIO = os.fdopen(os.memfd_create("hotswap-artifact"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the host closes it
    file.write(content)
    file.flush()
    return file


def _reason(refusal: Refused | RuntimeFailedError) -> str:
    return refusal.reason if isinstance(refusal, Refused) else str(refusal)
