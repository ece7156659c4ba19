"""The demo as a user runs it: its own broker, its own processes, its JSON."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from hotswap_stream.cli.demo.report import DemoReport


@pytest.mark.timeout(300)
async def test_the_demo_loses_nothing_and_plays_all_acts(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOTSWAP_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hotswap_stream.cli",
        "demo",
        "--json",
        str(tmp_path / "demo.json"),
        "--keep",
        str(tmp_path / "home"),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    children = psutil.Process(process.pid)
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-6_000:]
    assert not children.is_running()
    report = msgspec.json.decode((tmp_path / "demo.json").read_bytes(), type=DemoReport)
    assert (report.lost, report.duplicated, report.errors) == (0, 0, 0)
    assert report.answers == report.requests > 500
    assert [act.held for act in report.acts] == [True] * 5
    assert set(report.accuracy) == {"v1", "v2"}
    assert min(report.accuracy.values()) > 0.9
    assert len(report.promotion_to_first_answer_ms) == 3
    assert report.audit.endswith("chain verified")
    leftovers = [
        other for other in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(other.info["cmdline"] or [])
    ]
    assert leftovers == []
