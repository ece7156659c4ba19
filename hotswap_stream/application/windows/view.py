"""How far the windows of a model's series are filled, read from the topic that workers keep them in."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from hotswap_events.windows import WindowStatusRecord
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.windows.fold import WindowFold

WINDOWS_IN_PAGE_MAX = 1_000

WindowFolds = Mapping[int, WindowFold[WindowStatusRecord]]
"""By request partition; empty where no windows were ever kept."""


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


class ModelWindows(Struct, frozen=True, kw_only=True):
    """A page of a model's series, by key."""

    model_name: str
    windows: tuple[WindowStatus, ...]
    total: int
    """All there are; ask for the ones behind a page with `after`."""
    ready: int
    """Those of all that have enough steps."""
    evicted: int
    """Series that made room for others, in the lives of all partitions."""


class WindowReader(Protocol):
    """Reads windows topics."""

    async def read(self, model_name: str) -> WindowFolds:
        """Read all partitions to their ends. What was read a moment ago may do.

        Raises:
            LogUnavailableError: They cannot be read.
        """
        ...


def model_windows(
    model_name: str, folds: WindowFolds, manifest: ArtifactManifest | None, *, after: str | None, limit: int
) -> ModelWindows:
    """Return a page of a model's windows. `manifest`: of the version in production."""
    found: list[WindowStatus] = []
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
                )
            )
    found.sort(key=lambda status: (status.key, status.partition))
    page = found if after is None else [status for status in found if status.key > after]
    return ModelWindows(
        model_name=model_name,
        windows=tuple(page[:limit]),
        total=len(found),
        ready=sum(status.ready for status in found),
        evicted=sum(fold.marker.evicted for fold in folds.values() if fold.marker is not None),
    )
