"""How Jobs end that report nothing of their end, and what is said of each: over real HTTP, with real processes."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hotswap_stream.adapters.orchestrators.desk import Desk
from hotswap_stream.adapters.orchestrators.job_template import Json
from hotswap_stream.adapters.orchestrators.kubernetes_api import ClusterAccess, KubernetesApi
from hotswap_stream.adapters.orchestrators.kubernetes_place import KubernetesPlace
from hotswap_stream.application.trainers.place import RunFailedError, TrainerEnd
from hotswap_stream.application.trainers.protocol import TrainerOrder
from tests.support.kubernetes_server import KubernetesServer

SECONDS_MAX = 60.0
SILENT_SECONDS = 0.5
TEMPLATE: Json = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec": {"template": {"spec": {"containers": [{"name": "trainer", "image": "theirs"}]}}},
}
WAITS = [sys.executable, "-c", "import sys, time; print('works', flush=True); time.sleep(600)"]
SAYS_NOTHING = [sys.executable, "-c", "print('done, and told nobody')"]


class Done:
    """How a run ended, and its log."""

    def __init__(self, end: TrainerEnd, log: str) -> None:
        self.end = end
        self.log = log


@asynccontextmanager
async def cluster(folder: Path, program: list[str] | None) -> AsyncIterator[KubernetesServer]:
    async with KubernetesServer(folder / "account", program=program, environment={}) as server:
        yield server


async def done(
    server: KubernetesServer,
    folder: Path,
    act: Callable[[], None] | None = None,
    *,
    silent_seconds: float = SECONDS_MAX,
) -> Done:
    """Have a run done by a Job, to which something happens once it is there; return how it ended."""
    (out := folder / "out").mkdir()
    order = TrainerOrder(
        run_id="run-1",
        model_name="digits",
        trainer="theirs",
        parameters={},
        datasets=(),
        folder=str(out),
        seconds_max=60,
        memory_bytes_max=1,
        folder_bytes_max=1,
    )
    desk = Desk("http://desk", silent_seconds=silent_seconds)
    async with (
        asyncio.timeout(SECONDS_MAX),
        KubernetesApi(ClusterAccess(url=server.url, account=server.account), "ml") as api,
        KubernetesPlace(TEMPLATE, api=api, desk=desk, look_seconds=0.02, end_seconds_max=0.1).open(order, out) as run,
    ):
        listening = asyncio.create_task(run.listen(lambda _line: None))
        while act is not None and not server.containers and not listening.done():
            await asyncio.sleep(0.01)
        if act is not None:
            act()
        found = Done(await listening, run.log)
    assert server.containers == {}, "nothing is left in the cluster"
    return found


async def test_a_job_that_somebody_deletes_has_vanished(tmp_path: Path) -> None:
    async with cluster(tmp_path, WAITS) as server:
        found = await done(server, tmp_path, server.forget)
    assert found.end.cause == "crashed"
    assert found.end.detail.endswith("vanished: somebody deleted it")


async def test_a_job_past_its_deadline_is_timed_out(tmp_path: Path) -> None:
    async with cluster(tmp_path, WAITS) as server:
        found = await done(
            server, tmp_path, lambda: server.fail("DeadlineExceeded", "Job was active longer than specified deadline")
        )
    assert found.end.cause == "timed-out"
    assert "failed: DeadlineExceeded: Job was active longer" in found.end.detail


async def test_an_image_that_cannot_be_pulled_is_said_when_nothing_was_heard(tmp_path: Path) -> None:
    async with cluster(tmp_path, None) as server:
        found = await done(server, tmp_path, silent_seconds=SILENT_SECONDS)
    assert found.end.cause == "silent"
    assert found.end.detail.endswith("; ImagePullBackOff: Back-off pulling image")


async def test_a_container_that_ends_well_and_reports_nothing_did_not_end_well(tmp_path: Path) -> None:
    async with cluster(tmp_path, SAYS_NOTHING) as server:
        found = await done(server, tmp_path)
    assert found.end.cause == "crashed"
    assert "completed, and nothing reported how the run ended" in found.end.detail
    assert found.log == "done, and told nobody\n"


async def test_a_container_over_its_memory_is_over_a_limit(tmp_path: Path) -> None:
    async with cluster(tmp_path, WAITS) as server:
        found = await done(server, tmp_path, server.kill_for_memory)
    assert found.end.cause == "over-limit"
    assert "OOMKilled (exit code 137)" in found.end.detail


@pytest.mark.parametrize(("status", "cause"), [(403, "not-possible"), (503, "crashed")])
async def test_a_cluster_that_takes_no_job(tmp_path: Path, status: int, cause: str) -> None:
    async with cluster(tmp_path, None) as server:
        server.refuses = {"POST": status}
        with pytest.raises(RunFailedError, match="quota exceeded") as refused:
            await done(server, tmp_path)
        assert refused.value.cause == cause
        assert server.containers == {}


async def test_an_api_that_cannot_be_asked_for_a_while_changes_nothing(tmp_path: Path) -> None:
    """What the container reports goes on being heard, and the Job is seen again later."""
    async with cluster(tmp_path, WAITS) as server:

        def gone_for_a_while() -> None:
            server.refuses = {"GET": 500}
            asyncio.get_running_loop().call_later(0.3, back)

        def back() -> None:
            server.refuses = {}
            server.forget()

        found = await done(server, tmp_path, gone_for_a_while)
        assert sum(each.startswith("GET") for each in server.asked) > 2
    assert "vanished" in found.end.detail
