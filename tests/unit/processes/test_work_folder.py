"""Folders of runs: new ones, and what a killed owner left behind."""

import os
import time
from pathlib import Path

from hotswap_stream.workers.training.work_folder import LEFT_SECONDS_MIN, make_work_folder


def _aged(folder: Path, seconds: float) -> Path:
    folder.mkdir()
    (folder / "artifact.safetensors").write_bytes(b"x")
    then_s = time.time() - seconds
    os.utime(folder, (then_s, then_s))
    return folder


def test_what_a_killed_owner_left_goes_with_the_next_run(tmp_path: Path) -> None:
    left = _aged(tmp_path / "run-left", LEFT_SECONDS_MIN + 60)
    recent = _aged(tmp_path / "run-recent", 60)
    other = _aged(tmp_path / "evaluation-left", LEFT_SECONDS_MIN + 60)
    linked = tmp_path / "run-linked"
    linked.symlink_to(recent)
    made = make_work_folder(tmp_path, "run-", seconds_max=60.0)
    assert made.parent == tmp_path
    assert not left.exists()
    assert all(folder.exists() for folder in (made, recent, other, linked))


def test_a_run_may_take_longer_than_a_day(tmp_path: Path) -> None:
    running = _aged(tmp_path / "run-running", LEFT_SECONDS_MIN + 60)
    make_work_folder(tmp_path, "run-", seconds_max=LEFT_SECONDS_MIN)
    assert running.exists()


def test_the_parent_is_made(tmp_path: Path) -> None:
    assert make_work_folder(tmp_path / "home" / "runs", "run-", seconds_max=1.0).is_dir()
