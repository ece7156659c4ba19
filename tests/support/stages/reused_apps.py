"""Applications that are started again on other services: to build one takes longer than most tests of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from litestar import Litestar
from litestar.datastructures import State

from hotswap_stream.api import ApiServices
from hotswap_stream.api.app import app_on


class _App:
    def __init__(self, services: ApiServices) -> None:
        self.services = services
        self.app = app_on(lambda: self.services, *_limits(services))


def _limits(services: ApiServices) -> tuple[int, int]:
    return services.request_bytes_max, services.infer_bytes_max


_idle: dict[tuple[int, int], list[_App]] = {}


@contextmanager
def reused_app(services: ApiServices) -> Iterator[Litestar]:
    """An application on these services, which nobody else uses meanwhile."""
    idle = _idle.setdefault(_limits(services), [])
    lent = idle.pop() if idle else _App(services)
    lent.services = services
    yield lent.app
    # One that an exception came through is not used again.
    lent.app.state = State()
    idle.append(lent)
