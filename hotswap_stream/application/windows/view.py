"""How far the windows of a model's series are filled, read from the topic that workers keep them in."""

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct

from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.windows.split import Homes, WindowFolds, split_keys

WINDOWS_IN_PAGE_MAX = 1_000


class WindowStatus(Struct, frozen=True, kw_only=True):
    """One series."""

    key: str
    """Bytes that are not UTF-8 are written as \\xNN."""
    partition: int
    steps: int
    """There are, as of about a second ago."""
    needed: int
    """The version in production takes; where it takes no window, as many as are kept."""
    ready: bool
    """Whether there are enough."""
    also_in: tuple[int, ...] = ()
    """Other partitions with steps of the same series, where producers hash its key differently: none of its windows
    fills as it should."""


class ModelWindows(Struct, frozen=True, kw_only=True):
    """A page of a model's series, by key."""

    model_name: str
    windows: tuple[WindowStatus, ...]
    total: int
    """All there are; ask for those that come after a page with `after`."""
    ready: int
    """Those of all that have enough steps."""
    evicted: int
    """Series that made room for others, in the lives of all partitions."""
    split: int = 0
    """Series of all that lie in several partitions."""


class WindowReader(Protocol):
    """Reads windows topics."""

    async def read(self, model_name: str) -> WindowFolds:
        """Read all partitions to their ends. What was read a moment ago may do.

        Raises:
            LogUnavailableError: They cannot be read.
        """
        ...

    def homes(self, key: bytes, partitions: int) -> Collection[int]:
        """See Homes."""
        ...


def model_windows(
    model_name: str,
    folds: WindowFolds,
    manifest: ArtifactManifest | None,
    homes: Homes,
    *,
    after: str | None,
    limit: int,
) -> ModelWindows:
    """Return a page of a model's windows; one key's are never parted.

    Args:
        model_name: Whose windows they are.
        folds: What the windows topic holds.
        manifest: Of the version in production.
        homes: Where keys belong.
        after: Only keys behind this one.
        limit: How many at most, but for further partitions of the last key.
    """
    found: list[WindowStatus] = []
    split = split_keys(folds, homes)
    for partition, fold in folds.items():
        if fold.marker is None:
            continue
        taken = None if manifest is None else manifest.window
        needed = fold.marker.rule.steps if taken is None else taken.steps
        for key, record, _ in fold.windows():
            found.append(
                WindowStatus(
                    key=key.decode(errors="backslashreplace"),
                    partition=partition,
                    steps=record.steps,
                    needed=needed,
                    ready=record.steps >= needed,
                    also_in=tuple(other for other in split.get(key, ()) if other != partition),
                )
            )
    found.sort(key=lambda status: (status.key, status.partition))
    page = found if after is None else [status for status in found if status.key > after]
    ends = limit
    while 0 < ends < len(page) and page[ends].key == page[ends - 1].key:
        ends += 1  # the next page begins behind this key
    return ModelWindows(
        model_name=model_name,
        windows=tuple(page[:ends]),
        total=len(found),
        ready=sum(status.ready for status in found),
        evicted=sum(fold.marker.evicted for fold in folds.values() if fold.marker is not None),
        split=len(split),
    )
