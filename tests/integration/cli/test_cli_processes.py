"""Commands that run as processes of their own: the API, the followed log, and how quickly help is there."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.processes.commands import hotswap, running
from tests.support.samples.artifacts import linear_artifact

pytestmark = pytest.mark.executed
STOP_SECONDS_MAX = 60.0
HEAVY = ("torch", "faust", "litestar", "aiokafka", "sklearn", "numpy", "uvicorn", "pydantic", "msgspec")

Command = Callable[..., list[str]]


def test_the_api_serves_until_it_is_told_to_stop(environment: dict[str, str], tmp_path: Path) -> None:
    artifact = tmp_path / "model.safetensors"
    artifact.write_bytes(linear_artifact())
    with running(environment, "api", "--port", "0") as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2].rstrip(";")
        with httpx.Client(base_url=url, headers={"X-API-Key": "key-of-ci"}, timeout=60) as client:
            assert client.get("/api/health/ready").json()["status"] == "ready"
            registered = subprocess.run(
                hotswap("register", "digits", str(artifact), "--json"),
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            assert registered.stderr == ""
            offset = json.loads(registered.stdout)["offset"]
            # What the command line wrote is there for whoever follows the log.
            with client.stream("GET", "/api/events/stream", params={"from_offset": offset}) as stream:
                lines = stream.iter_lines()
                assert next(line for line in lines if line.startswith("id: ")) == f"id: {offset}"
                switched = client.post("/api/models/digits/switch", json={"model_version": "v1"})
                assert switched.json()["active_version"] == "v1"
                process.send_signal(signal.SIGTERM)
                assert any(line == "event: end" for line in lines)
        _, errors = process.communicate(timeout=STOP_SECONDS_MAX)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors


def test_the_log_is_followed_until_interrupted(environment: dict[str, str], tmp_path: Path) -> None:
    artifact = tmp_path / "model.safetensors"
    artifact.write_bytes(linear_artifact())
    with running(environment, "events", "--follow", "--json") as process:
        subprocess.run(hotswap("register", "digits", str(artifact)), env=environment, check=True, capture_output=True)
        assert process.stdout is not None
        types = [json.loads(process.stdout.readline())["event"]["type"]]
        while types[-1] == "hotswap.log.begun.v1":  # once or twice: both processes may have found the log empty
            types.append(json.loads(process.stdout.readline())["event"]["type"])
        assert types[-1] == "hotswap.model.trained.v1"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=STOP_SECONDS_MAX)
        assert process.returncode == 130, errors
        assert errors == ""


def test_a_taken_port_is_one_clear_line(environment: dict[str, str]) -> None:
    with running(environment, "api", "--port", "0") as process:
        assert process.stdout is not None
        port = process.stdout.readline().split()[2].rstrip(";").rpartition(":")[2]
        second = subprocess.run(
            hotswap("api", "--port", port), env=environment, capture_output=True, text=True, check=False
        )
    assert second.returncode == 78
    assert f"error: the API cannot listen on 127.0.0.1:{port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_help_imports_nothing_heavy(environment: dict[str, str]) -> None:
    program = (
        "import sys\n"
        "from hotswap_stream.cli import main\n"
        "sys.argv = ['hotswap-stream', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert "promote" in result.stdout
    assert result.stderr.strip() == "[]"
