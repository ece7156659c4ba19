"""What the acts of the demo share: the stack, the requests, trainings, commands over HTTP, and what was found."""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec

from hotswap_events.envelope import Envelope
from hotswap_events.registry.events import ModelPromoted, ModelRolledBack
from hotswap_stream import bootstrap
from hotswap_stream.application.registry.fold import Applied
from hotswap_stream.application.registry.tail import TailEntry
from hotswap_stream.application.training.runs import OnProgress, TrainingFailure, TrainingSpec
from hotswap_stream.application.training.trainer import ModelTrainer, TrainingReport
from hotswap_stream.cli.demo.report import Act
from hotswap_stream.cli.demo.traffic import Traffic
from hotswap_stream.cli.processes.stack import Stack
from hotswap_stream.domain.state.model import ModelState

MODEL = "digits"
ACTOR = "demo"
EVENT_SECONDS_MAX = 30.0
FIRST_EPOCHS = 3
"""The first version learns briefly, so that the second one is visibly better."""
SECOND_EPOCHS = 8

TrainingShown = Callable[[TrainingSpec], OnProgress]


class AppliedEntry(msgspec.Struct, frozen=True):
    """An event that counts, and where and when it was appended, by the broker's clock."""

    offset: int
    at_ms: int
    event: Envelope


class Scene:
    """One run of the demo. `done` and `swaps_ms` are what the acts found, in order; `tell` shows a line at once."""

    def __init__(
        self,
        stack: Stack,
        trainer: ModelTrainer,
        traffic: Traffic,
        *,
        on_progress: TrainingShown,
        tell: Callable[[str], None],
    ) -> None:
        self.done: list[Act] = []
        self.swaps_ms: list[int] = []
        self.stack = stack
        self.settings = stack.settings
        self.topics = bootstrap.topics(stack.settings)
        self.registry = trainer.registry
        self.traffic = traffic
        self.tell = tell
        self.entries: list[AppliedEntry] = []
        self._listeners: list[Callable[[AppliedEntry], None]] = []
        self._trainer = trainer
        self._on_progress = on_progress
        self._act_began_s = time.monotonic()
        self._better: str | None = None
        self._inverted: str | None = None
        self.registry.listen(self._keep)

    @property
    def state(self) -> ModelState:
        """Return the model's state, as far as this process has read the log."""
        return self.registry.state(MODEL)

    def listen(self, listener: Callable[[AppliedEntry], None]) -> Callable[[], None]:
        """Call `listener` with each of the model's events from now on; returns the function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def last_offset(self) -> int:
        """Return the offset of the model's last event, as far as this process has read the log."""
        return self.entries[-1].offset if self.entries else -1

    def active_offset(self, model_name: str = MODEL) -> int:
        """Return the offset of the event that put the active version into production."""
        stream = self.registry.stream(model_name)
        return -1 if stream is None else stream.active_offset

    async def train(self, *, epochs: int, seed: int, data_file: Path | None = None) -> TrainingReport:
        """Train, register and validate the next version, in a process of its own."""
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

    async def train_better(self) -> TrainingReport:
        """Train a version that learns longer than the first one did."""
        report = await self.train(epochs=SECOND_EPOCHS, seed=2)
        self._better = report.model_version
        return report

    async def train_inverted(self) -> TrainingReport:
        """Train a version that learns that a 0 is called a 9."""
        data_file = self.settings.home / "runs" / "inverted.safetensors"
        data_file.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(bootstrap.write_digits, data_file, "inverted")
        report = await self.train(epochs=FIRST_EPOCHS, seed=3, data_file=data_file)
        self._inverted = report.model_version
        return report

    async def better_version(self) -> str:
        """Return the version that was trained, or is trained now; empty if it could not be."""
        return self._better or (await self.train_better()).model_version or ""

    async def inverted_version(self) -> str:
        """Return the version that was trained, or is trained now; empty if it could not be."""
        return self._inverted or (await self.train_inverted()).model_version or ""

    async def post(self, path: str, body: Mapping[str, Any], model_name: str = MODEL) -> httpx.Response:
        """Send a command to a model over HTTP; `path` is what comes after the model's name."""
        async with httpx.AsyncClient(base_url=self.stack.api_url, timeout=EVENT_SECONDS_MAX) as client:
            return await client.post(
                f"/api/models/{model_name}{path}",
                content=msgspec.json.encode(body),
                headers={"X-API-Key": self.settings.api_key or "", "Content-Type": "application/json"},
            )

    async def swapped(self, event_type: type[ModelPromoted | ModelRolledBack], model_version: str, since: int) -> bool:
        """Wait for the event after this offset that makes the version active, and for the first answer by it."""
        try:
            async with asyncio.timeout(EVENT_SECONDS_MAX):
                while (entry := self._found(event_type, model_version, since)) is None:
                    await self.registry.wait_for_change()
            await self.traffic.wait_first_answer(entry.offset)
        except TimeoutError:
            return False
        first_ms = self.traffic.first_answer_ms(entry.offset)
        if first_ms is not None:
            self.swaps_ms.append(first_ms - entry.at_ms)
        return True

    def begin_act(self) -> None:
        """Begin the time of the next act."""
        self._act_began_s = time.monotonic()

    def act(
        self,
        name: str,
        outcome: str,
        held: bool,
        registry_offset: int | None,
        *,
        story: tuple[str, ...] = (),
        figures: dict[str, float] | None = None,
    ) -> Act:
        """Write down what came of an act. Its time is that since `begin_act`."""
        act = Act(
            name=name,
            outcome=outcome,
            held=held,
            registry_offset=registry_offset,
            seconds=round(time.monotonic() - self._act_began_s, 1),
            story=story,
            figures=figures or {},
        )
        self.done.append(act)
        return act

    def _keep(self, entry: TailEntry) -> None:
        if isinstance(entry.outcome, Applied) and entry.outcome.event.subject == MODEL:
            applied = AppliedEntry(entry.record.offset, entry.record.timestamp_ms, entry.outcome.event)
            self.entries.append(applied)
            for listener in tuple(self._listeners):
                listener(applied)

    def _found(
        self, event_type: type[ModelPromoted | ModelRolledBack], model_version: str, since: int
    ) -> AppliedEntry | None:
        for entry in reversed(self.entries):
            data = entry.event.data
            if entry.offset > since and isinstance(data, event_type) and data.model_version == model_version:
                return entry
        return None


def accuracy_told(report: TrainingReport) -> str:
    """Return `97.8% right`, or why there is no figure."""
    if isinstance(report.outcome, TrainingFailure):
        return f"failed: {report.outcome.detail}"
    accuracy = None if report.evaluation is None else report.evaluation.figures().get("accuracy")
    return "not validated" if accuracy is None else f"{accuracy:.1%} right"


def refusal(response: httpx.Response) -> str:
    """Return why the server did not do what was asked; empty if it did."""
    if response.status_code == httpx.codes.OK:
        return ""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code}: {response.text}"
