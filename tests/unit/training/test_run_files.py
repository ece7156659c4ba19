"""Files of a run: kept within limits, handed out checked, deleted by a limit; never what is not a run's own."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hotswap_events.training.progress import RUN_FILES_MAX, RunFiles, TrainingProgressed
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.trainers import run_files
from hotswap_stream.application.trainers.run_files import (
    RunFilesError,
    collect,
    drop_files,
    fetch_file,
    kept_files,
    too_old,
)
from tests.support.samples.artifacts import linear_artifact


def memory_store() -> ArtifactStore:
    return open_artifact_store(ArtifactStoreConfig(url="memory://"))


TIME = datetime(2026, 1, 1, tzinfo=UTC)


def ended(run_id: str, kept: RunFiles | None, *, minute: int = 0, model: str = "digits") -> TrainingProgressed:
    return TrainingProgressed(
        run_id=run_id,
        model_name=model,
        trainer="t",
        runner="one",
        at=TIME + timedelta(minutes=minute),
        phase="ended",
        kept=kept,
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "plot.svg").write_bytes(b"<svg/>")
    (folder / "artifact.safetensors").write_bytes(b"weights")
    return folder


async def keep(store: ArtifactStore, out: Path, run_id: str = "run-1", log: str = "the end") -> TrainingProgressed:
    kept, left_out = await kept_files(
        store, out, log, run_id=run_id, model_name="digits", without=("artifact.safetensors",)
    )
    assert left_out == ()
    return ended(run_id, kept)


async def test_they_are_kept_and_fetched_by_digest(out: Path) -> None:
    store = memory_store()
    progress = await keep(store, out)
    again = msgspec.json.decode(msgspec.json.encode(progress), type=TrainingProgressed)
    assert again.kept is not None
    assert [(each.name, each.size_bytes) for each in again.kept.files] == [("log.txt", 7), ("plot.svg", 6)]
    assert await fetch_file(store, again, "plot.svg") == b"<svg/>"
    assert await fetch_file(store, again, "log.txt") == b"the end"
    for name in ("artifact.safetensors", "../plot.svg", "plot.svg\n", ""):
        with pytest.raises(RunFilesError, match=r"it has log\.txt, plot\.svg"):
            await fetch_file(store, again, name)
    with pytest.raises(RunFilesError, match="none that are kept"):
        await fetch_file(store, ended("run-1", None), "plot.svg")


def links(folder: Path) -> None:
    os.symlink("/etc/passwd", folder / "passwd")


def pipes(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def folders(folder: Path) -> None:
    (folder / "plots").mkdir()
    (folder / "plots" / "a").write_bytes(b"a")


def hidden(folder: Path) -> None:
    (folder / ".secret").write_bytes(b"a")
    (folder / "a b").write_bytes(b"a")
    (folder / "empty").touch()


@pytest.mark.parametrize("make", [links, pipes, folders, hidden])
def test_what_is_no_plain_file_is_not_kept(out: Path, make: Callable[[Path], None]) -> None:
    make(out)
    assert list(collect(out, "", ("artifact.safetensors",)).files) == ["plot.svg"]


def test_too_many_and_too_large_ones_are_left_out(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_files, "FILE_BYTES_MAX", 10)
    (out / "large").write_bytes(bytes(11))
    for number in range(RUN_FILES_MAX):
        (out / f"n{number:02}").write_bytes(b"x")
    found = collect(out, "log", ("artifact.safetensors",))
    assert (len(found.files), found.left_out) == (RUN_FILES_MAX, ("large", "n31", "plot.svg"))


async def test_what_a_record_says_of_others_artifacts_is_neither_handed_out_nor_deleted(out: Path) -> None:
    store = memory_store()
    mine = await keep(store, out)
    assert mine.kept is not None
    model = (await store.put_artifact(linear_artifact())).digest
    lies = [
        ended("run-1", msgspec.structs.replace(mine.kept, artifact_digest=model)),
        ended("run-2", mine.kept),
        ended("run-1", mine.kept, model="other"),
    ]
    for lie in lies:
        with pytest.raises(RunFilesError, match="does not hold"):
            await fetch_file(store, lie, "plot.svg")
        await drop_files(store, lie)
    assert await store.exists(model)
    assert await fetch_file(store, mine, "plot.svg") == b"<svg/>"
    await drop_files(store, mine)
    assert not await store.exists(mine.kept.artifact_digest)
    await drop_files(store, mine)


async def test_those_of_the_newest_runs_are_kept(out: Path) -> None:
    kept = (await keep(memory_store(), out)).kept
    heard = [ended(f"run-{n}", kept, minute=n) for n in range(5)]
    heard += [ended("other", kept, model="other"), ended("without", None, minute=9)]
    assert [each.run_id for each in too_old(heard, "digits", 3)] == ["run-1", "run-0"]
    assert too_old(heard, "digits", 5) == []
