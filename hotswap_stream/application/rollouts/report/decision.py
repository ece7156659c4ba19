"""How a rollout ended, as the log says it."""

from datetime import datetime

from msgspec import Struct

from hotswap_stream.domain.state.rollout import RolloutState

_WORDS = {
    "promoted": "{version} was promoted",
    "aborted": "it was aborted",
    "superseded": "a version was put into production past it",
    "rolled-back": "{version} was rolled back while it baked",
}


class RolloutDecision(Struct, frozen=True, kw_only=True):
    """What ended a rollout, by whom, and why."""

    outcome: str
    model_version: str | None
    """The one that was promoted."""
    by: str
    reason: str | None
    asked_by: str
    """Who asked for the rollout under the policy that held at the end."""
    asked_reason: str | None
    at: datetime
    sequence: int

    def __str__(self) -> str:
        told = _WORDS.get(self.outcome, self.outcome).format(version=self.model_version)
        asked = "" if self.asked_by in ("", self.by) else f", asked for by {self.asked_by}"
        if asked and self.asked_reason:
            asked += f" ({self.asked_reason})"
        why = f": {self.reason}" if self.reason else ""
        return f"{told} by {self.by}{why}{asked}"


def decision_of(rollout: RolloutState) -> RolloutDecision | None:
    """Return what ended the rollout; None while it goes on."""
    if rollout.ended_at is None or rollout.ended_sequence is None:
        return None
    return RolloutDecision(
        outcome=rollout.status,
        model_version=rollout.promoted_version,
        by=rollout.ended_by,
        reason=rollout.ended_reason,
        asked_by=rollout.asked_by,
        asked_reason=rollout.asked_reason,
        at=rollout.ended_at,
        sequence=rollout.ended_sequence,
    )
