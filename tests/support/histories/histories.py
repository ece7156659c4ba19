"""Hypothesis strategies: random commands, most of them legal at some point, many of them not; and hostile records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_events.commands import AnyCommand
from hotswap_events.envelope import GENESIS, Envelope
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import RegistryFold
from hotswap_stream.domain.decide import Accepted, Decision, decide
from hotswap_stream.domain.state.model import ModelState
from tests.support.histories.alert_intents import alert_command
from tests.support.histories.dataset_intents import dataset_command
from tests.support.histories.rollout_intents import rollout_command
from tests.support.histories.serving_intents import serving_command
from tests.support.histories.trigger_intents import trigger_command, worked_on
from tests.support.samples.profiles import profile
from tests.support.samples.registry import (
    archive,
    artifact_of,
    fail_training,
    in_envelope,
    promote,
    register,
    roll_back,
    signature_of,
    stage,
    start_training,
    switch,
    validate,
)
from tests.support.samples.training import cancel, claim, request

MODELS = ("a", "b")
VERSIONS = ("v1", "v2", "v3", "blue")
RUNS = ("run-1", "run-2")
COMMAND_IDS = tuple(f"id-{number}" for number in range(300))

_models = st.sampled_from(MODELS)
_ids = st.sampled_from(COMMAND_IDS)


@dataclass(frozen=True)
class Intent:
    """A command that is completed when it is its turn: an honest one mostly names what exists by then."""

    kind: str
    model_name: str
    command_id: str
    version_index: int
    run_id: str
    accuracy: float
    expects_sequence: bool
    honest: bool
    seed: int

    def command(self, state: ModelState) -> AnyCommand:
        """The command as it is sent to a model in this state."""
        attributes: dict[str, Any] = {"model_name": self.model_name, "command_id": self.command_id}
        if self.expects_sequence:
            attributes["expected_sequence"] = state.sequence if self.honest else self.version_index
        known = tuple(state.versions) if self.honest and state.versions else VERSIONS
        version = known[self.version_index % len(known)]
        match self.kind:
            case "start training":
                return start_training(self.run_id, **attributes)
            case "fail training":
                return fail_training(self.run_id, cause="silent" if self.seed % 2 else "timed-out", **attributes)
            case "request training":
                return request(self.run_id, retries=self.seed % 3, **attributes)
            case "claim training":
                return claim(self.run_id, f"runner-{self.seed % 2}", **attributes)
            case "work on training":
                return worked_on(state, self.seed, **attributes)
            case "cancel training":
                return cancel(self.run_id, **attributes)
            case "register":
                run_id = self.run_id if self.version_index % 3 == 0 else None
                options = VersionOptions(precision="bf16") if self.seed % 3 == 0 else None
                return register(None if self.honest else version, run_id=run_id, options=options, **attributes)
            case "register signed":
                shape = (-1, 2) if self.seed % 2 else (-1, 3)
                artifact = replace(artifact_of(version), signature=signature_of(shape))
                return register(None, artifact=artifact, **attributes)
            case "validate":
                active = state.active_version if self.honest else version
                baseline = None if active is None else (active, 0.95)
                return validate(version, self.accuracy, baseline, promote_first=self.version_index < 2, **attributes)
            case "stage":
                return stage(version, **attributes)
            case "promote":
                return promote(version, **attributes)
            case "switch":
                return switch(version, **attributes)
            case "archive":
                return archive(version, **attributes)
            case "profile":
                return profile(version, rows=1 + self.seed % 2, **attributes)
            case "rollout":
                return rollout_command(state, self.seed, **attributes)
            case "serving":
                return serving_command(state, self.seed, **attributes)
            case "trigger":
                return trigger_command(state, self.seed, **attributes)
            case "alert":
                return alert_command(state, self.seed, **attributes)
            case "dataset":
                return dataset_command(state, self.seed, **attributes)
            case _:
                return roll_back("operator", None if self.honest else version, **attributes)


KINDS = {
    "register": 4,
    "validate": 5,
    "promote": 6,
    "stage": 2,
    "switch": 2,
    "archive": 2,
    "roll back": 2,
    "start training": 1,
    "fail training": 1,
    "profile": 1,
    "rollout": 10,
    "dataset": 2,
}
SERVING_KINDS = {"register": 3, "promote": 4, "switch": 5, "archive": 1, "roll back": 1, "serving": 16}
TRAINING_KINDS = {
    "request training": 5,
    "claim training": 6,
    "start training": 4,
    "fail training": 3,
    "cancel training": 2,
    "register": 3,
}
TRIGGER_KINDS = {"register": 2, "promote": 1, "switch": 1, "trigger": 20}
ON_WAY_KINDS = {"promote": 1, "switch": 1, "validate": 4, "rollout": 8, "trigger": 12, "work on training": 16}
ALERT_KINDS = {"register": 2, "promote": 1, "switch": 1, "rollout": 1, "alert": 16}


def _intent(seed: int, kinds: Mapping[str, int] = KINDS) -> Intent:
    """One draw an intent, so that long histories stay cheap; Hypothesis shrinks by leaving intents out."""
    random = Random(seed)
    return Intent(
        kind=random.choices(tuple(kinds), tuple(kinds.values()))[0],
        model_name=random.choice(MODELS),
        command_id=random.choice(COMMAND_IDS),
        version_index=random.randrange(12),
        run_id=random.choice(RUNS),
        accuracy=random.choice((0.3, 0.5, 0.9, 0.97, 0.97, 0.97, 1.0)),
        expects_sequence=random.random() < 0.1,
        honest=random.random() < 0.8,
        seed=random.randrange(1 << 30),
    )


intents = st.integers(0, 0xFFFF).map(_intent)
histories = st.lists(intents, max_size=30) | st.lists(intents, min_size=40, max_size=80)
serving_histories = st.lists(
    st.integers(0, 0xFFFF).map(lambda seed: _intent(seed, SERVING_KINDS)), min_size=40, max_size=80
)
"""Mostly about circuits, their policy and the off switch."""
alert_histories = st.lists(
    st.integers(0, 0xFFFF).map(lambda seed: _intent(seed, ALERT_KINDS)), min_size=40, max_size=80
)
"""Mostly about alerts and their policy."""
SIGNED_KINDS = {**KINDS, "register signed": 4, "serving": 6}
signed_histories = st.lists(
    st.integers(0, 0xFFFF).map(lambda seed: _intent(seed, SIGNED_KINDS)), min_size=40, max_size=80
)
"""About versions that differ in what they take, so that one may not stand in for another unasked."""
training_histories = st.lists(
    st.integers(0, 0xFFFF).map(lambda seed: _intent(seed, TRAINING_KINDS)), min_size=20, max_size=60
)
"""Mostly about training runs that are asked for, claimed, and ended in all ways."""
trigger_histories = st.lists(
    st.integers(0, 0xFFFF).map(lambda seed: _intent(seed, TRIGGER_KINDS)), min_size=20, max_size=60
)
"""Mostly about what starts training runs."""
on_way_histories = st.lists(
    st.integers(0, 0xFFFF).map(lambda seed: _intent(seed, ON_WAY_KINDS)), min_size=40, max_size=100
)
"""About triggers whose runs make versions, which then are in rollouts."""
all_histories = histories | serving_histories | alert_histories | training_histories | trigger_histories


@dataclass
class Writer:
    """Handles commands against a fold of its own and appends the decisions, as one process with the log to itself."""

    records: list[LogRecord] = field(default_factory=list)
    fold: RegistryFold = field(default_factory=RegistryFold)

    def handle(self, intent: Intent) -> tuple[AnyCommand, Decision]:
        """Decide and append; what was decided."""
        state = self.fold.state(intent.model_name)
        command = intent.command(state)
        decision = decide(state, command)
        if isinstance(decision, Accepted):
            self._append(command, decision)
        return command, decision

    def handle_all(self, intents: list[Intent]) -> "Writer":
        for intent in intents:
            self.handle(intent)
        return self

    def append_value(self, value: bytes | None, key: bytes | None = None) -> LogRecord:
        """Any record; the fold sees it at once."""
        record = LogRecord(len(self.records), len(self.records), key, value)
        self.records.append(record)
        self.fold.apply(record)
        return record

    def _append(self, command: AnyCommand, decision: Accepted) -> None:
        for data in decision.events:
            stream = self.fold.streams.get(command.model_name)
            state = self.fold.state(command.model_name)
            envelope = in_envelope(
                data,
                subject=command.model_name,
                sequence=state.sequence + 1,
                previous=GENESIS if stream is None else stream.head_digest,
                causationid=command.command_id,
                id=f"event-{len(self.records)}",
            )
            self.append_value(REGISTRY_CODEC.encode(envelope), command.model_name.encode())


@st.composite
def hostile_values(draw: st.DrawFn, known: list[bytes]) -> bytes | None:
    """A value that no correct writer would append now: garbage, a piece of an event, an event again or off the head.

    `known`: values of events of the log so far.
    """
    kind = draw(st.sampled_from(("garbage", "again", "cut", "changed", "elsewhere", "elsewhere")))
    if kind == "garbage" or not known:
        return draw(st.none() | st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
    value = draw(st.sampled_from(known))
    if kind == "again":
        return value
    position = draw(st.integers(0, len(value) - 1))
    if kind == "cut":
        return value[:position]
    if kind == "changed":
        return value[:position] + draw(st.binary(min_size=1, max_size=1)) + value[position + 1 :]
    event = REGISTRY_CODEC.decode(value)
    assert isinstance(event, Envelope)
    return REGISTRY_CODEC.encode(
        in_envelope(
            event.data,
            subject=draw(_models),
            sequence=draw(st.integers(1, 40)),
            previous=draw(st.sampled_from([GENESIS, "f" * 64, *map(digest_of, known)])),
            causationid=draw(_ids),
        )
    )


def contended_log(intents: list[Intent], seed: int, *, writers: int = 3) -> list[LogRecord]:
    """A log as several processes write it: whose turn it is, and whether that one reads first, is drawn from `seed`."""
    random = Random(seed)
    records: list[LogRecord] = []
    folds = [RegistryFold() for _ in range(writers)]
    for intent in intents:
        fold = random.choice(folds)
        if random.random() < 0.6:
            for record in records[fold.next_offset :]:
                fold.apply(record)
        decision = decide(fold.state(intent.model_name), intent.command(fold.state(intent.model_name)))
        if isinstance(decision, Accepted):
            stream = fold.streams.get(intent.model_name)
            sequence, previous = (0, GENESIS) if stream is None else (stream.state.sequence, stream.head_digest)
            for data in decision.events:
                sequence += 1
                envelope = in_envelope(
                    data,
                    subject=intent.model_name,
                    sequence=sequence,
                    previous=previous,
                    causationid=intent.command_id,
                    id=f"event-{len(records)}",
                )
                value = REGISTRY_CODEC.encode(envelope)
                previous = digest_of(value)
                records.append(LogRecord(len(records), len(records), intent.model_name.encode(), value))
    return records


contended_logs = st.builds(contended_log, histories, st.integers(0, 0xFFFF))
