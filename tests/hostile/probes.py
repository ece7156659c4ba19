"""What must work after hostile records: the next good record of each topic is handled, within a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import msgspec
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Consumer, KafkaException, TopicPartition

from hotswap_events import headers as header_names
from hotswap_events.observation import Observation
from hotswap_events.rollout_commands import StartRollout
from hotswap_events.rollout_strategy import AbStrategy, Arm, MetricRule, RolloutPolicy
from hotswap_events.validation_policy import ValidationPolicy
from tests.hostile.places import MODEL, WINDOW_MODEL, Probe
from tests.hostile.records import HostileRecord
from tests.hostile.stage import PARTITIONS, WORKER, HostileStage
from tests.hostile.watch import Seen
from tests.integration.serving_stage import request_body
from tests.integration.window_stage import STEPS, steps_body
from tests.torture.topic_reading import LOG_LEVEL

SECONDS_MAX = 30.0
"""T: within it the next good record must be handled."""
_POLL_SECONDS = 0.05
_OFFSET = header_names.REQUEST_OFFSET


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


class Probes:
    """Good traffic on demand. `run` raises NotHandledError."""

    def __init__(self, hostile: HostileStage, seconds_max: float = SECONDS_MAX) -> None:
        self.ledger = Ledger()
        self.seconds_max = seconds_max
        self._hostile = hostile
        self._number = 0
        self._group = Consumer(
            {
                "bootstrap.servers": hostile.servers,
                "group.id": f"{hostile.topics.prefix}-agents",
                "log_level": LOG_LEVEL,
            }
        )
        self._probes: dict[Probe, Callable[[], Awaitable[None]]] = {
            "requests": self._requests,
            "http": self._http,
            "commands": self._commands,
            "feedback": self._feedback,
            "observations": self._observations,
            "fleet": self._fleet,
            "windows": self._windows,
            "dead letters": self._dead_letters,
        }

    def close(self) -> None:
        """Disconnect."""
        self._group.close()

    async def run(self, names: tuple[Probe, ...]) -> None:
        """One good record of each of these, and what becomes of it."""
        for name in names:
            await self._probes[name]()

    async def _requests(self) -> None:
        for partition in range(PARTITIONS):
            name = self._next("good")
            place = await self._send(self._hostile.topics.requests(MODEL), partition, request_body(name))
            self.ledger.requests[MODEL, partition, place] = name
            answer = await self.until(f"request {partition}:{place}", partial(self._answer, MODEL, partition, place))
            body = answer.body()
            version, outputs = body.get("model_version"), body.get("outputs")
            wanted = {"v1": [1.0, 1.0], "v2": [2.0, 2.0]}.get(str(version))
            if not outputs or outputs[0]["data"] != wanted or body.get("id") != name:
                raise NotHandledError(f"request {partition}:{place} was answered with {answer.value!r:.300}")
            self._hostile.world.answered = (partition, place)

    def _answer(self, model_name: str, partition: int, offset: int) -> Seen | None:
        topic = self._hostile.topics.responses(model_name)
        return self._hostile.watch.newest(
            topic, lambda record: record.partition == partition and record.number(_OFFSET) == offset
        )

    async def _http(self) -> None:
        last = ""

        async def asked() -> bool:
            nonlocal last
            try:
                answer = await self._hostile.http.post(
                    f"/v2/models/{MODEL}/infer",
                    content=request_body(self._next("http")),
                    headers={"Content-Type": "application/json"},
                )
            except httpx.HTTPError as error:
                last = repr(error)
                return False
            last = f"{answer.status_code} {answer.text[:200]}"
            return answer.status_code == 200 and answer.json()["outputs"][0]["data"] in ([1.0, 1.0], [2.0, 2.0])

        await self.until("a request over HTTP", asked, lambda: last)

    async def _commands(self) -> None:
        """A command on the topic is carried out, and what came of it is followed everywhere."""
        policy = ValidationPolicy(pass_margin=0.05 + self._number % 7 / 1_000)
        result = await self._command({"type": "hotswap.command.set-validation-policy.v1", "policy": policy})
        offset = result["offset"]
        await self.until("the API following the log", lambda: self._api_offset(offset))
        await self.until("the state of the model being published", lambda: self._published(offset))
        await self.until("the worker following the log", lambda: self._worker_offset(offset))

    async def _command(self, fields: dict[str, Any]) -> dict[str, Any]:
        hostile, name = self._hostile, self._next("good-command")
        body = {"command_id": name, "actor": "test", "model_name": MODEL, **fields}
        await self._send(hostile.topics.commands, self._partition_of_model(), msgspec.json.encode(body), MODEL.encode())
        self.ledger.commands.append(name)
        found = await self.until(
            f"command {fields['type']}",
            lambda: hostile.watch.newest(
                hostile.topics.command_results, lambda record: record.body().get("command_id") == name
            ),
        )
        result: dict[str, Any] = found.body()
        if result.get("status") != "accepted":
            raise NotHandledError(f"command {fields['type']} was not carried out: {result}")
        return result

    async def _api_offset(self, offset: int) -> bool:
        answer = await self._hostile.http.get("/api/status")
        return answer.status_code == 200 and bool(answer.json()["registry_next_offset"] > offset)

    def _published(self, offset: int) -> Seen | None:
        topic = self._hostile.topics.registry_state
        return self._hostile.watch.newest(
            topic, lambda record: record.key == MODEL.encode() and int(record.body().get("offset", -1)) >= offset
        )

    async def _worker_offset(self, offset: int) -> bool:
        worker = await self._worker()
        return worker is not None and bool(worker["registry_offset"] >= offset)

    async def _worker(self) -> dict[str, Any] | None:
        answer = await self._hostile.http.get(f"/api/models/{MODEL}/fleet")
        if answer.status_code != 200:
            return None
        found = [worker for worker in answer.json()["workers"] if worker["worker"] == WORKER]
        return found[0] if found and found[0]["live"] else None

    async def _fleet(self) -> None:
        async def seen() -> bool:
            worker = await self._worker()
            return worker is not None and bool(worker["serving_version"]) and len(worker["partitions"]) == PARTITIONS

        await self.until("the worker in the fleet, live and serving", seen)

    async def ensure_rollout(self) -> None:
        """A rollout by rewards and labels is on: else feedback is not looked up."""
        hostile = self._hostile
        await hostile.stage.registry.catch_up()
        state = hostile.stage.registry.state(MODEL)
        if state.rollout is None or state.rollout.status != "running":
            other = "v2" if state.active_version == "v1" else "v1"
            names = (str(state.active_version), other)
            command = StartRollout(
                command_id=self._next("rollout"),
                actor="test",
                model_name=MODEL,
                strategy=AbStrategy(arms=tuple(Arm(model_version=name, weight=5_000) for name in names)),
                policy=RolloutPolicy(
                    metrics=(MetricRule(metric="reward", margin=1e9), MetricRule(metric="accuracy", margin=1.0)),
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

    async def _feedback(self) -> None:
        partition, offset = self._hostile.world.answered
        body = {
            "model_name": MODEL,
            "feedback_id": self._next("good-feedback"),
            "at": datetime.now(UTC).isoformat(),
            "request_partition": partition,
            "request_offset": offset,
            "label": 0,
            "reward": 0.5,
        }
        await self._folded(self._hostile.topics.feedback, msgspec.json.encode(body))

    async def _observations(self) -> None:
        now, run = datetime.now(UTC), self._next("good-run")
        record = Observation(
            worker="good",
            worker_run=run,
            sequence=1,
            model_name=MODEL,
            model_version="v1",
            role="primary",
            rollout_id=self._hostile.world.rollout_id,
            since=now,
            until=now,
            answers=1,
            rows=1,
        )
        await self._folded(self._hostile.topics.observations, msgspec.json.encode(record))
        said = ""

        async def reported() -> bool:
            nonlocal said
            answer = await self._hostile.http.get(f"/api/models/{MODEL}/rollout/report", timeout=60)
            said = f"{answer.status_code} {answer.text[:300]}"
            return answer.status_code == 200

        await self.until("the rollout's report", reported, lambda: said)

    async def _folded(self, topic: str, value: bytes) -> None:
        """The agents acknowledge it only after it counts."""
        partition = self._partition_of_model()
        offset = await self._send(topic, partition, value, MODEL.encode())
        place = TopicPartition(topic, partition)
        said = ""

        async def acknowledged() -> bool:
            nonlocal said
            found = await asyncio.to_thread(self._group.committed, [place], 10)
            said = f"the agents have come to {found[0].offset}"
            return found[0].offset > offset

        await self.until(f"{topic} {partition}:{offset}", acknowledged, lambda: said)

    async def _windows(self) -> None:
        topics = self._hostile.topics
        for series in ("s0", "s1"):
            number = self.ledger.steps[series] = self.ledger.steps.get(series, 0) + 1
            partition = int(series[1])
            headers: list[tuple[str, bytes | None]] = [(header_names.ROUTING_KEY, series.encode())]
            name = self._next("step")
            offset = await self._send(topics.requests(WINDOW_MODEL), partition, steps_body([1.0], name), None, headers)
            self.ledger.requests[WINDOW_MODEL, partition, offset] = name
            answer = await self.until(
                f"step {number} of {series}", partial(self._answer, WINDOW_MODEL, partition, offset)
            )
            window = answer.body().get("parameters", {}).get("window", {})
            if window.get("steps") != min(number, STEPS):
                raise NotHandledError(f"step {number} of series {series} was answered with {answer.value!r:.300}")

    async def _dead_letters(self) -> None:
        """A request that cannot be served has its copy there."""
        topics, name = self._hostile.topics, self._next("bad")
        offset = await self._send(topics.requests(MODEL), 0, b'{"id": "%s"}' % name.encode())
        origin = topics.requests(MODEL).encode()

        def copied() -> Seen | None:
            return self._hostile.watch.newest(
                topics.dead_letters,
                lambda record: (
                    record.headers.get(header_names.ORIGIN_TOPIC) == origin
                    and record.number(header_names.ORIGIN_PARTITION) == 0
                    and record.number(header_names.ORIGIN_OFFSET) == offset
                ),
            )

        await self.until("the dead letter of a bad request", copied)

    async def _send(
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

    async def until(
        self,
        what: str,
        true: Callable[[], Any],
        said: Callable[[], str] = lambda: "",
    ) -> Any:
        """What `true` returns once it is. NotHandledError."""
        deadline = time.monotonic() + self.seconds_max
        failed = ""
        while True:
            try:
                found = true()
                if isinstance(found, Awaitable):
                    found = await found
                if found:
                    return found
            except (httpx.HTTPError, KafkaException) as error:
                failed = repr(error)
            if time.monotonic() > deadline:
                raise NotHandledError(f"{what}: not within {self.seconds_max:g} s; {said()} {failed}".rstrip("; "))
            await asyncio.sleep(_POLL_SECONDS)

    def _partition_of_model(self) -> int:
        every = list(range(4))
        found: int = DefaultPartitioner()(MODEL.encode(), every, every)
        return found

    def _next(self, what: str) -> str:
        self._number += 1
        return f"{what}-{self._number}"
