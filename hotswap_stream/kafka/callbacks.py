"""Errors of callbacks that librdkafka's client calls in the middle of `poll` and `consume`.

The client hands on what a callback raises in a form that no `except` takes: it would end the thread, and nobody would
hear of it. So nothing is raised there; it is kept, and raised after the call.
"""

from collections.abc import Callable
from typing import Any, ParamSpec

P = ParamSpec("P")


class CallbackErrors:
    """Keep the first error until somebody asks."""

    def __init__(self) -> None:
        self._error: Exception | None = None

    def guarded(self, callback: Callable[P, Any]) -> Callable[P, None]:
        """Return the callback, with its errors kept here."""

        def keeping(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                callback(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  # whatever it is, it comes up in `check`
                self._error = self._error or error

        return keeping

    def check(self) -> None:
        """Raise what a callback raised."""
        error, self._error = self._error, None
        if error is not None:
            raise error
