"""Which version answers which request of a batch, and which requests no version gets."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hotswap_events.inference.messages import InferRequest, InferTensor, RequestedOutput
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.serving.control import ModelDisabled
from hotswap_events.topics import Topics
from hotswap_stream.application.registry.fold import RegistryFold
from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.application.topics.reply_topics import ReplyTopics
from hotswap_stream.workers.inference.batches.batches import Batch
from hotswap_stream.workers.inference.batches.version_choice import VersionChooser
from hotswap_stream.workers.inference.requests.headers import RequestHeaders
from hotswap_stream.workers.inference.requests.ids import RequestIds
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from tests.support.samples.linear_models import LinearLoader
from tests.support.samples.registry import LogBuilder, promoted, staged, trained

MODEL = "digits"
TWO_VERSIONS = (trained("v1"), promoted("v1", forced=True), trained("v2"), staged("v2"))


class Choosing:
    """A chooser over slots that follow a log."""

    def __init__(self) -> None:
        self.slots = VersionSlots(
            LinearLoader(), on_change=lambda: None, on_active_failed=lambda _failure: None, memory_bytes_max=10**12
        )
        self.slots.start()
        self.chooser = VersionChooser(
            MODEL,
            "w1",
            self.slots,
            CircuitGuard(MODEL, "w1"),
            RequestIds(100),
            asyncio.get_running_loop(),
            ReplyTopics(Topics()),
        )
        self._log, self._fold = LogBuilder(), RegistryFold()

    async def append(self, *events: RegistryEvent) -> None:
        for event in events:
            self._log.append(event)
            self._fold.apply(self._log.records[-1])
            self.slots.update(self._fold.streams[MODEL])
        await self.slots.wait_decided()

    async def chosen(self, *entries: Request | Unreadable) -> Batch:
        """As the loop does it: in a thread of its own."""
        return await asyncio.to_thread(self.chooser.make_batch, list(entries))


@pytest_asyncio.fixture
async def choosing() -> AsyncIterator[Choosing]:
    made = Choosing()
    yield made
    await made.slots.stop()


def request(
    offset: int, headers: RequestHeaders | None = None, *, request_id: str | None = None, output: str | None = None
) -> Request:
    tensor = InferTensor(name="x", shape=[1, 4], datatype="FP32", data=[float(offset), 0.0, 0.0, 0.0])
    outputs = [] if output is None else [RequestedOutput(name=output)]
    body = InferRequest(inputs=[tensor], outputs=outputs, id=request_id)
    return Request(RequestRecord("requests", 0, offset, 0, None, b"", []), body, False, headers)


def answered_by(batch: Batch) -> dict[int, tuple[str, bool]]:
    """Place in the batch → version, and whether the request named it."""
    return {index: (group.lease.model_version, group.pinned) for group in batch.groups for index in group.indexes}


async def test_requests_that_name_no_version_get_the_active_one_in_one_pass(choosing: Choosing) -> None:
    await choosing.append(*TWO_VERSIONS)
    batch = await choosing.chosen(*(request(offset) for offset in range(5)))
    [group] = batch.groups
    assert (group.lease.model_version, group.indexes, group.row_count) == ("v1", [0, 1, 2, 3, 4], 5)
    assert group.inputs["x"][:5, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    choosing.chooser.release(batch)
    assert batch.leases == []


async def test_a_version_that_a_request_names_answers_it(choosing: Choosing) -> None:
    await choosing.append(*TWO_VERSIONS)
    await choosing.slots.request_version("v2")
    named = RequestHeaders(model_version="v2")
    batch = await choosing.chosen(request(0), request(1, named), request(2), request(3, named))
    assert answered_by(batch) == {0: ("v1", False), 1: ("v2", True), 2: ("v1", False), 3: ("v2", True)}
    assert batch.refused == {}
    choosing.chooser.release(batch)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (RequestHeaders(model_version="v9"), "unknown-version"),
        (RequestHeaders(model_name="letters"), "unknown-model"),
        (RequestHeaders(deadline_ms=1), "deadline-expired"),
        (RequestHeaders(reply_topic="hotswap.registry"), "request-unreadable"),
    ],
)
async def test_what_is_refused_holds_up_no_other_request(
    choosing: Choosing, headers: RequestHeaders, code: str
) -> None:
    await choosing.append(*TWO_VERSIONS)
    batch = await choosing.chosen(request(0), request(1, headers), request(2))
    assert {index: refused.code for index, refused in batch.refused.items()} == {1: code}
    assert answered_by(batch) == {0: ("v1", False), 2: ("v1", False)}
    choosing.chooser.release(batch)


async def test_headers_that_ask_for_what_is_there_change_nothing(choosing: Choosing) -> None:
    await choosing.append(*TWO_VERSIONS)
    soon_ms = int(time.time() * 1000) + 60_000
    batch = await choosing.chosen(request(0, RequestHeaders(model_name=MODEL, deadline_ms=soon_ms)))
    assert (answered_by(batch), batch.refused) == ({0: ("v1", False)}, {})
    choosing.chooser.release(batch)


async def test_an_id_that_stands_twice_is_answered_once(choosing: Choosing) -> None:
    await choosing.append(*TWO_VERSIONS)
    allowed = RequestHeaders(repeated_id_allowed=True)
    batch = await choosing.chosen(
        request(7, request_id="a"), request(8, request_id="a"), request(9, allowed, request_id="a"), request(10)
    )
    assert {index: refused.code for index, refused in batch.refused.items()} == {1: "duplicate-id"}
    assert "offset 7" in batch.refused[1].reason
    assert sorted(answered_by(batch)) == [0, 2, 3]
    choosing.chooser.release(batch)


async def test_an_output_that_the_version_does_not_have(choosing: Choosing) -> None:
    await choosing.append(*TWO_VERSIONS)
    batch = await choosing.chosen(request(0, output="y"), request(1, output="z"))
    assert {index: refused.code for index, refused in batch.refused.items()} == {1: "wrong-input"}
    assert sorted(answered_by(batch)) == [0]
    choosing.chooser.release(batch)


async def test_a_model_that_is_switched_off_refuses_named_versions_too(choosing: Choosing) -> None:
    await choosing.append(*TWO_VERSIONS, ModelDisabled())
    batch = await choosing.chosen(request(0), request(1, RequestHeaders(model_version="v1")))
    assert {refused.code for refused in batch.refused.values()} == {"model-disabled"}
    assert (batch.groups, batch.leases) == ([], [])


async def test_what_cannot_be_read_is_passed_over(choosing: Choosing) -> None:
    await choosing.append(*TWO_VERSIONS)
    unreadable = Unreadable(RequestRecord("requests", 0, 0, 0, None, b"", []), "request-unreadable", "no JSON")
    batch = await choosing.chosen(unreadable, request(1))
    assert (sorted(answered_by(batch)), batch.refused) == ([1], {})
    choosing.chooser.release(batch)
