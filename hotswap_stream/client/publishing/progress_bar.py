"""A bar for the bytes of an upload, where a person sees it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hotswap_stream.application.artifacts.publishing import Progress


@contextmanager
def showing_progress(wanted: bool | Progress) -> Iterator[Progress | None]:
    """Give what is to be called with the bytes that are sent: the caller's own, a bar on standard error, or None."""
    if not isinstance(wanted, bool):
        yield wanted
        return
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("upload"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("upload", total=None)
        yield lambda sent, total: bar.update(task, completed=sent, total=total)
