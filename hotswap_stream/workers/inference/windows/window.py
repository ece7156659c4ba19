"""The latest steps of one series."""

from collections.abc import Iterable

import numpy as np

from hotswap_events.inference.windows import WINDOW_IDS_MAX, WindowRecord, WindowRule
from hotswap_stream.workers.inference.requests.tensors import NUMPY_DTYPES, Array

_CAPACITY_STEPS_MIN = 16


class Window:
    """The latest steps of one series.

    Steps are only ever written after those that are there, so what `latest` gave stays what it was.
    """

    __slots__ = ("_buffer", "_end", "_start", "datatype", "features", "ids", "input", "request_offset", "writers")

    def __init__(self, rule: WindowRule) -> None:
        self.input, self.datatype, self.features = rule.input, rule.datatype, rule.features
        self.request_offset = -1
        """The offset of the request that brought the newest step."""
        self.ids: dict[str, int] = {}
        """Ids of the latest requests → their offsets."""
        self.writers: set[str] = set()
        """Who has a record of this series in the topic."""
        self._buffer: Array = np.empty((0, rule.features), NUMPY_DTYPES[rule.datatype])
        self._start = self._end = 0

    @property
    def steps(self) -> int:
        """How many there are."""
        return self._end - self._start

    def fits(self, rule: WindowRule) -> bool:
        """Return whether these are steps of what the rule is about."""
        return (self.input, self.datatype, self.features) == (rule.input, rule.datatype, rule.features)

    def append(self, steps: Array, steps_max: int) -> None:
        """Add the newest steps, and keep the latest `steps_max`."""
        added = len(steps)
        if added >= steps_max:
            self._buffer = np.array(steps[-steps_max:])
            self._start, self._end = 0, steps_max
            return
        if self._end + added > len(self._buffer):
            self._move(min(self.steps, steps_max - added), added, steps_max)
        self._buffer[self._end : self._end + added] = steps
        self._end += added
        self._start = max(self._start, self._end - steps_max)

    def latest(self) -> Array:
        """Return all steps, oldest first: [steps, features]. Do not write to it."""
        return self._buffer[self._start : self._end]

    def remember_id(self, request_id: str, offset: int) -> None:
        """Keep the id of a request that brought steps."""
        self.ids[request_id] = offset
        if len(self.ids) > WINDOW_IDS_MAX:
            del self.ids[next(iter(self.ids))]

    def record(self) -> WindowRecord:
        """Return what is written to the topic."""
        return WindowRecord(
            request_offset=self.request_offset,
            input=self.input,
            datatype=self.datatype,
            features=self.features,
            steps=self.steps,
            data=self.latest().tobytes(),
            ids=dict(self.ids),
        )

    def _move(self, kept: int, added: int, steps_max: int) -> None:
        """Go on in a new buffer: others may still read the former."""
        capacity = min(2 * steps_max, max(_CAPACITY_STEPS_MIN, 2 * (kept + added)))
        buffer: Array = np.empty((capacity, self.features), self._buffer.dtype)
        buffer[:kept] = self._buffer[self._end - kept : self._end]
        self._buffer, self._start, self._end = buffer, 0, kept


def window_of(record: WindowRecord, writers: Iterable[str]) -> Window:
    """Return the window that a record describes. Raise ValueError if its bytes are not what it says."""
    window = Window(
        WindowRule(input=record.input, datatype=record.datatype, features=record.features, steps=record.steps)
    )
    if record.steps < 1 or record.features < 1:
        raise ValueError(f"{record.steps} steps of {record.features} features are no window")
    dtype = NUMPY_DTYPES[record.datatype]
    if len(record.data) != record.steps * record.features * dtype.itemsize:
        raise ValueError(
            f"{len(record.data)} bytes are not {record.steps} steps of {record.features} {record.datatype}"
        )
    window.append(np.frombuffer(record.data, dtype).reshape(record.steps, record.features), record.steps)
    window.request_offset = record.request_offset
    window.ids = record.ids
    window.writers = set(writers)
    return window
