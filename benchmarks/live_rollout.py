"""Digits in production, users who ask, labels that come back, and the agents: what rollouts are shown on, live."""

import asyncio
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import torch
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.serving_processes import process
from hotswap_events import headers
from hotswap_events.command import Command
from hotswap_events.commands import RegisterVersion, SwitchVersion, ValidateVersion
from hotswap_events.inference.answers import AnswerRule, AnyHeaders
from hotswap_events.inference.messages import InferResponse
from hotswap_events.inference.observation import Feedback
from hotswap_events.registry.events import Provenance
from hotswap_events.rollouts.commands import StartRollout
from hotswap_stream import bootstrap
from hotswap_stream.adapters.torch.data.bad_data import DataKind, make_data
from hotswap_stream.adapters.torch.data.digits import load_digits_split
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.loading import load_module
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.adapters.torch.modules.threads import limit_threads, take_limit
from hotswap_stream.adapters.torch.training.evaluate import evaluate
from hotswap_stream.adapters.torch.training.fit import FitOptions, fit
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.broker.embedded import EmbeddedKafka
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.settings import Settings

MODEL = "digits"
ARCHITECTURE = "digits-cnn"
USERS = 100_000
TURN_SECONDS = 0.05

Reward = Callable[[str, bool], float]
"""What an answer of this version is worth, that was right or wrong."""

_answers = msgspec.json.Decoder(InferResponse)


class LiveDigits:
    """Users who ask a model, and labels that come back. Built by `live_digits`.

    `wrong` and `answered` count the answers by version, `labels` those whose label or reward came back; `workers` gave
    them.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        producer: AIOKafkaProducer,
        *,
        rate: float,
        labelled: float,
        reward: Reward | None,
    ) -> None:
        self.registry = registry
        self.answered: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.workers: defaultdict[str, set[str]] = defaultdict(set)
        self._reward = reward
        self._settings, self._producer = settings, producer
        tags = bootstrap.answer_tags(settings).of(MODEL)
        self._rules = [AnswerRule(partition, tags) for partition in range(settings.request_partitions)]
        self._topics = bootstrap.topics(settings)
        self._rate, self._labelled = rate, labelled
        self._truth: dict[tuple[int, int], int] = {}
        self._random = random.Random(1)
        held_out = load_digits_split().held_out
        self._bodies = [_body(row) for row in held_out.images.flatten(1).tolist()]
        self._right: list[int] = held_out.labels.tolist()
        self._commands = 0

    async def command(self, command: Command) -> None:
        """Carry the command out. Raise AssertionError if it is refused."""
        result = await self.registry.handle(command)  # type: ignore[arg-type]
        assert result.status == "accepted", result

    def meta(self) -> dict[str, Any]:
        """Return the fields of the next command."""
        self._commands += 1
        return {"command_id": f"live-{self._commands}", "actor": "live", "model_name": MODEL}

    async def trained(self, kind: DataKind = "good", *, epochs: int = 3, seed: int = 1) -> float:
        """Register the next version, trained on such data; return its accuracy on the right ones."""
        content, accuracy = await asyncio.to_thread(_train, kind, epochs, seed)
        artifact = await bootstrap.artifact_store(self._settings).put_artifact(content)
        provenance = Provenance(origin="imported", created_by="live")
        await self.command(RegisterVersion(**self.meta(), artifact=artifact, provenance=provenance))
        return accuracy

    async def validated(self, model_version: str, accuracy: float, baseline: tuple[str, float]) -> None:
        """Hand in the figures of the version; the default policy gives the verdict."""
        await self.command(
            ValidateVersion(
                **self.meta(),
                model_version=model_version,
                figures={"accuracy": accuracy},
                validation_set="sha256:" + load_digits_split().validation.digest().removeprefix("sha256:"),
                baseline_version=baseline[0],
                baseline_figures={"accuracy": baseline[1]},
            )
        )

    async def switched(self, model_version: str) -> None:
        """Put the version into production, by hand."""
        await self.command(SwitchVersion(**self.meta(), model_version=model_version))

    async def rolled_out(
        self,
        command: StartRollout,
        *,
        seconds_max: float,
        warm_up_seconds: float = 0.0,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> tuple[RolloutState, float]:
        """Begin the rollout after some seconds of traffic, and let more flow until it ends by itself.

        Return the rollout and the seconds it took. Raise TimeoutError if it does not end. `meanwhile` stands for what
        people do: it is called ten times a second.
        """
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        tasks = [asyncio.create_task(self._ask(over)), asyncio.create_task(self._judge(over))]
        try:
            await asyncio.sleep(warm_up_seconds)
            await self.command(command)
            began = loop.time()
            for counter in (self.answered, self.wrong, self.labels):
                counter.clear()
            async with asyncio.timeout(seconds_max):
                while self.registry.state(MODEL).rollout is not None:
                    for task in tasks:
                        if task.done():
                            task.result()
                    if meanwhile is not None:
                        await meanwhile()
                    await asyncio.sleep(0.1)
            seconds = loop.time() - began
        finally:
            over.set()
            await asyncio.gather(*tasks)
        return self.registry.state(MODEL).rollout_history[-1], seconds

    async def _ask(self, over: asyncio.Event) -> None:
        """Send requests at the rate, from many users, in one batch per turn."""
        topic, partitions = self._topics.requests(MODEL), self._settings.request_partitions
        loop, sent, began = asyncio.get_running_loop(), 0, asyncio.get_running_loop().time()
        while not over.is_set():
            due = int((loop.time() - began) * self._rate) - sent
            for partition in range(partitions):
                batch, chosen = self._producer.create_batch(), []
                for _request in range(due // partitions):
                    which = self._random.randrange(len(self._bodies))
                    user = b"user-%d" % self._random.randrange(USERS)
                    marked = [(headers.ROUTING_KEY, user), (headers.CONTENT_TYPE, b"application/json")]
                    if batch.append(key=None, value=self._bodies[which], timestamp=None, headers=marked) is None:
                        break
                    chosen.append(which)
                batch.close()
                if chosen:
                    sent += len(chosen)
                    first = (await (await self._producer.send_batch(batch, topic, partition=partition))).offset
                    self._truth.update(
                        ((partition, first + number), self._right[which]) for number, which in enumerate(chosen)
                    )
            await asyncio.sleep(TURN_SECONDS)

    async def _judge(self, over: asyncio.Event) -> None:
        """Read all answers, count the wrong ones, and send the right label for some of them."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap_servers, group_id=None, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            topic = self._topics.responses(MODEL)
            consumer.assign([TopicPartition(topic, number) for number in range(self._settings.request_partitions)])
            async with bootstrap.feedback_log(self._settings) as log:
                while not over.is_set():
                    told: list[Feedback] = []
                    for partition, records in (await consumer.getmany(timeout_ms=200, max_records=1_000)).items():
                        for record in records:
                            found = self._counted(partition.partition, record.headers, record.value)
                            if found is not None:
                                told.append(found)
                    for start in range(0, len(told), 500):
                        await log.append(told[start : start + 500])
        finally:
            await consumer.stop()

    def _counted(self, partition: int, marked: AnyHeaders, value: bytes) -> Feedback | None:
        counted = self._rules[partition].take(marked)
        if counted is None:
            return None
        place = (partition, counted.request_offset)
        # An answer may be faster than the broker's word that its request is there.
        truth = self._truth.pop(place, None)
        if truth is None or not counted.ok:
            return None
        answer = _answers.decode(value)
        scores: Sequence[float] = answer.outputs[0].data or ()
        said = max(range(len(scores)), key=scores.__getitem__)
        self.answered[answer.model_version] += 1
        self.wrong[answer.model_version] += said != truth
        self.workers[answer.model_version].add(answer.parameters.worker)
        if self._random.random() >= self._labelled:
            return None
        self.labels[answer.model_version] += 1
        return Feedback(
            model_name=MODEL,
            feedback_id=f"{partition}-{place[1]}",
            at=datetime.now(UTC),
            request_partition=partition,
            request_offset=place[1],
            label=truth if self._reward is None else None,
            reward=None if self._reward is None else self._reward(answer.model_version, said == truth),
        )


@asynccontextmanager
async def own_live_digits(*, rate: float, labelled: float) -> AsyncIterator[LiveDigits]:
    """Run them on a broker of their own, with four partitions of requests; see `live_digits`."""
    with tempfile.TemporaryDirectory(prefix="hotswap-bench-") as home:
        async with EmbeddedKafka() as broker:
            settings = Settings(
                kafka_bootstrap_servers=broker.bootstrap_servers,
                home=Path(home),
                request_partitions=4,
                log_level="warning",
            )
            async with live_digits(settings, rate=rate, labelled=labelled) as live:
                yield live


@asynccontextmanager
async def live_digits(
    settings: Settings,
    *,
    rate: float,
    labelled: float = 0.2,
    reward: Reward | None = None,
    workers: Sequence[str] = ("worker-1",),
) -> AsyncIterator[LiveDigits]:
    """Run the workers and the agents, in processes of their own.

    `rate`: requests per second; `labelled`: share of the answers whose true label, or `reward` instead, comes back.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers, acks="all", linger_ms=0, max_batch_size=4 * 1024**2
    )
    cli = (sys.executable, "-m", "hotswap_stream.cli")
    await bootstrap.ensure_control_topics(settings)
    await producer.start()
    try:
        with ExitStack() as processes:
            processes.enter_context(process((*cli, "agents"), settings))
            for name in workers:
                processes.enter_context(process((*cli, "worker", "--name", name), settings))
            async with bootstrap.open_registry(settings, "live") as registry:
                yield LiveDigits(settings, registry, producer, rate=rate, labelled=labelled, reward=reward)
    finally:
        await producer.stop()


def _body(pixels: Sequence[float]) -> bytes:
    tensor = {"name": "image", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [round(one, 3) for one in pixels]}
    return msgspec.json.encode({"inputs": [tensor]})


def _train(kind: DataKind, epochs: int, seed: int) -> tuple[bytes, float]:
    # As the product trains. Threads that wait for each other on busy cores made it five times as dear.
    limit_threads(1)
    take_limit()
    torch.manual_seed(seed)
    split, manifest = load_digits_split(), manifest_of(ARCHITECTURE, {})
    module = build_module(ARCHITECTURE, {})
    options = FitOptions(epochs=epochs, batch_size=32, learning_rate=0.01, seed=seed)
    fit(module, make_data(split.train, kind), options, lambda _progress: None)
    content = save_module(module, manifest)
    return content, evaluate(load_module(manifest, content), split.validation).figures()["accuracy"]
