"""The operator of a run: registers versions and swaps them through the registry, whatever happens to the brokers."""

import asyncio
import time
from collections import Counter
from typing import Any

import structlog

from hotswap_events.commands import (
    AnyCommand,
    CommandResult,
    PromoteVersion,
    RegisterVersion,
    RollBack,
    SwitchVersion,
    ValidateVersion,
)
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_stream import bootstrap
from hotswap_stream.application.artifacts.file import digest_hex, read_manifest
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.domain.deciding.legal_steps import legal_steps
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.errors import HotswapError
from hotswap_stream.settings import Settings, child_environment
from tests.torture.exact_artifact import artifact
from tests.torture.full_disk import run_with_full_disk
from tests.torture.plan import Swap
from tests.torture.request_kinds import MODEL
from tests.torture.version_history import VALUE_TAG

RETRY_SECONDS_MAX = 60.0
"""A command is tried again, with the same id, for so long."""
FLEET_SECONDS_MAX = 45.0
"""After so long the operator rolls back what the fleet should have."""
WENT_WRONG = "it went wrong"
_POLL_SECONDS = 0.2

_log = structlog.get_logger(__name__)


class Operator:
    """A context manager; connects again when its registry cannot heal itself."""

    def __init__(self, settings: Settings, model_name: str = MODEL) -> None:
        self._model_name = model_name
        self.outcomes: Counter[str] = Counter()
        self._settings = settings
        self._store = bootstrap.artifact_store(settings)
        self._registry: Registry | None = None
        self._commands = 0
        self._values = 0
        self._graph: ArtifactFacts | None = None
        """The graph of the architecture of all versions, if the settings want one."""

    async def __aenter__(self) -> "Operator":
        await bootstrap.ensure_control_topics(self._settings)
        await self._connected()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._disconnect()

    async def stand(self) -> tuple[str | None, int]:
        """The active version, and the offset of the last record that was folded."""
        state = await self.state()
        return state.active_version, (await self._connected()).fold.next_offset - 1

    async def prepare(self, versions: int) -> None:
        """Register and validate that number of versions and promote the first."""
        content = artifact(self._values + 1)
        facts = await self._store.put_artifact(content)
        self._graph = await bootstrap.graph_exporter(self._settings, self._store)(facts.digest, read_manifest(content))
        for _ in range(versions):
            name = await self.register()
            await self.do(
                ValidateVersion(**self.meta(), model_version=name, validation_set="exact", figures={"accuracy": 1.0}),
                "validate",
            )
        await self.do(PromoteVersion(**self.meta(), model_version="v1"), "promote")

    async def serve(self, content: bytes) -> str:
        """Register an artifact of another kind and put it into production; the version's name."""
        self._values += 1
        name = await self._register_artifact(await self._store.put_artifact(content), self._values)
        await self._switch(name, "serve")
        return name

    async def swap(self, swap: Swap) -> str:
        """Do it; what became of it, in words. A step that no version may take by now is a switch instead."""
        state = await self.state()
        inactive = [name for name in state.versions if name != state.active_version]
        if swap.kind == "damaged":
            return await self._damaged()
        if swap.kind == "full-store":
            return await self._full_store()
        if swap.kind == "register-and-switch":
            return await self._switch(await self.register(), swap.kind)
        if swap.kind == "promote":
            legal = [name for name in inactive if "promote" in legal_steps(state, state.versions[name])]
            if legal:
                command = PromoteVersion(**self.meta(), model_version=legal[swap.pick % len(legal)])
                return (await self.do(command, swap.kind)).status
        elif swap.kind == "roll-back" and state.former_version is not None:
            return (await self.do(RollBack(**self.meta(), from_version=state.active_version), swap.kind)).status
        return await self._switch(inactive[swap.pick % len(inactive)], "switch")

    async def _switch(self, model_version: str, kind: str) -> str:
        return (await self.do(SwitchVersion(**self.meta(), model_version=model_version), kind)).status

    async def _damaged(self) -> str:
        """Promote an artifact whose bytes are not those that were registered, and wait until the fleet is rid of it."""
        self._values += 1
        facts = await self._store.put_artifact(artifact(self._values))
        await self._damage(facts)
        name = await self._register_artifact(facts, self._values, self._graph)
        await self._switch(name, "damaged")
        started = time.monotonic()
        while (await self.state()).active_version == name:
            if time.monotonic() - started > FLEET_SECONDS_MAX:
                await self.do(RollBack(**self.meta(), from_version=name), "roll-back-damaged")
                return f"rolled back by the operator after {FLEET_SECONDS_MAX} s"
            await asyncio.sleep(_POLL_SECONDS)
        return f"rolled back by the fleet after {time.monotonic() - started:.1f} s"

    async def _full_store(self) -> str:
        """Hand in an artifact that the store has no room for: it must be refused, and no version may name it."""
        self._values += 1
        content = artifact(self._values)
        file = self._settings.home / "full-store.safetensors"
        await asyncio.to_thread(file.write_bytes, content)
        before = len((await self.state()).versions)
        arguments = ["-m", "hotswap_stream.cli", "register", MODEL, str(file), "--actor", "torture"]
        code, said = await run_with_full_disk(arguments, child_environment(self._settings), len(content) // 2)
        if code == 0 or len((await self.state()).versions) != before:
            return f"{WENT_WRONG}: exit code {code}, {said[-300:]!r}"
        if "Traceback" in said:
            return f"{WENT_WRONG}: refused without words, {said[-300:]!r}"
        return f"refused with exit code {code}"

    async def _damage(self, facts: ArtifactFacts) -> None:
        hex_digits = digest_hex(facts.digest)
        path = self._settings.home / "artifacts" / "sha256" / hex_digits[:2] / f"{hex_digits}.safetensors"
        content = bytearray(await asyncio.to_thread(path.read_bytes))
        content[-1] ^= 0xFF
        await asyncio.to_thread(path.write_bytes, bytes(content))

    async def register(self) -> str:
        """Register one more version; its name."""
        self._values += 1
        facts = await self._store.put_artifact(artifact(self._values))
        return await self._register_artifact(facts, self._values, self._graph)

    async def _register_artifact(self, facts: ArtifactFacts, value: int, graph: ArtifactFacts | None = None) -> str:
        # Named, so that the answer to a command that was tried twice is not needed to know the name.
        name = f"v{value}"
        await self.do(
            RegisterVersion(
                **self.meta(),
                model_version=name,
                artifact=facts,
                graph=graph,
                provenance=Provenance(origin="imported", created_by="torture"),
                tags={VALUE_TAG: str(value)},
            ),
            "register",
        )
        return name

    def meta(self) -> dict[str, Any]:
        """What every command carries."""
        self._commands += 1
        return {
            "command_id": f"{self._model_name}-{self._commands}",
            "actor": "torture",
            "model_name": self._model_name,
        }

    async def do(self, command: AnyCommand, kind: str) -> CommandResult:
        """Have a command decided, again and again while the brokers fail it."""
        deadline = time.monotonic() + RETRY_SECONDS_MAX
        while True:
            try:
                result = await (await self._connected()).handle(command)
            except HotswapError as error:
                if not error.retriable or time.monotonic() > deadline:
                    raise
                _log.warning("command_retried", kind=kind, error=str(error))
                await asyncio.sleep(_POLL_SECONDS)
            else:
                self.outcomes[f"{kind} {result.status}"] += 1
                return result

    async def state(self) -> ModelState:
        """What the log says of the model now."""
        deadline = time.monotonic() + RETRY_SECONDS_MAX
        while True:
            try:
                registry = await self._connected()
                await registry.catch_up()
                return registry.state(self._model_name)
            except HotswapError as error:
                if not error.retriable or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_POLL_SECONDS)

    async def _connected(self) -> Registry:
        if self._registry is not None and self._registry.healthy:
            return self._registry
        await self._disconnect()
        registry = self._registry = bootstrap.build_registry(self._settings, "torture")
        await registry.start()
        return registry

    async def _disconnect(self) -> None:
        registry, self._registry = self._registry, None
        if registry is not None:
            await registry.stop()
