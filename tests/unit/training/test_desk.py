"""The desk of runs that are done elsewhere: whoever has the key reports one run; nothing else is taken from anybody."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.adapters.orchestrators.desk import Desk, ReportedRun, ReportRefusedError
from hotswap_stream.adapters.orchestrators.desk_app import DeskApp
from hotswap_stream.adapters.orchestrators.desk_server import listen, served
from hotswap_stream.application.trainers.outside import REPORT_BYTES_MAX
from hotswap_stream.application.trainers.place import BadOutputError, TrainerEnd
from hotswap_stream.application.trainers.protocol import (
    DatasetFile,
    TrainerFinished,
    TrainerLine,
    TrainerOrder,
    TrainerProgress,
)

SECONDS_MAX = 60.0


def run_at(desk: Desk, folder: Path, *, bytes_max: int = 1_000_000, run_id: str = "run-1") -> ReportedRun:
    """A run with one dataset; what it hands in goes to `out`."""
    out, data = folder / "out", folder / "data"
    out.mkdir(exist_ok=True)
    data.write_bytes(b"rows")
    return desk.open(
        TrainerOrder(
            run_id=run_id,
            model_name="digits",
            trainer="theirs",
            parameters={"epochs": 3},
            datasets=(DatasetFile(digest=f"sha256:{sha256(b'rows').hexdigest()}", path=str(data)),),
            folder=str(out),
            seconds_max=60,
            memory_bytes_max=1,
            folder_bytes_max=bytes_max,
        ),
        out,
    )


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


class Heard:
    """A desk with one run, somebody who reports to it, and what is heard."""

    def __init__(self, desk: Desk, run: ReportedRun, client: httpx.AsyncClient) -> None:
        self.desk = desk
        self.run = run
        self.client = client
        self.lines: list[TrainerLine] = []
        self.listening = asyncio.create_task(run.listen(self.lines.append))

    async def call(self, method: str, path: str = "", content: Any = b"", *, key: str | None = None) -> httpx.Response:
        given = self.run.key if key is None else key
        url = f"/runs/{self.run.order.run_id}{path}"
        return await self.client.request(method, url, content=content, headers={"authorization": f"Bearer {given}"})

    async def ended(self) -> TrainerEnd:
        async with asyncio.timeout(SECONDS_MAX):
            return await self.listening


@pytest.fixture
async def heard(tmp_path: Path) -> AsyncIterator[Heard]:
    desk = Desk("http://desk", silent_seconds=SECONDS_MAX)
    run = run_at(desk, tmp_path)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(DeskApp(desk)), base_url="http://desk") as client:
        found = Heard(desk, run, client)
        await asyncio.sleep(0)
        yield found
        found.listening.cancel()
        await asyncio.gather(found.listening, return_exceptions=True)


async def test_a_run_is_fetched_reported_and_ended(heard: Heard) -> None:
    order = (await heard.call("GET")).json()
    assert (order["run_id"], order["trainer"], order["parameters"]) == ("run-1", "theirs", {"epochs": 3})
    assert str(heard.run.folder) not in json.dumps(order), "no path of this machine goes out"
    assert (await heard.call("GET", f"/{order['datasets'][0]['path']}")).content == b"rows"
    line = b'{"type": "progress", "epoch": 1, "figures": {"loss": 0.5}}\n'
    assert (await heard.call("POST", "/progress?sequence=1", line)).status_code == 204
    assert (await heard.call("POST", "/progress?sequence=2")).status_code == 204
    assert (await heard.call("POST", "/log", b"a word")).status_code == 204
    digest = sha256(b"weights").hexdigest()
    name = "/files/artifact.safetensors"
    assert (await heard.call("PUT", f"{name}?digest=sha256:{digest}", b"weights")).status_code == 204
    end = b'{"type": "finished", "metrics": {"loss": 0.25}}'
    assert [(await heard.call("POST", "/end", end)).status_code for _ in range(2)] == [204, 204]
    assert await heard.ended() == TrainerEnd()
    assert heard.lines == [
        TrainerProgress(epoch=1, figures={"loss": 0.5}),
        TrainerFinished(metrics={"loss": 0.25}),
    ]
    assert (heard.run.folder / "artifact.safetensors").read_bytes() == b"weights"
    assert heard.run.log == "a word"
    assert (await heard.call("POST", "/progress?sequence=3", line)).status_code == 410
    heard.desk.close(heard.run)
    assert (await heard.call("GET")).status_code == 410
    assert (await heard.call("GET", key="another")).status_code == 401


async def test_a_failure_that_is_reported_is_the_runs(heard: Heard) -> None:
    end = b'{"type": "failed", "cause": "over-limit", "detail": "the quota is used up"}'
    assert (await heard.call("POST", "/end", end)).status_code == 204
    assert await heard.ended() == TrainerEnd(cause="over-limit", detail="the quota is used up")


@pytest.mark.parametrize("key", ["", "x", "é", "-", "x" * 10_000])
async def test_without_the_key_nothing_is_said_or_taken(heard: Heard, key: str) -> None:
    for method, path in (("GET", ""), ("POST", "/end"), ("PUT", "/files/a"), ("GET", "/datasets/0")):
        header = f"Bearer {key}".encode("latin-1")
        answer = await heard.client.request(method, f"/runs/run-1{path}", headers=[(b"authorization", header)])
        unknown = await heard.client.request(method, f"/runs/other{path}", headers=[(b"authorization", header)])
        assert answer.status_code == unknown.status_code == 401
        assert answer.content == unknown.content
    assert not heard.listening.done()
    assert names_in(heard.run.folder) == []


async def test_the_key_of_one_run_opens_no_other(heard: Heard, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    other = run_at(heard.desk, tmp_path / "two", run_id="run-2")
    assert (await heard.call("POST", "/end", b'{"type": "finished"}', key=other.key)).status_code == 401
    assert not heard.listening.done()


async def test_what_is_replayed_is_refused_and_no_sign_of_life(heard: Heard) -> None:
    line = b'{"type": "progress", "step": 1}'
    assert (await heard.call("POST", "/progress?sequence=5", line)).status_code == 204
    for sequence in (5, 4, 0):
        answer = await heard.call("POST", f"/progress?sequence={sequence}", line)
        assert (answer.status_code, "came already" in answer.json()["detail"]) == (409, True)
    assert len(heard.lines) == 1
    assert not heard.listening.done()


LIES: dict[str, tuple[str, str, bytes]] = {
    "garbage": ("POST", "/progress?sequence=1", b"\x00garbage"),
    "another type": ("POST", "/progress?sequence=1", b'{"type": "promote"}'),
    "deep nesting": ("POST", "/progress?sequence=1", b"[" * 100_000),
    "an end that is none": ("POST", "/end", b'{"type": "failed", "cause": "cancelled", "detail": ""}'),
}


@pytest.mark.parametrize("name", LIES)
async def test_who_has_the_key_and_lies_ends_the_run(heard: Heard, name: str) -> None:
    method, path, content = LIES[name]
    assert (await heard.call(method, path, content)).status_code == 422
    with pytest.raises(BadOutputError, match="the orchestrator reported"):
        await heard.ended()


REFUSED: dict[str, tuple[str, str, bytes, int]] = {
    "no sequence": ("POST", "/progress", b"", 422),
    "a sequence that is none": ("POST", "/progress?sequence=-1", b"", 422),
    "the end among the lines": ("POST", "/progress?sequence=1", b'{"type": "finished"}', 422),
    "a report that is too long": ("POST", "/progress?sequence=1", b" " * (REPORT_BYTES_MAX + 1), 413),
    "a path": ("PUT", "/files/..%2f..%2fetc", b"x", 404),
    "two dots": ("PUT", "/files/..", b"x", 404),
    "a hidden file": ("PUT", "/files/.bashrc", b"x", 422),
    "a digest that is another": ("PUT", f"/files/a?digest=sha256:{'0' * 64}", b"x", 422),
    "a dataset that is none": ("GET", "/datasets/1", b"", 404),
    "a dataset that is no number": ("GET", "/datasets/%C2%B2", b"", 404),
    "no route": ("DELETE", "", b"", 404),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_does_not_fit_is_refused_and_the_run_goes_on(heard: Heard, tmp_path: Path, name: str) -> None:
    method, path, content, status = REFUSED[name]
    answer = await heard.client.request(
        method,
        httpx.URL(f"http://desk/runs/run-1{path}"),
        content=content,
        headers={"authorization": f"Bearer {heard.run.key}"},
    )
    assert answer.status_code == status
    assert not heard.listening.done()
    assert names_in(tmp_path) == ["data", "out"]
    assert names_in(heard.run.folder) == []


async def test_files_have_a_limit_together(tmp_path: Path) -> None:
    desk = Desk("http://desk", silent_seconds=SECONDS_MAX)
    run = run_at(desk, tmp_path, bytes_max=10)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(DeskApp(desk)), base_url="http://desk") as client:
        heard = Heard(desk, run, client)
        await asyncio.sleep(0)
        assert (await heard.call("PUT", "/files/a", b"12345")).status_code == 204
        assert (await heard.call("PUT", "/files/a", b"1234567")).status_code == 204, "the same file again"
        assert (await heard.call("PUT", "/files/b", b"1234")).status_code == 413
        assert (await heard.ended()).cause == "over-limit"
    assert names_in(tmp_path) == ["data", "out"]


async def test_a_run_that_reports_nothing_is_silent(tmp_path: Path) -> None:
    run = run_at(Desk("http://desk", silent_seconds=0.05), tmp_path)
    async with asyncio.timeout(SECONDS_MAX):
        lines: list[TrainerLine] = []
        end = await run.listen(lines.append)
    assert (end.cause, end.detail) == ("silent", "the orchestrator reported nothing for 0.05 s")


@given(
    body=st.binary(max_size=300)
    | st.recursive(st.none() | st.text(max_size=5), st.lists, max_leaves=9).map(
        lambda value: json.dumps(value).encode()
    ),
    sequence=st.integers(),
)
def test_any_bytes_end_as_lines_or_as_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, sequence: int
) -> None:
    async def report() -> None:
        run = run_at(Desk("http://desk", silent_seconds=60.0), tmp_path_factory.mktemp("run"))
        lines: list[TrainerLine] = []
        run.on_line = lines.append
        statuses = []
        for act in (partial(run.progress, sequence, body), partial(run.end, body)):
            try:
                act()
            except ReportRefusedError as error:
                statuses.append(error.status)
        assert set(statuses) <= {409, 410, 413, 422}

    asyncio.run(report())


async def test_it_is_served_and_strangers_do_not_hold_it(tmp_path: Path) -> None:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    desk = Desk(f"http://127.0.0.1:{port}", silent_seconds=SECONDS_MAX)
    run = run_at(desk, tmp_path)
    strangers: list[asyncio.StreamWriter] = []
    async with served(DeskApp(desk), listener):
        for garbage in (b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n", b"", b"POST /runs/run-1/end HTTP/1.1\r\n\r\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            strangers.append(writer)
            writer.write(garbage)
            await writer.drain()
        async with httpx.AsyncClient(timeout=SECONDS_MAX) as client:
            answer = await client.get(desk.url_of(run), headers={"authorization": f"Bearer {run.key}"})
            assert answer.status_code == 200
        for writer in strangers:
            writer.close()
