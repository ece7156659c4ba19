"""MLflow's real client on the HTTP API, on a log in memory."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mlflow import MlflowClient

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from tests.support.stages.http import PASSED, HttpStage, open_http_stage

KEYS = {"ada": "ada-has-a-key", "bob": "bob-has-a-key"}
NAME = "flowers"
NO_TRACKING = "http://127.0.0.1:1"
"""Nothing is asked there."""

Result = TypeVar("Result")


async def asked(url: str, question: Callable[[MlflowClient], Result], *, key: str | None = KEYS["ada"]) -> Result:
    """What MLflow's client says, as it would in a process that has nothing but the address and the key."""
    with _environment(MLFLOW_REGISTRY_URI=url, MLFLOW_TRACKING_URI=NO_TRACKING, MLFLOW_TRACKING_TOKEN=key):
        return await asyncio.to_thread(lambda: question(MlflowClient()))


class MlflowStage:
    """A client of each owner of a key, and what they talk to."""

    def __init__(self, http: HttpStage) -> None:
        self.http = http

    async def ask(self, question: Callable[[MlflowClient], Result], *, key: str | None = KEYS["ada"]) -> Result:
        """See `asked`."""
        return await asked(self.http.url, question, key=key)

    async def source(self) -> str:
        """A source that is in the store, another one each time."""
        return f"hotswap:{await self.http.stored_artifact()}"

    async def version(self, **options: Any) -> str:
        """The number of one more version."""
        source = await self.source()
        made = await self.ask(lambda client: client.create_model_version(NAME, source, **options))
        return str(made.version)

    async def passed(self) -> str:
        """The number of one more version that passed validation."""
        number = await self.version()
        active = self.http.registry.state(NAME).active_version
        baseline = {"baseline_version": active, "baseline_figures": {"accuracy": 0.9}} if active else {}
        path = f"/api/models/{NAME}/versions/v{number}/validate"
        answer = await self.http.client.post(
            path, json={**PASSED, **baseline}, headers={"Authorization": f"Bearer {KEYS['bob']}"}
        )
        assert answer.status_code == 200, answer.text
        return number


@contextmanager
def _environment(**variables: str | None) -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in variables}
    os.environ.update({name: value for name, value in variables.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@asynccontextmanager
async def open_mlflow_stage(folder: Path, **services: Any) -> AsyncIterator[MlflowStage]:
    """The API with keys; `services` override its fields."""
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    async with open_http_stage(log, folder, **{"api_keys": KEYS, **services}) as http:
        yield MlflowStage(http)
