"""Prometheus and its promtool: from the path, else unpacked from Debian's package; without both, tests are skipped."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock

PROGRAMS = ("prometheus", "promtool")
DOWNLOAD_SECONDS_MAX = 120.0
READY_SECONDS_MAX = 60.0
QUERY_SECONDS_MAX = 60.0


def program(name: str) -> str:
    """Return the path of a program, or skip the test."""
    found = shutil.which(name) or _unpacked().get(name)
    if found is None:
        pytest.skip(f"there is no {name}: neither on the path, nor as Debian's package")
    return found


@cache
def _unpacked() -> dict[str, str]:
    folder = Path(tempfile.gettempdir()) / f"hotswap-stream-prometheus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        return {}
    there = {name: folder / "usr" / "bin" / name for name in PROGRAMS}
    with FileLock(folder / "lock"):
        if not all(path.exists() for path in there.values()) and shutil.which("apt-get") and shutil.which("dpkg"):
            with tempfile.TemporaryDirectory() as downloads:
                for command in (
                    ["apt-get", "download", "prometheus"],
                    ["sh", "-c", f"dpkg -x prometheus_*.deb {folder}"],
                ):
                    done = subprocess.run(
                        command, cwd=downloads, capture_output=True, timeout=DOWNLOAD_SECONDS_MAX, check=False
                    )
                    if done.returncode:
                        return {}
    return {name: str(path) for name, path in there.items() if path.exists()}


class Prometheus:
    """One that scrapes."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **parameters: str) -> Any:
        """Return what its API says."""
        answer = await self._client.get(f"/api/v1/{path}", params=parameters)
        found = answer.json()
        assert found["status"] == "success", found
        return found["data"]

    async def values(self, query: str) -> list[dict[str, Any]]:
        """Return the lines of a query as they are now."""
        found: list[dict[str, Any]] = (await self.get("query", query=query))["result"]
        return found

    async def until_data(self, query: str) -> list[dict[str, Any]]:
        """Return the lines of a query once there are some that are numbers."""
        async with asyncio.timeout(QUERY_SECONDS_MAX):
            while True:
                found = [line for line in await self.values(query) if line["value"][1] != "NaN"]
                if found:
                    return found
                await asyncio.sleep(0.3)


@asynccontextmanager
async def running_prometheus(folder: Path, targets: dict[str, str], rules: Path) -> AsyncIterator[Prometheus]:
    """Run one that scrapes each target (job → host:port) twice a second."""
    path = program("prometheus")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target], "labels": {"instance": job}}]}
            for job, target in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            path,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            async with asyncio.timeout(READY_SECONDS_MAX):
                while not await _ready(client):
                    assert process.returncode is None, (folder / "prometheus.log").read_text()[-3_000:]
                    await asyncio.sleep(0.2)
            yield Prometheus(client)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/-/ready")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
