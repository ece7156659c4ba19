"""The windows of one request partition: a fold of its requests.

Which windows there are is such a fold too: those of the `keys_max` series that brought steps last.
"""

from collections.abc import ItemsView, Iterable

from hotswap_events.inference.windows import WindowRecord, WindowRule, WindowsMarker, marker_key, parse_key, window_key
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from hotswap_stream.workers.inference.requests.tensors import WrongInputError
from hotswap_stream.workers.inference.windows.steps import NotTaken, Taken, WindowSteps, new_steps, series_key
from hotswap_stream.workers.inference.windows.window import Window

Change = tuple[bytes, WindowRecord | None]
"""Key and value of a record for the topic; None deletes."""


class PartitionWindows:
    """Hold the windows of one partition. `next_offset`: requests below it are taken in.

    `rule` is None until some version took a window.
    """

    def __init__(self, model_name: str, writer: str, *, next_offset: int, keys_max: int) -> None:
        self.next_offset = next_offset
        self.rule: WindowRule | None = None
        self.evicted = 0
        """Windows that made room for others, so far."""
        self.evicted_reported = 0
        self._model_name = model_name
        self._writer = writer
        self._keys_max = keys_max
        self._rule_number = 0
        self._windows: dict[bytes, Window] = {}
        """By series, the one that was added to longest ago first."""
        self._changed: dict[bytes, int] = {}
        """Series → the first request since its record was written, in the order of these."""
        self._gone: list[bytes] = []
        """Keys of records to delete."""
        self._marked = -1
        """`next_offset` of the latest marker."""

    def __len__(self) -> int:
        return len(self._windows)

    def items(self) -> ItemsView[bytes, Window]:
        """Return the windows by series, the one that was added to longest ago first."""
        return self._windows.items()

    @property
    def dirty(self) -> bool:
        """Whether there is something to write."""
        return self.rule is not None and (self.next_offset > self._marked or bool(self._changed) or bool(self._gone))

    # --- requests ----------------------------------------------------------------------------------------------------

    def take(self, entry: Request | Unreadable, *, evict: bool = True) -> WindowSteps:
        """Take a request's steps in, and return what is kept of its series then.

        Without `evict` there may be more than `keys_max` windows, until `end_replay`.
        """
        offset = entry.record.offset
        self.next_offset = max(self.next_offset, offset + 1)
        rule = self.rule
        if rule is None or isinstance(entry, Unreadable):
            return None
        headers = entry.headers
        if headers is not None and headers.model_name not in (None, self._model_name):
            return None  # it came to the wrong topic
        try:
            key, steps = series_key(entry), new_steps(entry, rule)
        except WrongInputError as error:
            return NotTaken(str(error))
        window = self._windows.get(key)
        if window is not None and offset <= window.request_offset:
            return Taken(rule, window.latest())  # it was taken in before
        request_id = entry.body.id
        if window is not None and request_id and not (headers is not None and headers.repeated_id_allowed):
            earlier = window.ids.get(request_id)
            if earlier is not None:
                return Taken(rule, window.latest(), earlier)
        if window is None or not window.fits(rule):
            writers = set() if window is None else window.writers
            window = Window(rule)
            window.writers = writers
        window.append(steps, rule.steps)
        window.request_offset = offset
        if request_id:
            window.remember_id(request_id, offset)
        self._windows.pop(key, None)
        self._windows[key] = window
        self._changed.setdefault(key, offset)
        if evict and len(self._windows) > self._keys_max:
            self._evict_surplus()
        return Taken(rule, window.latest())

    def end_replay(self, next_offset: int) -> None:
        """End the replay: requests below the offset were read again, as far as there are any."""
        self.next_offset = next_offset
        # Some were restored as they were after requests that stand after others that were read again.
        self._windows = dict(sorted(self._windows.items(), key=lambda item: item[1].request_offset))
        self._evict_surplus()

    def _evict_surplus(self) -> None:
        """Keep no more than `keys_max` windows: those added to longest ago go."""
        while len(self._windows) > self._keys_max:
            key = next(iter(self._windows))
            window = self._windows.pop(key)
            self._changed.pop(key, None)
            self._gone.extend(window_key(writer, key) for writer in sorted(window.writers))
            self.evicted += 1

    # --- what is kept in the topic -----------------------------------------------------------------------------------

    def restore(self, windows: Iterable[tuple[bytes, Window]], marker: WindowsMarker, marker_writers: set[str]) -> None:
        """Begin with what the topic holds; then `take` the requests from the marker's offset on, and `end_replay`.

        Nothing is evicted before: the records are of different times, and one may be that of a series that goes on in
        these requests.
        """
        self.rule, self._rule_number = marker.rule, marker.rule_number
        self.evicted = self.evicted_reported = marker.evicted
        self.next_offset = marker.next_offset
        self._marked = marker.next_offset
        self._windows = dict(sorted(windows, key=lambda item: item[1].request_offset))
        # This life's own is written anew.
        self._gone.extend(marker_key(writer) for writer in sorted(marker_writers - {self._writer}))

    def inherit(self, windows: Iterable[tuple[bytes, Window]], marker: WindowsMarker) -> None:
        """Begin with windows of series whose requests went to another partition so far; then `take` all requests here.

        Their offsets are those of the other partition, and mean nothing here.
        """
        self.rule, self._rule_number = marker.rule, marker.rule_number
        self.next_offset = 0
        for key, window in windows:
            window.request_offset = -1
            window.ids.clear()
            window.writers.clear()
            self._windows[key] = window
            self._changed[key] = 0

    def forget_offsets(self, next_offset: int) -> None:
        """Forget the offsets: the request topic was made anew, and what is kept is older than any request in it."""
        self.next_offset = next_offset
        for key, window in self._windows.items():
            window.request_offset = next_offset - 1
            window.ids.clear()
            # Records with the old offsets would win over all that is to come.
            self._gone.extend(window_key(writer, key) for writer in sorted(window.writers))
            window.writers.clear()
            self._changed[key] = next_offset

    def change_rule(self, rule: WindowRule) -> None:
        """Follow another rule from here on. Write all `changes` before it, and the marker before the next request."""
        self.rule = rule
        self._rule_number += 1

    def changes(self, records_max: int) -> list[Change]:
        """Return what to write now: records of series changed longest ago, deletions of those nobody needs any more."""
        found: list[Change] = []
        for key in list(self._changed)[:records_max]:
            del self._changed[key]
            window = self._windows[key]
            found.append((window_key(self._writer, key), window.record()))
            # After the record, so that one of the two is there at any time
            found.extend((window_key(writer, key), None) for writer in sorted(window.writers - {self._writer}))
            window.writers = {self._writer}
        return found

    def marker(self) -> tuple[bytes, WindowsMarker] | None:
        """Return key and value of what says up to where the records hold; write it after them. None without a rule."""
        if self.rule is None:
            return None
        self._marked = next(iter(self._changed.values()), self.next_offset)
        return marker_key(self._writer), WindowsMarker(
            next_offset=self._marked, rule=self.rule, rule_number=self._rule_number, evicted=self.evicted
        )

    def deletions(self) -> list[bytes]:
        """Return keys of records that nobody needs any more; delete them after the marker."""
        gone, self._gone = self._gone, []
        # Unless they were written again since
        return [key for key in gone if not self._is_current(key)]

    def _is_current(self, key: bytes) -> bool:
        parsed = parse_key(key)
        if parsed is None or parsed[1] is None:
            return False
        window = self._windows.get(parsed[1])
        return window is not None and parsed[0] in window.writers
