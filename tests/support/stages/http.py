"""The HTTP API on a real socket, over a registry log of either kind."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar

from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.onnx.stored_trials import StoredTrials, TrialMemory
from hotswap_stream.api import ApiServices
from hotswap_stream.api.server import serve
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.application.registry.registry import Registry
from tests.support.samples.artifacts import linear_artifact
from tests.support.stages.reused_apps import reused_app

NewLog = Callable[[], RegistryLog]
"""Another process's access to the same records, each time it is called."""

MODEL = "digits"
VALIDATION_SET = f"sha256:{'b' * 64}"
PASSED = {"figures": {"accuracy": 0.9}, "validation_set": VALIDATION_SET}
_TLS = ssl.create_default_context()
"""What each client would make for itself, at length."""

CANARY = {"kind": "canary", "weight": 500}


@asynccontextmanager
async def started_registry(log: RegistryLog) -> AsyncIterator[Registry]:
    registry = Registry(log, clock=SystemClock(), ids=RandomIds(), source="/test/api")
    await registry.start()
    try:
        yield registry
    finally:
        await registry.stop()


@asynccontextmanager
async def served(app: Litestar, **options: Any) -> AsyncIterator[str]:
    """The URL of the application on a free port of loopback."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = serve(app, host="127.0.0.1", port=0, on_started=url.set_result, stop_on_signals=False, **options)
    server = asyncio.create_task(serving)
    try:
        first: set[asyncio.Future[Any]] = {url, server}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if server.done():
            server.result()
        yield url.result()
    finally:
        server.cancel()
        with suppress(asyncio.CancelledError):
            await server


class HttpStage:
    """A client of the API, and what stands behind it."""

    def __init__(self, client: httpx.AsyncClient, registry: Registry, artifacts: ArtifactStore, url: str) -> None:
        self.client = client
        self.registry = registry
        self.artifacts = artifacts
        self.url = url
        self._artifacts_stored = 0

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.client.get(path, params=query or None)

    async def command(
        self, path: str, body: dict[str, Any] | None = None, *, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """POST below the model; with an empty object where there is nothing to say."""
        return await self.client.post(f"/api/models/{MODEL}/{path}", json=body or {}, headers=headers)

    async def accepted(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.command(path, body)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        assert result["status"] == "accepted", result
        return result

    async def stored_artifact(self) -> str:
        """The digest of an artifact no other call made."""
        self._artifacts_stored += 1
        return (await self.artifacts.put_artifact(linear_artifact(seed=self._artifacts_stored))).digest

    async def registered(self, **fields: Any) -> str:
        """The name of one more version."""
        body = {"artifact_digest": await self.stored_artifact(), **fields}
        return str((await self.accepted("versions", body))["model_version"])

    async def promoted(self) -> str:
        """One more version, validated and in production."""
        model = await self.get(f"/api/models/{MODEL}")
        active = model.json().get("active_version") if model.status_code == 200 else None
        version = await self.registered()
        baseline = {"baseline_version": active, "baseline_figures": {"accuracy": 0.9}} if active else {}
        await self.accepted(f"versions/{version}/validate", {**PASSED, **baseline})
        await self.accepted(f"versions/{version}/promote")
        return version


def services_on(registry: Registry, folder: Path, **services: Any) -> ApiServices:
    """What the API needs besides the registry; `services` override the fields of `ApiServices`."""
    artifacts = open_artifact_store(ArtifactStoreConfig(url=str(folder / "artifacts")))
    fields = {
        "registry": registry,
        "artifacts": artifacts,
        "try_artifact": StoredTrials(artifacts, TrialMemory(folder / "trials"), threads=1),
        "clock": SystemClock(),
        "ids": RandomIds(),
        "environment": "test",
        # What is about keys shows them; all else asks from this machine.
        "open_to": None if "api_keys" in services or "keys" in services else "loopback",
        **services,
    }
    return ApiServices(**fields)


@asynccontextmanager
async def open_http_stage(log: RegistryLog, folder: Path, **services: Any) -> AsyncIterator[HttpStage]:
    """The API on this log; `services` override the fields of `ApiServices`."""
    async with started_registry(log) as registry:
        api = services_on(registry, folder, **services)
        with reused_app(api) as app:
            async with served(app) as url, httpx.AsyncClient(base_url=url, verify=_TLS, timeout=60) as client:
                yield HttpStage(client, registry, api.artifacts, url)


async def passed(stage: HttpStage) -> str:
    """One more version that passed validation."""
    version = await stage.registered()
    baseline = {"baseline_version": "v1", "baseline_figures": {"accuracy": 0.9}}
    await stage.accepted(f"versions/{version}/validate", {**PASSED, **baseline})
    return version
