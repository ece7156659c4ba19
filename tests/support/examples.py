"""How many examples a property is tried with: all, or fewer under `--hypothesis-profile check`."""

from collections.abc import Callable
from contextlib import suppress

from hypothesis import settings


class EnoughError(Exception):
    """A quick run has seen what it wanted to see."""


def quick() -> bool:
    """Tell whether this is a quick run."""
    return settings.get_current_profile_name() == "check"


def examples(count: int) -> int:
    """Return how many of `count` examples this run tries: all, or a tenth in a quick run."""
    return max(count // 10, 10) if quick() else count


def enough(seen_all: bool) -> None:
    """End `try_until_enough` in a quick run that has seen all; the whole run goes on to its last example."""
    if seen_all and quick():
        raise EnoughError


def try_until_enough(explore: Callable[[], None]) -> None:
    """Try the examples of `explore` until it says `enough`."""
    with suppress(EnoughError):
        explore()
