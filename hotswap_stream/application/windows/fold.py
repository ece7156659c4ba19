"""What one partition of a windows topic holds: of the records of a series the one with the highest request offset."""

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec
import structlog

from hotswap_events.inference.windows import WindowRecord, WindowsMarker, WindowStatusRecord, parse_key

_log = structlog.get_logger(__name__)

R = TypeVar("R", WindowRecord, WindowStatusRecord)

_markers = msgspec.msgpack.Decoder(WindowsMarker)


class WindowFold(Generic[R]):
    """Apply the records of one partition in their order."""

    def __init__(self, record_type: type[R]) -> None:
        self.marker: WindowsMarker | None = None
        self.marker_writers: set[str] = set()
        """Who has a marker there."""
        self.unreadable = 0
        self._records: msgspec.msgpack.Decoder[R] = msgspec.msgpack.Decoder(record_type)
        self._by_key: dict[bytes, dict[str, R]] = {}
        self._markers: dict[str, WindowsMarker] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply one record; what cannot be read is counted and passed over."""
        parsed = parse_key(key)
        if parsed is None:
            self.unreadable += 1
            return
        writer, series = parsed
        try:
            if series is None:
                self._apply_marker(writer, value)
            else:
                self._apply_window(writer, series, value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.unreadable += 1

    def windows(self, below: int | None = None) -> Iterator[tuple[bytes, R, frozenset[str]]]:
        """Yield each series' key, the record that holds, and all writers that have one.

        Args:
            below: The first request that does not exist; a record that names one at or above it is no worker's, and
                would hold for ever.
        """
        for series, by_writer in self._by_key.items():
            known = [record for record in by_writer.values() if below is None or record.request_offset < below]
            if known:
                yield series, max(known, key=lambda record: record.request_offset), frozenset(by_writer)

    def _apply_window(self, writer: str, series: bytes, value: bytes | None) -> None:
        if value is not None:
            self._by_key.setdefault(series, {})[writer] = self._records.decode(value)
            return
        by_writer = self._by_key.get(series, {})
        by_writer.pop(writer, None)
        if not by_writer:
            self._by_key.pop(series, None)

    def _apply_marker(self, writer: str, value: bytes | None) -> None:
        if value is None:
            self._markers.pop(writer, None)
        else:
            self._markers[writer] = _markers.decode(value)
        self.marker_writers = set(self._markers)
        self.marker = max(
            self._markers.values(), key=lambda marker: (marker.next_offset, marker.rule_number), default=None
        )
