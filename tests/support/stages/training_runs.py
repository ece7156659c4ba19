"""A stage for training runs on the real broker: a registry, runs asked for, and how they end."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from hotswap_events.commands import CommandResult, RequestTraining
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.domain.state.runs import RunState
from hotswap_stream.settings import Settings
from tests.support.samples.artifacts import linear_artifact

SECONDS_MAX = 120.0


class RunStage:
    """A registry, and what is needed for runs."""

    def __init__(self, registry: Registry, settings: Settings, folder: Path) -> None:
        self.registry = registry
        self.settings = settings
        self.folder = folder
        (folder / "artifact").write_bytes(linear_artifact())

    async def ask(self, trainer: str = "tried", *, model: str = "lines", **fields: Any) -> str:
        """Ask for a run; return its id."""
        run_id = f"run-{uuid4().hex[:8]}"
        parameters = {"file": str(self.folder / "artifact"), **fields.pop("parameters", {})}
        command = RequestTraining(
            command_id=str(uuid4()),
            actor="ada",
            model_name=model,
            run_id=run_id,
            trainer=trainer,
            parameters=parameters if trainer == "tried" else fields.pop("of_trainer", {}),
            **fields,
        )
        assert (await self.send(command)).status == "accepted"
        return run_id

    async def send(self, command: Any) -> CommandResult:
        return await self.registry.handle(command)

    def run(self, run_id: str, model: str = "lines") -> RunState | None:
        return self.registry.state(model).runs.get(run_id)

    async def until(self, run_id: str, wanted: Callable[[RunState], bool], model: str = "lines") -> RunState:
        async with asyncio.timeout(SECONDS_MAX):
            while (run := self.run(run_id, model)) is None or not wanted(run):
                await self.registry.wait_for_change()
        return run

    async def ended(self, run_id: str, model: str = "lines") -> RunState:
        return await self.until(run_id, lambda run: not run.is_open, model)
