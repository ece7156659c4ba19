"""The acts of the demo, each with what must hold after it."""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
from aiokafka import AIOKafkaProducer

from hotswap_events.commands import RegisterVersion, RollBack, SwitchVersion
from hotswap_events.inference import InferTensor
from hotswap_events.registry import ModelPromoted, ModelRolledBack, Provenance
from hotswap_stream import bootstrap
from hotswap_stream.adapters.torch.bad_data import make_data
from hotswap_stream.adapters.torch.data_files import save_data_file
from hotswap_stream.adapters.torch.digits import load_digits_split
from hotswap_stream.application.artifact_file import digest_hex
from hotswap_stream.application.registry import TailEntry
from hotswap_stream.application.registry_fold import Applied
from hotswap_stream.application.train_model import ModelTrainer, TrainingReport
from hotswap_stream.application.training import OnProgress, TrainingFailure, TrainingSpec
from hotswap_stream.cli.demo.report import Act
from hotswap_stream.cli.demo.traffic import Example, Traffic
from hotswap_stream.cli.stack import Stack

MODEL = "digits"
ACTOR = "demo"
EVENT_SECONDS_MAX = 30.0
FIRST_EPOCHS = 3
"""The first version learns briefly, so that the second one is visibly better."""
SECOND_EPOCHS = 8

TrainingShown = Callable[[TrainingSpec], OnProgress]


def examples() -> list[Example]:
    """Held-out digits that no version was trained or validated on, as request bodies."""
    held_out = load_digits_split().held_out
    return [
        Example(
            [InferTensor(name="image", shape=[1, 1, 28, 28], datatype="FP32", data=[round(v, 4) for v in row])],
            int(label),
        )
        for row, label in zip(held_out.images.flatten(1).tolist(), held_out.labels.tolist(), strict=True)
    ]


class Acts:
    """Runs the acts one by one on a running stack; keeps what they found in `done` and `swaps_ms`."""

    def __init__(self, stack: Stack, trainer: ModelTrainer, traffic: Traffic, on_progress: TrainingShown) -> None:
        self.done: list[Act] = []
        self.swaps_ms: list[int] = []
        self._stack = stack
        self._settings = stack.settings
        self._topics = bootstrap.topics(stack.settings)
        self._trainer = trainer
        self._registry = trainer.registry
        self._traffic = traffic
        self._on_progress = on_progress
        self._entries: list[TailEntry] = []
        self._registry.listen(self._entries.append)

    async def first_version(self) -> Act:
        """Train v1; no version is active, so passing validation promotes it. Then requests begin to flow."""
        report = await self._train(epochs=FIRST_EPOCHS, seed=1)
        state = self._registry.state(MODEL)
        held = state.active_version == "v1"
        if held:
            await self._traffic.start()
            await self._traffic.wait_first_answer(self._active_offset())
        return self._act(
            "train v1, promote it", f"v1 {_accuracy(report)}, active; requests flow", held, self._active_offset()
        )

    async def second_version(self) -> Act:
        """Train v2 while v1 answers, and promote it over HTTP."""
        report = await self._train(epochs=SECOND_EPOCHS, seed=2)
        async with httpx.AsyncClient(base_url=self._stack.api_url, timeout=EVENT_SECONDS_MAX) as client:
            response = await client.post(
                f"/api/models/{MODEL}/versions/v2/promote",
                json={"reason": "better on the validation set"},
                headers={"X-Actor": ACTOR},
            )
        held = response.status_code == httpx.codes.OK and await self._swapped(ModelPromoted, "v2")
        return self._act(
            "train v2 meanwhile, promote it over HTTP",
            f"v2 {_accuracy(report)}, active after {self.swaps_ms[-1]} ms" if held else response.text,
            held,
            self._active_offset(),
        )

    async def bad_version(self) -> Act:
        """Train v3 on inverted labels: validation must archive it by itself, and the active one go on."""
        active = self._registry.state(MODEL).active_version
        data_file = self._settings.home / "runs" / "inverted.safetensors"
        data_file.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(save_data_file, data_file, make_data(load_digits_split().train, "inverted"))
        report = await self._train(epochs=FIRST_EPOCHS, seed=3, data_file=data_file)
        state = self._registry.state(MODEL)
        version = state.versions[report.model_version or ""]
        verdict = None if version.validation is None else version.validation.verdict
        held = version.stage == "archived" and verdict == "failed" and state.active_version == active
        return self._act(
            "train a version on inverted labels",
            f"{version.model_version} {_accuracy(report)}: validation {verdict}, {version.stage}; {active} goes on",
            held,
            report.results[-1].offset,
        )

    async def damaged_version(self) -> Act:
        """Promote a version whose artifact is damaged: no worker loads it, and it is rolled back by an event."""
        active = self._registry.state(MODEL).active
        if active is None:
            return self._act("promote a damaged artifact", "there is no active version", False, None)
        store = bootstrap.artifact_store(self._settings)
        module_file = await store.fetch(active.artifact.digest)
        # Another artifact than the active one, so that the damage hits this one alone.
        changed = bytearray(module_file.content)
        changed[-4:] = bytes(4)
        artifact = await store.put_artifact(bytes(changed))
        await asyncio.to_thread(_damage, self._artifact_path(artifact.digest))
        registered = await self._registry.handle(
            RegisterVersion(
                command_id=str(uuid.uuid4()),
                actor=ACTOR,
                model_name=MODEL,
                artifact=artifact,
                provenance=Provenance(origin="imported", created_by=ACTOR),
            )
        )
        version = registered.model_version or ""
        await self._registry.handle(
            SwitchVersion(
                command_id=str(uuid.uuid4()),
                actor=ACTOR,
                model_name=MODEL,
                model_version=version,
                reason="an operator forces it",
            )
        )
        rolled_back = await self._swapped(ModelRolledBack, active.model_version)
        state = self._registry.state(MODEL)
        served = version in {seen.model_version for seen in self._traffic.seen}
        held = rolled_back and not served and state.active_version == active.model_version
        return self._act(
            "force a version whose artifact is damaged",
            f"{version} did not load anywhere, rolled back by event; {active.model_version} answered throughout"
            if held
            else f"{version} is {state.versions[version].stage}, it served: {served}",
            held,
            self._active_offset(),
        )

    async def emergency(self) -> Act:
        """Roll back in an emergency, by a command on the topic."""
        former = self._registry.state(MODEL).former_version
        active = self._registry.state(MODEL).active_version
        command = RollBack(
            command_id=str(uuid.uuid4()),
            actor=ACTOR,
            model_name=MODEL,
            cause="emergency",
            reason="an operator saw harm",
        )
        producer = AIOKafkaProducer(**bootstrap.connection(self._settings).client_options(), acks="all")
        await producer.start()
        try:
            await producer.send_and_wait(self._topics.commands, msgspec.json.encode(command), MODEL.encode())
        finally:
            await producer.stop()
        held = former is not None and await self._swapped(ModelRolledBack, former)
        return self._act(
            "emergency rollback by a command on the topic",
            f"{active} → {former} after {self.swaps_ms[-1]} ms" if held else "it did not come",
            held,
            self._active_offset(),
        )

    async def _train(self, *, epochs: int, seed: int, data_file: Path | None = None) -> TrainingReport:
        spec = TrainingSpec(
            run_id=f"demo-{uuid.uuid4().hex[:12]}",
            model_name=MODEL,
            architecture="digits-cnn",
            epochs=epochs,
            seed=seed,
            data_file=None if data_file is None else str(data_file),
            created_by=ACTOR,
        )
        return await self._trainer.train(spec, actor=ACTOR, on_progress=self._on_progress(spec))

    async def _swapped(self, event_type: type[ModelPromoted | ModelRolledBack], model_version: str) -> bool:
        """Wait for the event that makes the version active and for the first answer chosen by it."""
        try:
            async with asyncio.timeout(EVENT_SECONDS_MAX):
                while (entry := self._last(event_type, model_version)) is None:
                    await self._registry.wait_for_change()
            await self._traffic.wait_first_answer(entry.record.offset)
        except TimeoutError:
            return False
        first_ms = self._traffic.first_answer_ms(entry.record.offset)
        if first_ms is not None:
            self.swaps_ms.append(first_ms - entry.record.timestamp_ms)
        return True

    def _last(self, event_type: type[ModelPromoted | ModelRolledBack], model_version: str) -> TailEntry | None:
        for entry in reversed(self._entries):
            if isinstance(entry.outcome, Applied):
                data = entry.outcome.event.data
                if isinstance(data, event_type) and data.model_version == model_version:
                    return entry
        return None

    def _active_offset(self) -> int:
        stream = self._registry.stream(MODEL)
        return -1 if stream is None else stream.active_offset

    def _artifact_path(self, digest: str) -> Path:
        hexadecimal = digest_hex(digest)
        return self._settings.home / "artifacts" / "sha256" / hexadecimal[:2] / f"{hexadecimal}.safetensors"

    def _act(self, name: str, outcome: str, held: bool, registry_offset: int | None) -> Act:
        act = Act(name=name, outcome=outcome, held=held, registry_offset=registry_offset)
        self.done.append(act)
        return act


def _accuracy(report: TrainingReport) -> str:
    if isinstance(report.outcome, TrainingFailure):
        return f"failed: {report.outcome.detail}"
    return "not validated" if report.evaluation is None else f"{report.evaluation.accuracy:.1%} right"


def _damage(path: Path) -> None:
    """Change one byte of a stored artifact, as a failing disk would."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x01
    path.write_bytes(content)
