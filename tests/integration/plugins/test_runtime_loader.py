"""Runtimes in processes of their own: what they compute, and what becomes of those that raise, hang or crash."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from hotswap_stream.adapters.models.executor import ExecutorUnavailableError
from hotswap_stream.adapters.plugins import runtime_life
from hotswap_stream.adapters.plugins.runtime_host import content_file
from hotswap_stream.adapters.plugins.runtime_life import RuntimeEndedError, RuntimeFailedError, RuntimeInputError
from hotswap_stream.adapters.plugins.runtime_loader import (
    RuntimeLoader,
    RuntimeModel,
    RuntimeNotLoadedError,
)
from hotswap_stream.adapters.plugins.wire import receive
from hotswap_stream.application.artifacts.file import read_manifest
from hotswap_stream.application.plugins.finding import name_modules
from hotswap_stream.application.plugins.names import MissingPluginError
from hotswap_stream.errors import HotswapError
from tests.support.samples.plugins import MODULE, foreign_artifact, texts_artifact

LOADER = RuntimeLoader(load_seconds_max=60, pass_seconds_max=30)
HASTY = RuntimeLoader(load_seconds_max=60, pass_seconds_max=3)
LIMITED = RuntimeLoader(load_seconds_max=60, pass_seconds_max=60, memory_bytes_max=1024**3, pass_cpu_seconds_max=1)


@pytest.fixture(autouse=True)
def _named() -> Iterator[None]:
    name_modules([MODULE])
    yield
    name_modules([])


async def loaded(content: bytes, loader: RuntimeLoader = LOADER) -> RuntimeModel:
    return await loader.load_content(read_manifest(content), content)


@pytest.fixture
async def model(request: pytest.FixtureRequest) -> AsyncIterator[RuntimeModel]:
    hangs = getattr(request.node, "callspec", None) is not None and request.node.callspec.params.get("word") == "hang"
    found = await loaded(texts_artifact("a-"), HASTY if hangs else LOADER)
    yield found
    found.close()


def texts(*values: str) -> dict[str, Any]:
    return {"text": np.array(values, object)}


def test_it_computes_what_it_is_given(model: RuntimeModel) -> None:
    for _ in range(2):
        found = model.infer(texts("é", "two words"))
        assert found["length"].tolist() == [1, 9]
        assert found["shouted"].tolist() == ["A-É", "A-TWO WORDS"]
    assert model.executor == "test-texts"


@pytest.mark.parametrize(
    ("word", "error", "says"),
    [
        ("wrong", RuntimeInputError, "a wrong word"),
        ("fail", RuntimeFailedError, "RuntimeError: this runtime does not like it"),
        ("exit", RuntimeFailedError, "SystemExit"),
        ("crash", RuntimeEndedError, "SIGABRT"),
        ("hang", RuntimeEndedError, "did not answer within 3 s"),
    ],
)
def test_what_goes_wrong_is_told_and_the_next_one_is_computed(
    model: RuntimeModel, word: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        model.infer(texts("good", word))
    found = None
    while found is None:
        with suppress(RuntimeFailedError):  # three seconds may be too few for a new life on a busy machine
            found = model.infer(texts("good"))
    assert found["length"].tolist() == [4]


def test_a_connection_is_not_closed_under_somebody_who_waits_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its number would be given to the next file, and the wait would be for that one until its time is over.
    def dies_before_it_is_waited_for(connection: socket.socket, deadline_s: float | None = None) -> bytearray:
        life.kill()
        keeper.start()
        keeper.join(0.5)
        assert connection.fileno() >= 0
        return receive(connection, deadline_s)

    monkeypatch.setattr(runtime_life, "receive", dies_before_it_is_waited_for)
    with content_file(texts_artifact()) as content:
        life = runtime_life.RuntimeLife("test-texts", content.fileno())
        keeper = threading.Thread(target=life.wait)
        with pytest.raises(RuntimeEndedError, match="SIGKILL"):
            life.infer({}, 60)
        keeper.join()


@pytest.mark.parametrize(
    ("word", "says"),
    [("hoard", "MemoryError.* it has as much memory as it may have"), ("hang", "SIGXCPU")],
)
async def test_what_takes_more_than_it_may_is_ended_and_comes_again(word: str, says: str) -> None:
    model = await loaded(texts_artifact("a-"), LIMITED)
    with pytest.raises(RuntimeEndedError, match=says):
        model.infer(texts("good", word))
    assert model.infer(texts("good"))["length"].tolist() == [4]
    model.close()


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (texts_artifact("broken"), RuntimeNotLoadedError, "this prefix does not load"),
        (texts_artifact(without="length"), RuntimeNotLoadedError, r"returned \['shouted'\]; \['length', 'shouted'\]"),
        (texts_artifact(floats=True), RuntimeNotLoadedError, "is float32; INT64"),
        (texts_artifact(mixes=True), RuntimeNotLoadedError, "must be 'request'"),
        (foreign_artifact(), MissingPluginError, "'nobody-has-it' is not known here"),
    ],
)
async def test_what_does_not_load_says_why(content: bytes, error: type[HotswapError], says: str) -> None:
    with pytest.raises(error, match=says):
        await loaded(content)


async def test_a_load_that_does_not_end_is_ended() -> None:
    hasty = RuntimeLoader(load_seconds_max=3, pass_seconds_max=3)
    with pytest.raises(RuntimeNotLoadedError, match="did not load within 3 s"):
        await loaded(texts_artifact("endless"), hasty)


async def test_requests_alone_may_have_what_rows_may_not() -> None:
    model = await loaded(texts_artifact(mixes=True, batching="request"))
    assert model.infer(texts("a", "bb"))["length"].tolist() == [4, 5]
    model.close()


async def test_an_answer_is_computed_again_by_the_same_runtime_alone() -> None:
    content = texts_artifact("a-")
    model = await LOADER.load_content_exactly(read_manifest(content), content, "test-texts")
    found = model.infer_exactly(texts("x", "yy"), padded_batch_size=5, first_row=2)
    assert found["shouted"].tolist() == ["A-X", "A-YY"]
    with pytest.raises(ValueError, match="do not fit"):
        model.infer_exactly(texts("x", "yy"), padded_batch_size=3, first_row=2)
    model.close()
    with pytest.raises(ExecutorUnavailableError, match="'test-texts@9' computed the answer"):
        await LOADER.load_content_exactly(read_manifest(content), content, "test-texts@9")
