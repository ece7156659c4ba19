"""How many examples a property is tried with: all, or fewer under `--hypothesis-profile check`."""

from collections.abc import Callable
from contextlib import suppress

from hypothesis import Phase, settings


class EnoughError(Exception):
    """What was wanted has been seen."""


def quick() -> bool:
    """Tell whether this is a quick run."""
    return settings.get_current_profile_name() == "check"


def examples(count: int) -> int:
    """Return how many of `count` examples this run tries: all, or a tenth in a quick run."""
    return max(count // 10, 10) if quick() else count


def enough(seen_all: bool) -> None:
    """End `try_until_enough` when all has been seen: more examples would show nothing else."""
    if seen_all:
        raise EnoughError


def fixed(count: int) -> settings:
    """Return the settings of `explore`: no example is made smaller when it was enough.

    Args:
        count: How many examples are tried at most. Give many times what is needed: the examples are the same each time
            only while the same modules are imported, because Hypothesis draws some integers from the constants of them.
    """
    return settings(max_examples=count, derandomize=True, database=None, phases=[Phase.generate])


def try_until_enough(explore: Callable[[], None]) -> None:
    """Try the examples of `explore` until it says `enough`."""
    with suppress(EnoughError):
        explore()
