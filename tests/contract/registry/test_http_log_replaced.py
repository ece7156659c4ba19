"""The API when another log stands in the place of the one it follows: it says so, and nothing it knew before."""

from pathlib import Path

import pytest

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.log import guard as log_guard
from tests.support.stages.http import MODEL, open_http_stage


async def test_nothing_is_answered_from_a_log_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command was answered "accepted" by the outcome of the old log's record at the same offset."""
    monkeypatch.setattr(log_guard, "DOUBT_SECONDS", 0.0)
    shared = MemoryRegistry(SystemClock())
    async with open_http_stage(MemoryRegistryLog(shared), tmp_path) as stage:
        await stage.promoted()
        assert (await stage.get("/api/health/ready")).status_code == 200
        shared.records.clear()
        answers = [
            await stage.command("disable"),
            await stage.command("disable"),
            await stage.command("rollback"),
            await stage.get("/api/models"),
            await stage.get(f"/api/models/{MODEL}"),
        ]
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "log-replaced"), answer.text
            assert "registry accept" in answer.json()["detail"]
            assert "Retry-After" not in answer.headers, "it does not pass by itself"
        ready = await stage.get("/api/health/ready")
        assert (ready.status_code, ready.json()["code"]) == (503, "not-ready")
        assert "not the one that was seen" in ready.json()["detail"]
        status = (await stage.get("/api/status")).json()
        assert status["ready"] is False
        assert (await stage.get("/api/health/live")).status_code == 200
