"""The HTTP API on a log in memory, with a folder of uploads and real trials."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from hotswap_stream import bootstrap
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.artifacts.uploads.receiving import Uploads
from hotswap_stream.settings import Settings
from tests.support.stages.http import HttpStage, open_http_stage

OCTETS = {"content-type": "application/octet-stream"}
WHOLE = "/api/artifacts"
FROM_UPLOADS = "/api/artifacts/from-uploads"
UPLOADS = "/api/uploads"
DEADLINE_SECONDS = 60.0


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class UploadStage:
    """The API, and what its uploads left on the disk."""

    def __init__(self, http: HttpStage, uploads: Uploads, folder: Path) -> None:
        self.http = http
        self.uploads = uploads
        self.url = http.url
        self.folder = folder

    async def whole(self, content: Any, headers: dict[str, str] = OCTETS, **query: Any) -> httpx.Response:
        return await self.http.client.post(WHOLE, content=content, headers=headers, params=query, timeout=60)

    async def begin(self, content: bytes, **changes: Any) -> httpx.Response:
        body = {"size_bytes": len(content), "digest": digest_of(content), **changes}
        return await self.http.client.post(UPLOADS, json=body)

    async def begun(self, content: bytes) -> str:
        answer = await self.begin(content)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["upload_id"])

    async def piece(self, upload_id: str, offset: Any, content: Any, headers: Any = OCTETS) -> httpx.Response:
        path = f"{UPLOADS}/{upload_id}"
        return await self.http.client.patch(path, content=content, headers=headers, params={"offset": offset})

    async def uploaded(self, content: bytes) -> str:
        upload_id = await self.begun(content)
        assert (await self.piece(upload_id, 0, content)).status_code == 200
        return upload_id

    async def from_uploads(self, **body: Any) -> httpx.Response:
        return await self.http.client.post(FROM_UPLOADS, json=body, timeout=60)

    def files(self) -> list[str]:
        """All that uploads have on the disk."""
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file() and path.name != "lock")

    async def nothing_left(self) -> None:
        """Wait until no upload has anything on the disk."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while self.files():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def open_upload_stage(
    folder: Path, settings: dict[str, Any] | None = None, **services: Any
) -> AsyncIterator[UploadStage]:
    """`settings` and `services` are those of the API, where they are not the usual ones."""
    chosen = Settings(home=folder / "home", cache=folder / "cache", **(settings or {}))
    store = bootstrap.artifact_store(chosen, "upload-stage.1")
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    async with bootstrap.open_uploads(chosen, store) as uploads:
        usual = {"uploads": uploads, "artifacts": store, "try_artifact": bootstrap.stored_trials(chosen, store)}
        async with open_http_stage(log, folder, **usual | services) as http:
            yield UploadStage(http, uploads, chosen.home / "uploads")
