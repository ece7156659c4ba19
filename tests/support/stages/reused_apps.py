"""Applications that are started again on other services: to build one takes longer than most tests of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from litestar import Litestar
from litestar.datastructures import State

from hotswap_stream.api import ApiServices
from hotswap_stream.api.app import app_on
from hotswap_stream.api.services import INFER_BYTES_MAX, REQUEST_BYTES_MAX


class _App:
    def __init__(self, limits: tuple[int, int]) -> None:
        self.services: ApiServices
        self.app = app_on(lambda: self.services, *limits)


def _limits(services: ApiServices) -> tuple[int, int]:
    return services.request_bytes_max, services.infer_bytes_max


_idle: dict[tuple[int, int], list[_App]] = {}


@contextmanager
def reused_app(services: ApiServices) -> Iterator[Litestar]:
    """An application on these services, which nobody else uses meanwhile."""
    limits = _limits(services)
    idle = _idle.setdefault(limits, [])
    lent = idle.pop() if idle else _App(limits)
    lent.services = services
    yield lent.app
    # One that an exception came through is not used again.
    lent.app.state = State()
    idle.append(lent)


def keep_one_ready() -> None:
    """Build one with the usual limits, for whoever asks next."""
    limits = REQUEST_BYTES_MAX, INFER_BYTES_MAX
    _idle.setdefault(limits, []).append(_App(limits))
