"""Writes the golden history of this release: `python -m tests.replay.make_history [FOLDER]`.

Run it once a release. What is there already is never overwritten: a history that today's code would write differently
stays as it is, and that difference is what the replay tests are for. (Only a release that is not published yet may be
made anew: delete its folder first.) Clock and ids are fixed, so the bytes are too.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import msgspec

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_events.commands import AnyCommand
from hotswap_events.registry.events import Provenance
from hotswap_stream import __version__
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.audit.audit import export_log
from hotswap_stream.application.audit.export import read_export
from hotswap_stream.application.registry.registry import Registry
from tests.replay.actor_history import actors
from tests.replay.alert_care_history import alert_care
from tests.replay.alert_history import alerts, falling_alerts
from tests.replay.approval_history import approvals
from tests.replay.command_history import commands
from tests.replay.dataset_history import datasets
from tests.replay.emergency_history import emergencies
from tests.replay.graph_history import graphs
from tests.replay.option_history import version_options
from tests.replay.profile_history import profiles
from tests.replay.replayed_state import replayed_state
from tests.replay.rollout_history import rollouts
from tests.replay.serving_history import circuits
from tests.replay.tag_history import tags
from tests.replay.training_history import training, unclaimed
from tests.replay.trial_history import trials
from tests.replay.trigger_history import triggers, version_on_way
from tests.replay.validation_set_history import validation_sets
from tests.replay.webhook_history import webhooks
from tests.support.checkout import ROOT
from tests.support.samples.registry import (
    VALIDATION_SET,
    CountingIds,
    SteppingClock,
    archive,
    artifact_of,
    fail_training,
    in_envelope,
    promote,
    promoted,
    register,
    roll_back,
    stage,
    staged,
    start_training,
    switch,
    validate,
)

HISTORIES = ROOT / "events" / "histories"
SUMS = "SHA256SUMS"

TRAINED = Provenance(
    origin="trained",
    created_by="trainer",
    code_revision="4f0c2d1b9a",
    data_snapshot=f"sha256:{'d' * 64}",
    image=f"sha256:{'e' * 64}",
    environment={"python": "3.11.7", "torch": "2.8.0"},
)


class Writers:
    """Two processes' registries on one log in memory, with clocks and ids that give the same on every run."""

    def __init__(self) -> None:
        self.shared = MemoryRegistry(SteppingClock())
        self.one, self.other = (
            Registry(
                MemoryRegistryLog(self.shared),
                clock=SteppingClock(),
                ids=CountingIds(f"00000000-0000-4000-8000-{name}"),
                source=f"/hotswap/{name}",
            )
            for name in ("api", "agents")
        )
        self._commands = CountingIds("command")

    async def send(self, *commands: AnyCommand, actor_by: str | None = None) -> None:
        """One after the other through the first process; each is accepted."""
        for command in commands:
            result = await self.one.handle(self._named(command), actor_by=actor_by)
            assert result.status == "accepted", result

    async def race(self, mine: AnyCommand, theirs: AnyCommand) -> None:
        """Both at once, through different processes: the second one's event is void, then decided again."""
        await self.other.catch_up()
        await asyncio.gather(self.one.handle(self._named(mine)), self.other.handle(self._named(theirs)))

    async def append(self, *values: bytes) -> None:
        """Records as they are."""
        for value in values:
            await self.one.log.append(b"digits", [value])
        await self.one.catch_up()

    def head(self) -> tuple[int, str]:
        stream = self.one.stream("digits")
        assert stream is not None
        return stream.state.sequence, stream.head_digest

    def _named(self, command: AnyCommand) -> AnyCommand:
        return msgspec.structs.replace(command, command_id=self._commands.new_id())


async def lifecycle(writers: Writers) -> None:
    """Every command and every event type, every optional field once, two models."""
    await writers.send(
        start_training(
            "run-1",
            data_snapshot=TRAINED.data_snapshot,
            parameters={"epochs": "3", "seed": "7"},
            reason="first data is in",
            correlation_id="onboarding",
            traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        register("v1", run_id="run-1", provenance=TRAINED, metrics={"accuracy": 0.97, "f1": 0.96}, tags={"team": "ä"}),
        validate("v1", 0.97, promote_first=True),
        register(None, artifact=artifact_of("v2"), reason="trained elsewhere"),
        validate("v2", 0.98, ("v1", 0.97)),
        stage("v2"),
        promote("v2", actor="bob", reason="better on 4 and 9"),
        roll_back("emergency", "v2", reason="alarms from the field"),
        start_training("run-2"),
        fail_training("run-2"),
        register("inverted"),
        validate("inverted", 0.02, ("v1", 0.97)),
        register("close"),
        validate("close", 0.90, ("v1", 0.97)),
        promote("close", reason="a person decided"),
        stage("v2"),
        switch("v2", actor="operator", reason="at once"),
        archive("close"),
        roll_back("load-failed", "v2"),
        register("v1", model_name="faces", artifact=artifact_of("faces")),
        validate("v1", 0.6, model_name="faces", validation_set=VALIDATION_SET, baseline_figures={"accuracy": 0.5}),
        promote("v1", model_name="faces"),
    )


async def disturbed(writers: Writers) -> None:
    """Races, garbage, a zombie's late write, a contradiction, and an event of a newer release."""
    await writers.send(register("v1"), validate("v1", promote_first=True))
    await writers.race(register("v2"), register("v3"))
    await writers.race(stage("v3"), validate("v2", 0.1, ("v1", 0.97)))
    await writers.append(b"", b"garbage", b"\xff\x00", b"{}", b"[" * 2_000)
    zombie = writers.shared.records[0].value or b""
    sequence, head = writers.head()
    contradiction = in_envelope(promoted("v2", "v9"), sequence=sequence + 1, previous=head, causationid="contradiction")
    await writers.append(zombie, REGISTRY_CODEC.encode(contradiction))
    await writers.send(register("v4"))
    sequence, head = writers.head()
    newer = REGISTRY_CODEC.encode(in_envelope(staged("v4"), sequence=sequence + 1, previous=head, causationid="newer"))
    newer = newer.replace(b"hotswap.model.staged.v1", b"hotswap.model.future.v9")
    behind = in_envelope(promoted("v4", "v9"), sequence=sequence + 2, previous=digest_of(newer), causationid="behind")
    await writers.append(newer, REGISTRY_CODEC.encode(behind))


async def exported(write: Callable[[Writers], Awaitable[None]]) -> bytes:
    writers = Writers()
    await writers.one.start()
    await writers.other.start()
    await write(writers)
    file = BytesIO()
    await export_log(writers.one.log, file)
    await writers.one.stop()
    await writers.other.stop()
    return file.getvalue()


SCENARIOS: tuple[tuple[str, Callable[[Writers], Awaitable[None]]], ...] = (
    ("lifecycle", lifecycle),
    ("disturbed", disturbed),
    ("rollouts", rollouts),
    ("circuits", circuits),
    ("profiles", profiles),
    ("alerts", alerts),
    ("emergencies", emergencies),
    ("trials", trials),
    ("validation-sets", validation_sets),
    ("graphs", graphs),
    ("tags", tags),
    ("version-options", version_options),
    ("actors", actors),
    ("commands", commands),
    ("alert-care", alert_care),
    ("falling-alerts", falling_alerts),
    ("approvals", approvals),
    ("webhooks", webhooks),
    ("datasets", datasets),
    ("training", training),
    ("triggers", triggers),
    ("unclaimed-runs", unclaimed),
    ("version-on-way", version_on_way),
)
"""File name → what is written into it. A scenario that was written once is never changed; a new one gets a line."""


async def make_history() -> dict[str, bytes]:
    """File name → content."""
    files: dict[str, bytes] = {}
    for name, write in SCENARIOS:
        content = await exported(write)
        files[f"{name}.jsonl"] = content
        state = msgspec.json.encode(replayed_state(read_export(BytesIO(content))))
        files[f"{name}.state.json"] = msgspec.json.format(state, indent=1) + b"\n"
    sums = (f"{sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    return {**files, SUMS: "".join(sums).encode()}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in asyncio.run(make_history()).items():
        path = folder / name
        if not path.exists():
            path.write_bytes(content)
        elif path.read_bytes() != content:
            sys.exit(f"{path} is there, and not what this release writes: histories are never rewritten")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HISTORIES / __version__)
