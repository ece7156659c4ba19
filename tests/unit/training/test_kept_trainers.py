"""A trainer's processes under their keeper: every bad end is told as what it was, and nothing of it is left."""

import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from hotswap_stream.application.trainers.place import BadOutputError, RunFailedError
from hotswap_stream.application.trainers.protocol import TrainerFinished, TrainerLine, TrainerOrder, TrainerProgress
from hotswap_stream.workers.training.kept_process import KeptEnd, ProcessLimits, kept_process
from hotswap_stream.workers.training.run_artifact import artifact_in

MIB = 1024**2
LIMITS = ProcessLimits(memory_bytes_max=400 * MIB, folder_bytes_max=8 * MIB, processes_max=8, files_max=50, niceness=1)
READ = "import json, os, signal, subprocess, sys, time; order = json.loads(sys.stdin.readline());"
MARK = "4294.25"
"""Seconds that something left behind would sleep: found by it."""


def left_behind() -> list[int]:
    return [each.pid for each in psutil.process_iter(["cmdline"]) if MARK in (each.info["cmdline"] or ())]


async def kept(folder: Path, program: str, *, stop: bool = False) -> tuple[KeptEnd, list[TrainerLine], str]:
    lines: list[TrainerLine] = []
    order = TrainerOrder(
        run_id="r",
        model_name="m",
        trainer="t",
        folder=str(folder),
        seconds_max=60,
        memory_bytes_max=LIMITS.memory_bytes_max,
        folder_bytes_max=LIMITS.folder_bytes_max,
    )
    async with kept_process([sys.executable, "-c", READ + program], LIMITS, folder, dict(os.environ)) as process:

        def heard(line: TrainerLine) -> None:
            lines.append(line)
            if stop:
                process.stop()

        end = await process.listen(order, heard)
    assert left_behind() == []
    return end, lines, process.log


async def test_lines_and_log_are_heard(tmp_path: Path) -> None:
    end, lines, log = await kept(
        tmp_path,
        """print('{"type": "progress", "step": 1, "figures": {"loss": 0.5}}'); print();"""
        """print('{"type": "finished"}');"""
        "sys.stderr.write('a word'); assert order['folder'] == os.getcwd(); assert os.nice(0) >= 1",
    )
    assert (end.exit_code, end.over, log) == (0, None, "a word")
    assert lines == [TrainerProgress(step=1, figures={"loss": 0.5}), TrainerFinished()]


BAD_OUTPUT = {
    "garbage": "print('\\0 no JSON')",
    "a list": "print('[1]')",
    "another type": """print('{"type": "promote"}')""",
    "a figure that is a text": """print('{"type": "progress", "figures": {"loss": "low"}}')""",
    "a line without an end": "[sys.stdout.write('x' * 100_000) for _ in range(100)]",
    "deep nesting": "print('[' * 100_000)",
    "too many figures": "print(json.dumps({'type': 'progress', 'figures': {str(n): 1.0 for n in range(100)}}))",
}


@pytest.mark.parametrize("name", BAD_OUTPUT)
async def test_what_is_no_line_ends_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadOutputError, match="the trainer wrote"):
        await kept(tmp_path, f"{BAD_OUTPUT[name]}; sys.stdout.flush(); time.sleep({MARK})")
    assert left_behind() == []


TOO_MUCH = {
    "memory": "held = [bytearray(40 * 1024**2) for _ in range(40)]",
    "files": "[open(f'{n}', 'w').close() for n in range(60)]",
    "bytes": "[open(f'{n}', 'wb').write(bytes(1024**2)) for n in range(10)]",
    "processes": f"[subprocess.Popen(['setsid', 'sleep', '{MARK}']) for _ in range(12)]",
}


@pytest.mark.parametrize("what", TOO_MUCH)
@pytest.mark.skipif(sys.platform != "linux", reason="what all processes take is read from /proc")
async def test_what_takes_too_much_is_ended(tmp_path: Path, what: str) -> None:
    end, _, _ = await kept(tmp_path, f"{TOO_MUCH[what]}; time.sleep({MARK})")
    assert end.over is not None
    assert {"memory": "memory", "files": "files", "bytes": "bytes", "processes": "processes"}[what] in end.over


async def test_a_file_of_100_gb_is_refused_by_the_system(tmp_path: Path) -> None:
    end, _, log = await kept(tmp_path, "open('big', 'wb').truncate(100 * 1024**3)")
    assert end.exit_code != 0
    assert "File too large" in log or end.exit_code < 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere orphans cannot be found")
async def test_what_left_its_parent_is_ended_with_the_run(tmp_path: Path) -> None:
    end, _, _ = await kept(
        tmp_path, f"subprocess.Popen(['setsid', 'sh', '-c', 'sleep {MARK} & sleep {MARK}']); time.sleep(0.3)"
    )
    assert (end.exit_code, end.left) == (0, 0)


async def test_who_heeds_the_stop_may_end_himself(tmp_path: Path) -> None:
    program = (
        # No `print`: the signal may come while the other line is being printed, which it must not be called again in.
        'signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b\'{"type": "finished"}\\n\'), sys.exit(0)));'
        f"""print('{{"type": "ready"}}', flush=True); time.sleep({MARK})"""
    )
    end, lines, _ = await kept(tmp_path, program, stop=True)
    assert (end.exit_code, end.stopped, lines[-1]) == (0, True, TrainerFinished())


async def test_who_ignores_the_stop_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotswap_stream.workers.training.kept_process.STOP_SECONDS", 0.3)
    program = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"""print('{{"type": "ready"}}', flush=True); time.sleep({MARK})"""
    )
    end, _, _ = await kept(tmp_path, program, stop=True)
    assert (end.exit_code, end.stopped) == (-9, True)


async def test_an_exit_code_and_a_command_that_is_not_there(tmp_path: Path) -> None:
    end, _, log = await kept(tmp_path, "sys.stderr.write('no way'); sys.exit(3)")
    assert (end.told(), log) == ("the trainer ended with exit code 3", "no way")
    async with kept_process(["no-such-program"], LIMITS, tmp_path, dict(os.environ)) as process:
        order = TrainerOrder(
            run_id="r", model_name="m", trainer="t", folder="", seconds_max=1, memory_bytes_max=1, folder_bytes_max=1
        )
        assert (await process.listen(order, lambda _line: None)).exit_code == 127
    assert "could not be started" in process.log


def test_the_artifact_is_a_plain_file_of_the_folder_itself(tmp_path: Path) -> None:
    def refused(cause: str, **said: Any) -> None:
        with pytest.raises(RunFailedError) as error:
            artifact_in(tmp_path, TrainerFinished(**said), 10)
        assert error.value.cause == cause

    refused("no-artifact")
    refused("bad-output", artifact="../secret")
    refused("bad-output", artifact="..")
    refused("bad-output", artifact="/etc/passwd")
    (tmp_path / "link").symlink_to("/etc/passwd")
    refused("bad-output", artifact="link")
    (tmp_path / "folder").mkdir()
    refused("bad-output", artifact="folder")
    os.mkfifo(tmp_path / "fifo")
    refused("bad-output", artifact="fifo")
    (tmp_path / "model.onnx").write_bytes(b"x" * 11)
    refused("over-limit")
    (tmp_path / "artifact.safetensors").write_bytes(b"x")
    assert artifact_in(tmp_path, TrainerFinished(), 10).name == "artifact.safetensors"
