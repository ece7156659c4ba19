"""A rollout that is over, as the log has it."""

from collections.abc import Sequence

from msgspec import Struct

from hotswap_events.registry import ModelArchived, ModelPromoted, ModelRolledBack
from hotswap_events.rollout import ROLLOUT_EVENT_TYPES, RolloutCompleted, RolloutStarted
from hotswap_stream.cli.demo.scene import AppliedEntry
from hotswap_stream.domain.state.rollout import RolloutState

_OF_ROLLOUTS: tuple[type, ...] = (*ROLLOUT_EVENT_TYPES.values(), ModelPromoted, ModelRolledBack, ModelArchived)


class Course(Struct, frozen=True, kw_only=True):
    """What happened to a rollout, from its start on."""

    rollout: RolloutState
    entries: tuple[AppliedEntry, ...]

    @property
    def began(self) -> AppliedEntry:
        """Its start."""
        return self.entries[0]

    @property
    def ended(self) -> AppliedEntry:
        """Promoted or aborted; the bake comes behind that."""
        return next(entry for entry in self.entries if isinstance(entry.event.data, RolloutCompleted))

    @property
    def seconds(self) -> float:
        """From its start to its end, by the broker's clock."""
        return (self.ended.at_ms - self.began.at_ms) / 1000

    @property
    def decided_by(self) -> set[str]:
        """Who did what came behind the start."""
        first = self.began.event.causationid
        return {entry.event.actor for entry in self.entries if entry.event.causationid != first}


def course_of(rollout: RolloutState, entries: Sequence[AppliedEntry], *, since: int) -> Course:
    """The first rollout behind this offset, which is over. `entries` of the model, oldest first."""
    later = [entry for entry in entries if entry.offset > since and isinstance(entry.event.data, _OF_ROLLOUTS)]
    first = next(number for number, entry in enumerate(later) if isinstance(entry.event.data, RolloutStarted))
    return Course(rollout=rollout, entries=tuple(later[first:]))
