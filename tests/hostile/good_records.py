"""Good records: numbered, acknowledged by the broker, and written down for the account at the end."""

import msgspec
from aiokafka.partitioner import DefaultPartitioner

from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import AbStrategy, Arm, MetricRule, RolloutPolicy
from tests.hostile.places import MODEL
from tests.hostile.records import HostileRecord
from tests.hostile.stage import PARTITIONS, HostileStage
from tests.support.stages.serving import request_body


class NotHandledError(AssertionError):
    """A good record was not handled; the message says which and what was there instead."""


class Ledger:
    """Good records that were acknowledged, for the account at the end."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, int, int], str] = {}
        """Model, partition and offset → id."""
        self.commands: list[str] = []
        self.steps: dict[str, int] = {}
        """Series of WINDOW_MODEL → steps that it got."""


class GoodRecords:
    """Writes them. `ledger`: what was acknowledged."""

    def __init__(self, hostile: HostileStage) -> None:
        self.ledger = Ledger()
        self._hostile = hostile
        self._number = 0

    def next(self, what: str) -> str:
        """A name that nothing else has."""
        self._number += 1
        return f"{what}-{self._number}"

    async def send(
        self,
        topic: str,
        partition: int,
        value: bytes,
        key: bytes | None = None,
        headers: list[tuple[str, bytes | None]] | None = None,
    ) -> int:
        """Its offset, acknowledged by the broker."""
        record = HostileRecord(topic=topic, partition=partition, value=value, key=key, headers=headers or [])
        (written,) = await self._hostile.wire.write([record])
        if written.refused is not None:
            raise NotHandledError(f"the broker did not take a good record for {topic}: {written.refused}")
        self._hostile.wire.hostile[topic, partition] -= set(written.offsets)
        return written.offsets[0]

    async def beside(self) -> None:
        """Good requests and a good command, for which nobody waits: the account at the end asks for their answers."""
        hostile = self._hostile
        for partition in range(PARTITIONS):
            name = self.next("beside")
            place = await self.send(hostile.topics.requests(MODEL), partition, request_body(name))
            self.ledger.requests[MODEL, partition, place] = name
        name = self.next("beside-command")
        fields = {"type": "hotswap.command.archive.v1", "model_version": "no-such-version"}
        body = {"command_id": name, "actor": "test", "model_name": MODEL, **fields}
        await self.send(hostile.topics.commands, partition_of_model(), msgspec.json.encode(body), MODEL.encode())
        self.ledger.commands.append(name)

    async def ensure_rollout(self) -> None:
        """A rollout by rewards and labels is on: else feedback is not looked up."""
        hostile = self._hostile
        await hostile.stage.registry.catch_up()
        state = hostile.stage.registry.state(MODEL)
        if state.rollout is None or state.rollout.status != "running":
            other = "v2" if state.active_version == "v1" else "v1"
            names = (str(state.active_version), other)
            command = StartRollout(
                command_id=self.next("rollout"),
                actor="test",
                model_name=MODEL,
                strategy=AbStrategy(arms=tuple(Arm(model_version=name, weight=5_000) for name in names)),
                policy=RolloutPolicy(
                    metrics=(
                        MetricRule(metric="reward", margin=1e9),
                        MetricRule(metric="accuracy", margin=1.0),
                        MetricRule(metric="squared-error", margin=1e30),
                        MetricRule(metric="ndcg", margin=1.0),
                    ),
                    answers_min=10**12,
                    auto_promote=False,
                    auto_archive=False,
                ),
                forced=True,
            )
            result = await hostile.stage.registry.handle(command)
            if result.status not in ("accepted", "unchanged"):
                raise NotHandledError(f"a rollout could not be started: {result}")
        rollout = hostile.stage.registry.state(MODEL).rollout
        hostile.world.rollout_id = None if rollout is None else rollout.rollout_id


def partition_of_model() -> int:
    """Return the partition of MODEL's records in topics of four partitions that are keyed by model."""
    every = list(range(4))
    found: int = DefaultPartitioner()(MODEL.encode(), every, every)
    return found
