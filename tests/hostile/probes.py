"""What must work after hostile records: the next good record of each topic is handled, within a time."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from hotswap_events import headers as header_names
from hotswap_events.inference.observation import Observation
from hotswap_events.keys import REVOKED, ApiKey, ApiKeyRevoked, KeySecret
from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_events.validation.policy import ValidationPolicy
from tests.hostile.good_records import GoodRecords, NotHandledError, partition_of_model
from tests.hostile.places import MODEL, WINDOW_MODEL, Probe
from tests.hostile.stage import PARTITIONS, WORKER, HostileStage
from tests.hostile.watch import Seen
from tests.support.stages.serving import request_body
from tests.support.stages.windows import STEPS, steps_body
from tests.torture.topic_reading import LOG_LEVEL

SECONDS_MAX = 60.0
"""T: within it the next good record must be handled."""
_POLL_SECONDS = 0.05
_OFFSET = header_names.REQUEST_OFFSET


class Probes:
    """Good traffic on demand. `run` raises NotHandledError."""

    def __init__(self, hostile: HostileStage, good: GoodRecords, seconds_max: float = SECONDS_MAX) -> None:
        self.good = good
        self.ledger = good.ledger
        self.seconds_max = seconds_max
        self._hostile = hostile
        self._policies = 0
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
            "evidence": self._evidence,
            "fleet": self._fleet,
            "windows": self._windows,
            "keys": self._keys,
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
            name = self.good.next("good")
            place = await self.good.send(self._hostile.topics.requests(MODEL), partition, request_body(name))
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
                    content=request_body(self.good.next("http")),
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
        self._policies += 1
        policy = ValidationPolicy(pass_margin=0.05 + self._policies % 7 / 1_000)
        result = await self._command({"type": "hotswap.command.set-validation-policy.v1", "policy": policy})
        offset = result["offset"]
        await self.until("the API following the log", lambda: self._api_offset(offset))
        await self.until("the state of the model being published", lambda: self._published(offset))
        await self.until("the worker following the log", lambda: self._worker_offset(offset))

    async def _command(self, fields: dict[str, Any]) -> dict[str, Any]:
        hostile, name = self._hostile, self.good.next("good-command")
        body = {"command_id": name, "actor": "test", "model_name": MODEL, **fields}
        await self.good.send(hostile.topics.commands, partition_of_model(), msgspec.json.encode(body), MODEL.encode())
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

    async def _feedback(self) -> None:
        partition, offset = self._hostile.world.answered
        body = {
            "model_name": MODEL,
            "feedback_id": self.good.next("good-feedback"),
            "at": datetime.now(UTC).isoformat(),
            "request_partition": partition,
            "request_offset": offset,
            "label": 0,
            "reward": 0.5,
        }
        await self._folded(self._hostile.topics.feedback, msgspec.json.encode(body))

    async def _observations(self) -> None:
        now, run = datetime.now(UTC), self.good.next("good-run")
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

    async def _evidence(self) -> None:
        """A record is shown by the API; of a metric that the agents do not write of, so that it stays the newest."""
        told = self._hostile.world.next()
        record = RolloutEvidence(
            model_name=MODEL,
            rollout_id=self._hostile.world.rollout_id or "r1",
            metric="reward",
            model_version="v2",
            baseline_version="v1",
            verdict="undecided",
            at=datetime.now(UTC),
            registry_offset=0,
            watermark=0,
            status="running",
            arms=(),
            count=told,
        )
        topic = self._hostile.topics.evidence
        await self.good.send(topic, partition_of_model(), msgspec.json.encode(record), MODEL.encode())
        said = ""

        async def shown() -> bool:
            nonlocal said
            answer = await self._hostile.http.get(f"/api/models/{MODEL}/rollout/evidence")
            said = f"{answer.status_code} {answer.text[:300]}"
            return answer.status_code == 200 and told in {each.get("count") for each in answer.json()["latest"]}

        await self.until("what the rollout shows", shown, lambda: said)

    async def _folded(self, topic: str, value: bytes) -> None:
        """The agents acknowledge it only after it counts."""
        partition = partition_of_model()
        offset = await self.good.send(topic, partition, value, MODEL.encode())
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
            name = self.good.next("step")
            offset = await self.good.send(
                topics.requests(WINDOW_MODEL), partition, steps_body([1.0], name), None, headers
            )
            self.ledger.requests[WINDOW_MODEL, partition, offset] = name
            answer = await self.until(
                f"step {number} of {series}", partial(self._answer, WINDOW_MODEL, partition, offset)
            )
            window = answer.body().get("parameters", {}).get("window", {})
            ready = number >= STEPS
            if window.get("ready") != ready or not (ready or window["steps"] == number):
                raise NotHandledError(f"step {number} of series {series} was answered with {answer.value!r:.300}")

    async def _keys(self) -> None:
        """A key that is made opens the API, and does no longer once it is revoked."""
        hostile = self._hostile
        secret, key_id = hashlib.sha256(self.good.next("secret").encode()).hexdigest(), f"good{uuid4().hex[:8]}"
        key = ApiKey(
            key_id=key_id,
            name="good",
            scopes=("read",),
            secrets=(KeySecret(sha256=hashlib.sha256(secret.encode()).hexdigest()),),
            created_at=datetime.now(UTC),
            created_by="test",
        )
        await self.good.send(hostile.topics.keys, 0, msgspec.json.encode(key), key_id.encode())
        headers, wanted, said = {"X-API-Key": f"hss_{key_id}_{secret}"}, 200, ""

        async def answered() -> bool:
            nonlocal said
            answer = await hostile.http.get("/api/status", headers=headers)
            said = f"{answer.status_code} {answer.text[:200]}"
            return answer.status_code == wanted

        await self.until("a key that was made", answered, lambda: said)
        revoked = ApiKeyRevoked(key_id=key_id, at=datetime.now(UTC), by="test")
        await self.good.send(hostile.topics.keys, 0, msgspec.json.encode(revoked), f"{key_id}{REVOKED}".encode())
        wanted = 401
        await self.until("a key that was revoked", answered, lambda: said)

    async def _dead_letters(self) -> None:
        """A request that cannot be served has its copy there."""
        topics, name = self._hostile.topics, self.good.next("bad")
        offset = await self.good.send(topics.requests(MODEL), 0, b'{"id": "%s"}' % name.encode())
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
