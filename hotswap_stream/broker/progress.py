"""What the embedded broker says while its user waits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["jars", "format", "start", "retry", "ready", "start_cache", "stop"]


@dataclass(frozen=True, slots=True)
class BrokerProgress:
    """One step: `text` for a person; `fraction` of the stage done, 0 to 1, or None when it cannot be known."""

    stage: Stage
    text: str
    fraction: float | None = None


ProgressCallback = Callable[[BrokerProgress], None]
"""Called from any thread, often; it must return at once and not raise."""


def ignore_progress(_event: BrokerProgress) -> None:
    """Do nothing: the callback of those who do not watch."""
