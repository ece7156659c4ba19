"""A rollout that is over, as the log has it."""

from collections.abc import Sequence

from msgspec import Struct

from hotswap_events.registry.events import ModelArchived, ModelPromoted, ModelRolledBack
from hotswap_events.rollouts.events import ROLLOUT_EVENT_TYPES, RolloutCompleted, RolloutStarted
from hotswap_stream.cli.demo.scene import AppliedEntry
from hotswap_stream.domain.state.rollout import RolloutState

_OF_ROLLOUTS: tuple[type, ...] = (*ROLLOUT_EVENT_TYPES.values(), ModelPromoted, ModelRolledBack, ModelArchived)


class Course(Struct, frozen=True, kw_only=True):
    """What happened to a rollout, from its start on."""

    rollout: RolloutState
    entries: tuple[AppliedEntry, ...]

    @property
    def began(self) -> AppliedEntry:
        """Return the event that started it."""
        return self.entries[0]

    @property
    def ended(self) -> AppliedEntry:
        """Return the event that promoted or aborted it; the bake comes after that."""
        return next(entry for entry in self.entries if isinstance(entry.event.data, RolloutCompleted))

    @property
    def seconds(self) -> float:
        """Return the seconds from its start to its end, by the broker's clock."""
        return (self.ended.at_ms - self.began.at_ms) / 1000

    @property
    def decided_by(self) -> set[str]:
        """Return who caused the events after the start."""
        first = self.began.event.causationid
        return {entry.event.actor for entry in self.entries if entry.event.causationid != first}


def course_of(rollout: RolloutState, entries: Sequence[AppliedEntry], *, since: int) -> Course:
    """Return the first rollout after this offset, which is over. `entries` are those of the model, oldest first."""
    later = [entry for entry in entries if entry.offset > since and isinstance(entry.event.data, _OF_ROLLOUTS)]
    first = next(number for number, entry in enumerate(later) if isinstance(entry.event.data, RolloutStarted))
    return Course(rollout=rollout, entries=tuple(later[first:]))
