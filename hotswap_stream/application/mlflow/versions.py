"""Versions under the names that MLflow's clients have for them: numbers."""

import re
from itertools import islice

from hotswap_events.commands import Refusal
from hotswap_stream.domain.state.model import ModelState

NAMES_LISTED_MAX = 20

_OURS = re.compile(r"v([1-9][0-9]{0,17})")


def number_of(state: ModelState, model_version: str) -> str:
    """Return what MLflow's clients call a version: `3` for `v3`, any other name as it is."""
    numbered = _OURS.fullmatch(model_version)
    return model_version if numbered is None or numbered[1] in state.versions else numbered[1]


def version_named(state: ModelState, name: str) -> str | Refusal:
    """Return the version that a client means: the one of this name, or `v3` for `3`; a refusal if there is none."""
    for wanted in (name, f"v{name}"):
        if wanted in state.versions:
            return wanted
    newest = tuple(
        number_of(state, model_version) for model_version in islice(reversed(state.versions), NAMES_LISTED_MAX)
    )
    return Refusal(
        code="unknown-version",
        reason=f"{state.model_name!r} has no version {name[:100]!r}; it has {', '.join(newest) or 'none yet'}",
        legal=newest,
    )
