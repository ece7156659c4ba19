"""The desk: runs that are done elsewhere report here, each under a key of its own, as long as they are under way."""

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path

import msgspec

from hotswap_stream.application.trainers.outside import (
    ENDS,
    FILES_MAX,
    OutsideDataset,
    OutsideFailed,
    OutsideOrder,
)
from hotswap_stream.application.trainers.place import BadOutputError, OnLine, TrainerEnd
from hotswap_stream.application.trainers.protocol import (
    LINES,
    LOG_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    TrainerFailed,
    TrainerFinished,
    TrainerLine,
    TrainerOrder,
)
from hotswap_stream.errors import HotswapError

KEY_BYTES = 32
OVER_KEPT_MAX = 1_000
"""Runs that are over and still told so, instead of not being known."""
SEQUENCE_MAX = 2**53


class ReportRefusedError(HotswapError):
    """A report that is not taken; `status` is that of the answer over HTTP."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class ReportedRun:
    """One run that is done elsewhere. See RunningTrainer."""

    def __init__(self, order: TrainerOrder, folder: Path, silent_seconds: float) -> None:
        self.order = order
        self.folder = folder
        self.key = secrets.token_urlsafe(KEY_BYTES)
        self.silent_seconds = silent_seconds
        self.ended: TrainerEnd | None = None
        """How it ended by its own word."""
        self.on_line: OnLine | None = None
        self._bad: str | None = None
        self._done = asyncio.Event()
        self._heard_s = time.monotonic()
        self._sequence = -1
        self._read_bytes = 0
        self._stored: dict[str, int] = {}
        self._end_digest: bytes | None = None
        self._log = bytearray()

    @property
    def log(self) -> str:
        """See RunningTrainer."""
        return self._log.decode(errors="replace")

    def stop(self) -> None:
        """See RunningTrainer."""

    async def listen(self, on_line: OnLine) -> TrainerEnd:
        """See RunningTrainer. A run of which nothing is heard for too long ended as silent."""
        self.on_line = on_line
        while not self._done.is_set():
            left = self._heard_s + self.silent_seconds - time.monotonic()
            if left <= 0:
                return TrainerEnd(
                    cause="silent", detail=f"the orchestrator reported nothing for {self.silent_seconds:g} s"
                )
            try:
                async with asyncio.timeout(left):
                    await self._done.wait()
            except TimeoutError:
                continue
        if self._bad is not None:
            raise BadOutputError(self._bad)
        return self.ended or TrainerEnd()

    def described(self) -> OutsideOrder:
        """Return the order without anything of this machine."""
        order = self.order
        return OutsideOrder(
            run_id=order.run_id,
            model_name=order.model_name,
            trainer=order.trainer,
            parameters=order.parameters,
            datasets=tuple(
                OutsideDataset(digest=each.digest, path=f"datasets/{number}")
                for number, each in enumerate(order.datasets)
            ),
            threads=order.threads,
            seconds_max=order.seconds_max,
            silent_seconds=self.silent_seconds,
            memory_bytes_max=order.memory_bytes_max,
            folder_bytes_max=order.folder_bytes_max,
        )

    def is_alive(self) -> None:
        """Take a sign of life."""
        self._heard_s = time.monotonic()

    def progress(self, sequence: int, body: bytes) -> None:
        """Take lines of progress; none are a sign of life.

        Raises:
            ReportRefusedError: They are a replay, or no lines; the latter ends the run.
        """
        self._check_open()
        if not 0 <= sequence <= SEQUENCE_MAX:
            raise ReportRefusedError(422, f"sequence must be a number from 0 to {SEQUENCE_MAX}")
        if sequence <= self._sequence:
            raise ReportRefusedError(
                409, f"sequence {sequence} is not above {self._sequence}: this report came already, or late"
            )
        self._read_bytes += len(body)
        if self._read_bytes > OUTPUT_BYTES_MAX:
            raise self._spoilt(413, f"the orchestrator reported more than {OUTPUT_BYTES_MAX} bytes of lines")
        lines = [self._line(line) for line in body.splitlines() if line.strip()]
        self._sequence = sequence
        self.is_alive()
        for line in lines:
            if self.on_line is not None:
                self.on_line(line)

    def _line(self, line: bytes) -> TrainerLine:
        try:
            found = LINES.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            shown = line[:200].decode(errors="replace")
            raise self._spoilt(422, f"the orchestrator reported no line of the protocol: {error}: {shown!r}") from error
        if isinstance(found, TrainerFinished | TrainerFailed):
            raise ReportRefusedError(422, "how the run ended is reported to /end")
        return found

    def add_log(self, body: bytes) -> None:
        """Take a piece of the log, of which the end is kept. ReportRefusedError."""
        self._check_open()
        self.is_alive()
        self._log += body
        del self._log[:-LOG_BYTES_MAX]

    def room_for(self, name: str) -> int:
        """Return how many bytes a file of this name may have. ReportRefusedError if it may not come at all."""
        self._check_open()
        if name not in self._stored and len(self._stored) >= FILES_MAX:
            raise self._spoilt(413, f"the orchestrator handed in more than {FILES_MAX} files", over=True)
        others = sum(size for other, size in self._stored.items() if other != name)
        return self.order.folder_bytes_max - others

    def too_large(self) -> ReportRefusedError:
        """End the run for a file that does not fit, and return what to answer."""
        return self._spoilt(
            413, f"the orchestrator handed in more than {self.order.folder_bytes_max} bytes of files", over=True
        )

    def store(self, part: Path, name: str, size: int) -> None:
        """Take a file that came in whole. ReportRefusedError."""
        self._check_open()
        if size > self.room_for(name):
            raise self.too_large()
        part.replace(self.folder / name)
        self._stored[name] = size
        self.is_alive()

    def end(self, body: bytes) -> None:
        """Take how the run ended; the same again changes nothing. ReportRefusedError."""
        digest = sha256(body).digest()
        if self._end_digest == digest:
            return
        self._check_open()
        try:
            end = ENDS.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise self._spoilt(422, f"the orchestrator reported no end of the protocol: {error}") from error
        self._end_digest = digest
        if isinstance(end, OutsideFailed):
            self.ended = TrainerEnd(cause=end.cause, detail=end.detail)
        else:
            self.ended = TrainerEnd()
            if self.on_line is not None:
                self.on_line(end)
        self._done.set()

    def _check_open(self) -> None:
        if self._done.is_set():
            raise ReportRefusedError(410, "this run has ended")

    def _spoilt(self, status: int, detail: str, *, over: bool = False) -> ReportRefusedError:
        """End the run because of what was reported."""
        if over:
            self.ended = TrainerEnd(cause="over-limit", detail=detail)
        else:
            self._bad = detail
        self._done.set()
        return ReportRefusedError(status, detail)


class Desk:
    """All runs of this runner that are done elsewhere."""

    def __init__(self, url: str, silent_seconds: float) -> None:
        self._url = url.rstrip("/")
        self._silent_seconds = silent_seconds
        self._runs: dict[str, ReportedRun] = {}
        self._over: OrderedDict[str, str] = OrderedDict()
        """Run → its key, of those that are over."""

    def open(self, order: TrainerOrder, folder: Path) -> ReportedRun:
        """Take in a run."""
        run = ReportedRun(order, folder, self._silent_seconds)
        self._runs[order.run_id] = run
        return run

    def close(self, run: ReportedRun) -> None:
        """Take nothing of it any more."""
        self._runs.pop(run.order.run_id, None)
        self._over[run.order.run_id] = run.key
        while len(self._over) > OVER_KEPT_MAX:
            self._over.popitem(last=False)

    def url_of(self, run: ReportedRun) -> str:
        """Return where it reports."""
        return f"{self._url}/runs/{run.order.run_id}"

    def find(self, run_id: str, key: str) -> ReportedRun:
        """Return a run by its id and key.

        Raises:
            ReportRefusedError: 401 where the two do not belong together, 410 where the run is over.
        """
        run = self._runs.get(run_id)
        right = self._over.get(run_id, "") if run is None else run.key
        # Compared whatever was sent, so that the time says nothing of which runs there are.
        if not hmac.compare_digest((right or "-").encode(), key.encode()) or not right:
            raise ReportRefusedError(401, "no run has this id and this key")
        if run is None:
            raise ReportRefusedError(410, "this run is over: it ended, was cancelled, or took too long")
        return run
