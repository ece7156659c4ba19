"""Training in a process of its own: success, and every bad end, as answers."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, S3Credentials, open_artifact_store
from hotswap_stream.adapters.torch.data.digits import load_digits_split
from hotswap_stream.adapters.torch.training.trainer_process import trainer_command
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.training.runs import (
    TrainingFailure,
    TrainingFinished,
    TrainingProgress,
    TrainingSpec,
    TrainingSucceeded,
)
from hotswap_stream.workers.training.subprocess_trainer import SubprocessTrainer
from tests.support.checkout import ROOT
from tests.support.samples.artifacts import linear_artifact

SPEC = TrainingSpec(run_id="run-1", model_name="digits", architecture="digits-cnn", epochs=3, created_by="someone")
FINISHED = msgspec.json.encode(
    TrainingFinished(
        metrics={"accuracy": 1.0},
        validation_set="sha256:v",
        data_snapshot="sha256:d",
        code_revision="c",
        environment={},
    )
).decode()
PROGRESS = msgspec.json.encode(
    TrainingProgress(run_id="run-1", epoch=1, epochs=3, step=1, steps=9, loss=2.3, accuracy=0.1)
).decode()
READ_ORDER = "import json, os, sys; order = json.loads(sys.stdin.readline());"
"""The beginning of a trainer that is a few lines of Python."""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The started processes find the package, installed or not."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "events")]))


@pytest.fixture(autouse=True)
def foreign_processes() -> None:
    """Remember the children of the test run that are not ours, such as the broker other tests share."""
    _foreign.clear()
    _foreign.update(child.pid for child in psutil.Process().children(recursive=True))


_foreign: set[int] = set()


def _trainers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.pid not in _foreign]


@pytest.fixture
def store() -> ArtifactStore:
    return open_artifact_store(ArtifactStoreConfig(url="memory://"))


def _trainer(
    store: ArtifactStore,
    folder: Path,
    *,
    command: Sequence[str] | None = None,
    run_seconds_max: float = 90.0,
    artifact_bytes_max: int = 1024**2,
) -> SubprocessTrainer:
    return SubprocessTrainer(
        command or trainer_command(),
        store,
        run_folder=folder / "runs",
        run_seconds_max=run_seconds_max,
        artifact_bytes_max=artifact_bytes_max,
    )


def _python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", READ_ORDER + script)


def _assert_nothing_is_left(folder: Path) -> None:
    assert _trainers() == []
    assert list((folder / "runs").iterdir()) == []


async def test_a_run_ends_with_an_artifact_in_the_store(store: ArtifactStore, tmp_path: Path) -> None:
    heard: list[TrainingProgress] = []
    outcome = await _trainer(store, tmp_path).run(SPEC, on_progress=heard.append)
    assert isinstance(outcome, TrainingSucceeded), outcome
    kept = await store.fetch(outcome.artifact.digest)
    assert (kept.manifest, kept.size_bytes) == (outcome.manifest, outcome.artifact.size_bytes)
    assert outcome.manifest.architecture == "digits-cnn"
    assert outcome.metrics["accuracy"] > 0.8
    assert {"macro_f1", "latency_ms_p95", "train_loss", "train_accuracy", "train_seconds"} <= set(outcome.metrics)
    split = load_digits_split()
    assert outcome.validation_set == split.validation.digest()
    provenance = outcome.provenance
    assert (provenance.origin, provenance.created_by) == ("trained", "someone")
    assert provenance.data_snapshot == split.train.digest()
    assert provenance.code_revision is not None
    assert provenance.code_revision.startswith(("git ", "hotswap-stream "))
    assert {"python", "torch"} <= set(provenance.environment)
    assert [progress.step for progress in heard] == sorted({progress.step for progress in heard})
    assert heard[-1].step == heard[-1].steps
    assert {progress.run_id for progress in heard} == {"run-1"}
    _assert_nothing_is_left(tmp_path)


async def test_a_wrong_data_file_is_bad_data(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "data.safetensors").write_bytes(b"digits, honestly")
    spec = msgspec.structs.replace(SPEC, data_file=str(tmp_path / "data.safetensors"))
    outcome = await _trainer(store, tmp_path).run(spec)
    assert isinstance(outcome, TrainingFailure)
    assert outcome.cause == "bad-data"
    assert "data.safetensors is not a safetensors file" in outcome.detail
    _assert_nothing_is_left(tmp_path)


async def test_a_killed_trainer_is_a_crash(store: ArtifactStore, tmp_path: Path) -> None:
    def kill(progress: TrainingProgress) -> None:
        for trainer in _trainers():
            trainer.kill()

    outcome = await _trainer(store, tmp_path).run(msgspec.structs.replace(SPEC, epochs=500), on_progress=kill)
    assert isinstance(outcome, TrainingFailure)
    assert outcome.cause == "crashed"
    assert "killed by SIGKILL (out of memory, or ended from outside)" in outcome.detail
    assert await store.list() == ()
    _assert_nothing_is_left(tmp_path)


async def test_a_cancelled_run_ends_its_process(store: ArtifactStore, tmp_path: Path) -> None:
    cancel = asyncio.Event()
    hanging = _python(f"print({PROGRESS!r}, flush=True); sys.stdin.read()")
    outcome = await _trainer(store, tmp_path, command=hanging).run(
        SPEC, on_progress=lambda _: cancel.set(), cancel=cancel
    )
    assert isinstance(outcome, TrainingFailure)
    assert outcome.cause == "cancelled"
    _assert_nothing_is_left(tmp_path)


async def test_a_run_over_its_time_limit_is_ended(store: ArtifactStore, tmp_path: Path) -> None:
    hanging = _python("print('still thinking', file=sys.stderr, flush=True); sys.stdin.read()")
    outcome = await _trainer(store, tmp_path, command=hanging, run_seconds_max=1.0).run(SPEC)
    assert isinstance(outcome, TrainingFailure)
    assert outcome.cause == "timed-out"
    assert "longer than run_seconds_max=1" in outcome.detail
    assert "still thinking" in outcome.detail
    _assert_nothing_is_left(tmp_path)


async def test_a_cancelled_caller_leaves_no_process(store: ArtifactStore, tmp_path: Path) -> None:
    run = asyncio.create_task(_trainer(store, tmp_path, command=_python("sys.stdin.read()")).run(SPEC))
    await _until(lambda: len(_trainers()) == 1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    _assert_nothing_is_left(tmp_path)


OWNER = """
import asyncio, pathlib, sys
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.torch.training.trainer_process import trainer_command
from hotswap_stream.application.training.runs import TrainingSpec
from hotswap_stream.workers.training.subprocess_trainer import SubprocessTrainer

spec = TrainingSpec(run_id="r", model_name="digits", architecture="digits-cnn", epochs=1000, created_by="someone")
store = open_artifact_store(ArtifactStoreConfig(url="memory://"))
trainer = SubprocessTrainer(
    trainer_command(), store, run_folder=pathlib.Path(sys.argv[1]), run_seconds_max=300, artifact_bytes_max=2**20
)
asyncio.run(trainer.run(spec, on_progress=lambda progress: print("progress", flush=True)))
"""


@pytest.mark.parametrize("when", ["starting", "training"])
async def test_a_trainer_does_not_outlive_its_owner(when: str, tmp_path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(tmp_path / "runs"), stdout=asyncio.subprocess.PIPE
    )
    try:
        await _until(lambda: len(psutil.Process(owner.pid).children()) == 1)
        trainer = psutil.Process(owner.pid).children()[0]
        if when == "training":
            assert owner.stdout is not None
            while b"progress" not in await owner.stdout.readline():
                pass
    finally:
        owner.send_signal(signal.SIGKILL)
        await owner.communicate()
    await _until(lambda: not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sys.exit(7)", "ended with exit code 7 before it was done"),
        ("pass", "ended with exit code 0 before it was done"),
        ("raise ValueError('what now')", "ValueError: what now"),
        ("print('hello')", "wrote no line of the protocol"),
        ("print('x' * 3_000_000)", "wrote no line of the protocol"),
        (f"print({FINISHED!r})", "left no artifact"),
        (f"print({FINISHED!r}); sys.exit(1)", "ended with exit code 1"),
        (f"open(order['artifact_file'], 'wb').write(b'weights'); print({FINISHED!r})", "not a safetensors file"),
        (f"open(order['artifact_file'], 'wb').write(b'x' * 2**21); print({FINISHED!r})", "artifact_bytes_max allows"),
        ("os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    ],
)
async def test_a_trainer_that_misbehaves_is_a_crash(
    script: str, words: str, store: ArtifactStore, tmp_path: Path
) -> None:
    outcome = await _trainer(store, tmp_path, command=_python(script)).run(SPEC)
    assert isinstance(outcome, TrainingFailure)
    assert outcome.cause == "crashed"
    assert words in outcome.detail
    assert len(outcome.detail) < 6_000
    assert await store.list() == ()
    _assert_nothing_is_left(tmp_path)


async def test_only_the_end_of_a_long_complaint_is_kept(store: ArtifactStore, tmp_path: Path) -> None:
    script = "sys.stderr.write('x' * 1_000_000 + 'the end'); sys.exit(1)"
    outcome = await _trainer(store, tmp_path, command=_python(script)).run(SPEC)
    assert isinstance(outcome, TrainingFailure)
    assert outcome.detail.endswith("the end")
    assert len(outcome.detail) < 6_000


async def test_a_command_that_does_not_exist_is_a_crash(store: ArtifactStore, tmp_path: Path) -> None:
    outcome = await _trainer(store, tmp_path, command=("/no/such/program",)).run(SPEC)
    assert isinstance(outcome, TrainingFailure)
    assert outcome.cause == "crashed"
    assert "cannot be started" in outcome.detail
    _assert_nothing_is_left(tmp_path)


async def test_a_store_that_does_not_answer_is_told_apart_from_a_crash(tmp_path: Path, unused_tcp_port: int) -> None:
    artifact = tmp_path / "made.safetensors"
    artifact.write_bytes(linear_artifact())
    gone = open_artifact_store(
        ArtifactStoreConfig(
            url="s3://bucket",
            s3_endpoint=f"http://127.0.0.1:{unused_tcp_port}",
            s3_credentials=S3Credentials(access_key_id="a", secret_access_key="b"),  # noqa: S106
            s3_allow_http=True,
            s3_retries_max=0,
        )
    )
    script = f"import shutil; shutil.copy({str(artifact)!r}, order['artifact_file']); print({FINISHED!r})"
    outcome = await _trainer(gone, tmp_path, command=_python(script)).run(SPEC)
    assert isinstance(outcome, TrainingFailure)
    assert outcome.cause == "artifact-store"
    assert "did not answer" in outcome.detail


async def _until(condition: Callable[[], bool], seconds_max: float = 30.0) -> None:
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)
