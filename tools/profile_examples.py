"""Example command on a version's profile: it goes on where the model's history ends."""

from collections.abc import Callable, Sequence
from typing import Any

from hotswap_events.commands import AnyCommand, ProfileVersion

_INPUT = "BQEPAIAACAADAAAAAAAAAIAAAQB9AAAAAACAPgAAQD8AAEA/AAAAPwAAgD4="
"""A sketch of 0.25, 0.5 and 0.75."""
_SCORE = "BQEPAIAACAADAAAAAAAAAIAAAQB9AAAAKVxPP6RwfT+kcH0/exRuPylcTz8="
"""A sketch of 0.81, 0.93 and 0.99."""


def profile_commands(by: Callable[..., dict[str, Any]], active: str) -> Sequence[AnyCommand]:
    """Return the command. `by` takes a command id and a reason, and returns the fields common to all commands."""
    return (
        ProfileVersion(
            **by(command_id="c-61", reason="trained elsewhere"),
            model_version=active,
            source="digits-2026-01.npz",
            rows=3,
            sketches={"input": _INPUT, "score": _SCORE},
        ),
    )
