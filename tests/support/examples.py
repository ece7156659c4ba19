"""How many examples a property is tried with."""

from hypothesis import settings


def examples(count: int) -> int:
    """Return how many of `count` examples this run tries: all, or a tenth under `--hypothesis-profile check`."""
    return max(count // 10, 10) if settings.get_current_profile_name() == "check" else count
