"""A rollout decided outside the log: the same fold, the same rules, and events that nobody writes.

It says what would have been decided, by another policy or on records of another time.
"""

from datetime import datetime

from msgspec import Struct

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import AnyCommand, Refusal
from hotswap_events.envelope import GENESIS
from hotswap_events.inference.observation import Observation
from hotswap_events.registry.events import RegistryEvent
from hotswap_stream.application.rollouts.analysis.due import due
from hotswap_stream.application.rollouts.analysis.figures import JudgedAnswer
from hotswap_stream.application.rollouts.analysis.folding import fold_judged, fold_observation
from hotswap_stream.application.rollouts.analysis.phases import in_step_with
from hotswap_stream.application.rollouts.analysis.table import ModelTable
from hotswap_stream.domain.decide import decide
from hotswap_stream.domain.evolve import evolve
from hotswap_stream.domain.state.model import ModelState

DUE_AT_ONCE_MAX = 64
"""Decisions that one record may lead to, one after the other; a rollout has no more steps."""


class Decided(Struct, frozen=True, kw_only=True):
    """One decision and what followed from it."""

    at: datetime
    command: AnyCommand
    events: tuple[RegistryEvent, ...]


class RolloutTrial:
    """Fold records in the order of their times. `state` is that of the model where the trial begins."""

    def __init__(self, state: ModelState, table: ModelTable | None = None) -> None:
        self.state = state
        self.table = in_step_with(table or ModelTable(), state.rollout)
        self.decided: list[Decided] = []
        self.refused: Refusal | None = None
        """The refusal of a command that was due; nothing more is decided then."""
        self._records = 0

    def apply(self, command: AnyCommand, at: datetime) -> None:
        """Decide a command in the trial's own state. It keeps the refusal, if it is one."""
        decision = decide(self.state, command)
        if isinstance(decision, Refusal):
            self.refused = decision
            return
        for data in decision.events:
            self.state = evolve(
                self.state,
                REGISTRY_CODEC.envelope(
                    data,
                    id=f"trial-{self.state.sequence + 1}",
                    source="/hotswap/trial",
                    subject=self.state.model_name,
                    time=at,
                    sequence=self.state.sequence + 1,
                    previous=GENESIS,
                    actor=command.actor,
                    causationid=command.command_id,
                    correlationid=command.command_id,
                ),
            )
        self.decided.append(Decided(at=at, command=command, events=decision.events))

    def observe(self, record: Observation, at: datetime | None = None) -> bool:
        """Fold an observation and decide what is due then: at the record's own time, unless another is given.

        False for one that cannot be folded. It changes nothing: the agents put it aside too.
        """
        try:
            self.table = fold_observation(self.table, self.state.rollout, record)
        except ValueError:
            return False
        self._records += 1
        self.tick(at or record.until)
        return True

    def judge(self, judged: JudgedAnswer, at: datetime) -> None:
        """Fold what turned out about an answer, and decide what is due then."""
        self._records += 1
        self.table = fold_judged(self.table, self.state.rollout, judged)
        self.tick(at)

    def tick(self, now: datetime) -> None:
        """Decide what is due at this time."""
        for _attempt in range(DUE_AT_ONCE_MAX):
            rollout = self.state.rollout
            self.table = in_step_with(self.table, rollout)
            if rollout is None or self.table.rollout is None or self.refused is not None:
                return
            command = due(self.state.model_name, rollout, self.table.rollout, now=now, read_up_to=self._records)
            if command is None:
                return
            self.apply(command, now)
