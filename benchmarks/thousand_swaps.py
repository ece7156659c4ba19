"""1,000 swaps under traffic, every tenth to a version that does not load: what the worker's memory does meanwhile.

    python -m benchmarks.thousand_swaps [SWAPS]

Sound versions take turns, more of them than a worker holds, so that most swaps load one and unload another. Of those
that fail, half have a byte changed in their file and half answer NaN; the worker rolls each back by an event. Memory is
the resident set of the worker's process: the median around the 50th swap, and the median of the last swaps.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from statistics import median

import psutil
import torch
from msgspec import Struct

from benchmarks.serving_processes import Served, process, served
from benchmarks.worker_rounds import WorkerRounds
from hotswap_events.commands import RegisterVersion, SwitchVersion
from hotswap_events.registry.events import Provenance
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.fleet_follower import FleetFollower
from hotswap_stream.adapters.torch.modules.architectures import build_module
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.application.registry.registry import Registry

ARCHITECTURE = "digits-cnn"
RATE_PER_S = 100
SOUND, FAILING = 8, 6
FAILING_EVERY = 10
BEGIN_SWAPS = 50
WINDOW = 20
"""Swaps whose samples one figure is the median of."""
SWAP_SECONDS_MAX = 60.0
GROWTH_AIM = 0.02
MIB = 1024**2


class SwapRun:
    """Versions of one model, swapped through in a running worker."""

    def __init__(self, stage: Served, registry: Registry, fleet: FleetFollower) -> None:
        self._stage, self._registry, self._fleet = stage, registry, fleet
        self._sound: list[str] = []
        self._failing: list[str] = []
        self.rolled_back = 0

    async def register(self) -> None:
        """Register the versions that load, and those that do not."""
        store = bootstrap.artifact_store(self._stage.settings)
        manifest = self._stage.manifest
        for number in range(SOUND + FAILING):
            torch.manual_seed(number)
            module = build_module(manifest.architecture, manifest.arguments)
            sound, damaged = number < SOUND, number % 2 == 1
            if not sound and not damaged:
                torch.nn.init.constant_(next(module.parameters()), float("nan"))
            artifact = await store.put_artifact(save_module(module, manifest))
            if not sound and damaged:
                path = await store.local_path(artifact.digest)
                assert path is not None
                await asyncio.to_thread(damage, path)
            result = await self._registry.handle(
                RegisterVersion(
                    command_id=f"register-{number}",
                    actor="benchmark",
                    model_name=self._stage.model_name,
                    artifact=artifact,
                    provenance=Provenance(origin="imported", created_by="benchmark"),
                )
            )
            assert result.model_version is not None, result
            (self._sound if sound else self._failing).append(result.model_version)

    async def swap(self, number: int) -> None:
        """Put the next version into production, and wait until it answers, or until it was rolled back."""
        failing = number % FAILING_EVERY == FAILING_EVERY - 1
        versions = self._failing if failing else self._sound
        version = versions[(number // FAILING_EVERY if failing else number) % len(versions)]
        former = self._active()
        result = await self._registry.handle(
            SwitchVersion(
                command_id=f"swap-{number}",
                actor="benchmark",
                model_name=self._stage.model_name,
                model_version=version,
            )
        )
        assert result.status == "accepted", result
        give_up = time.monotonic() + SWAP_SECONDS_MAX
        while not self._settled(former if failing else version):
            assert time.monotonic() < give_up, f"{version} neither answers nor was it rolled back"
            await self._registry.catch_up()
            await asyncio.sleep(0.01)
        self.rolled_back += failing

    def _active(self) -> str | None:
        return self._registry.state(self._stage.model_name).active_version

    def _settled(self, version: str | None) -> bool:
        stream = self._registry.stream(self._stage.model_name)
        assert stream is not None
        return self._active() == version and any(
            worker.serving_version == version and worker.serving_registry_offset == stream.active_offset
            for worker in self._fleet.workers(self._stage.model_name)
        )


def damage(path: Path) -> None:
    """Change the last byte of a file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(content)


class Swapped(Struct, frozen=True):
    """What a run came to."""

    resident: list[int]
    """Bytes of the worker's memory after each swap."""
    rolled_back: int
    answers: int


async def swap_through(stage: Served, swaps: int) -> Swapped:
    """Swap a worker of its own through all versions, under traffic."""
    rounds = WorkerRounds(stage)
    await rounds.settle()
    settings, manifest = stage.settings, stage.manifest
    module = (sys.executable, "-m")
    load = (str(settings.kafka_bootstrap_servers), rounds.requests.topic, str(rounds.requests.partitions))
    model = (str(RATE_PER_S), manifest.architecture, json.dumps(dict(manifest.arguments)))
    fleet = FleetFollower(bootstrap.connection(settings).client_options(), bootstrap.topics(settings).fleet)
    before, resident = rounds.answers.ends(), list[int]()
    async with bootstrap.open_registry(settings, "benchmark") as registry:
        run = SwapRun(stage, registry, fleet)
        await run.register()
        fleet.start()
        try:
            with (
                process((*module, "hotswap_stream.cli", "worker", "--name", "w1"), settings, quiet=True) as worker,
                process((*module, "benchmarks.paced_load", *load, *model), settings),
            ):
                await asyncio.to_thread(rounds.answers.count, before, 1, lambda: worker.poll() is None)
                memory = psutil.Process(worker.pid)
                for number in range(swaps):
                    await run.swap(number)
                    resident.append(memory.memory_info().rss)
        finally:
            await fleet.stop()
    return Swapped(resident, run.rolled_back, sum(rounds.answers.ends()) - sum(before))


async def _measure(swaps: int) -> Swapped:
    async with served("swapped", ARCHITECTURE) as stage:
        return await swap_through(stage, swaps)


def run(swaps: int = 1_000) -> list[dict[str, object]]:
    """Return the growth as a share; with few swaps the first and the last tenth are compared."""
    began = time.monotonic()
    found = asyncio.run(_measure(swaps))
    resident = found.resident
    begin = min(BEGIN_SWAPS, swaps // 10)
    window = min(WINDOW, max(1, swaps // 10))
    first, last = median(resident[begin : begin + window]), median(resident[-window:])
    growth = last / first - 1
    return [
        {
            "name": "thousand_swaps memory",
            "ours": round(last / MIB, 1),
            "compared_with": f"the same worker after {begin} swaps",
            "comparison": round(first / MIB, 1),
            "unit": "MiB",
            "ratio": round(last / first, 4),
            "aim": f"growth <= {GROWTH_AIM:.0%}",
            "holds": growth <= GROWTH_AIM,
            "swaps": swaps,
            "failed_loads": found.rolled_back,
            "answers": found.answers,
            "seconds": round(time.monotonic() - began),
            "curve_mib": [round(value / MIB) for value in resident[:: max(1, swaps // 20)]],
        }
    ]


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
